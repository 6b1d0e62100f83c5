"""Puts links below every figure of a page: the figure as SVG and PNG, and the numbers in it as CSV; and on a phone
shows the figure as it is laid out for one.

Figures bring SVG, CSV and their narrow form along in the metadata of their cell's output
(`vitgeom_nb.figures.downloads`). The links are plain ones to files beside the pages: they need no script and no server,
and no more does the choice of the picture. The notebook that a page offers for download leaves them out.
"""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path
from typing import Any

import nbformat
from docutils.nodes import make_id

from vitgeom_nb.figures.downloads import KEY
from vitgeom_nb.figures.narrow import PHONE

NARROW = "narrow"
NUMBER = re.compile(r'class="caption-number">\D*([\d.]*\d)')
KINDS = {
    "svg": ("SVG", "figure {} as SVG"),
    "png": ("PNG", "figure {} as PNG"),
    "csv": ("Data", "data of figure {} as CSV"),
}


def files_of(notebook: nbformat.NotebookNode) -> dict[str, dict[str, bytes]]:
    """Name of each figure that brought its downloads -> ending -> content."""
    found = {}
    for cell in notebook.cells:
        name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        brought = [one for one in cell.get("outputs", []) if KEY in one.get("metadata", {})]
        if name and brought:
            files = {kind: text.encode() for kind, text in brought[0].metadata[KEY].items() if text}
            if NARROW in files:
                files[NARROW] = base64.b64decode(files[NARROW])
            found[name] = files | {"png": base64.b64decode(brought[0].data["image/png"])}
    return found


def figure_of(name: str, end: str) -> re.Pattern[str]:
    """A figure of a page from its beginning up to something in it."""
    return re.compile(rf'<figure\b[^>]*\bid="{re.escape(make_id(name))}"(?:(?!</figure>).)*?(?={end})', re.DOTALL)


def with_narrow(page: str, name: str, picture: str) -> str:
    """The page with another picture in the place of a figure's where the window is as narrow as a phone."""
    begun = figure_of(name, "<img").sub(
        lambda found: f'{found[0]}<picture><source media="{PHONE}" srcset="{picture}">', page, count=1
    )
    return re.sub(rf'(srcset="{re.escape(picture)}"><img\b[^>]*>)', r"\1</picture>", begun)


def with_links(page: str, name: str, endings: list[str], folder: str) -> str:
    """The page with links to the files of a figure, at the end of its caption."""

    def linked(found: re.Match[str]) -> str:
        number = NUMBER.search(found[0])
        said = number[1] if number else name
        links = [
            f'<a href="{folder}/{name}.{kind}" download="{name}.{kind}" '
            f'aria-label="Download {html.escape(words.format(said))}">{shown}</a>'
            for kind, (shown, words) in KINDS.items()
            if kind in endings
        ]
        return f'{found[0]}<p class="vg-downloads">{" ".join(links)}</p>\n'

    return figure_of(name, "</figcaption>").sub(linked, page, count=1)


def without_files(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook as its readers want it, without what the pages offer."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("metadata", {}).pop(KEY, None)
    return notebook


def finish(app: Any, exception: Exception | None) -> None:
    """Write the files, and the links to them into the pages."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for document in sorted(app.env.found_docs):
        page, run = out / f"{document}.html", Path(app.env.mystnb_config.output_folder) / f"{document}.ipynb"
        if not page.is_file() or not run.is_file():
            continue
        text, up = page.read_text(encoding="utf-8"), "../" * document.count("/")
        for name, files in files_of(nbformat.read(run, as_version=4)).items():
            folder = f"_downloads/{document}"
            (out / folder).mkdir(parents=True, exist_ok=True)
            if NARROW in files:  # a picture of the page like the others, which `lighter` makes smaller
                picture = f"_images/{document.replace('/', '-')}-{name}.png"
                (out / picture).write_bytes(files.pop(NARROW))
                text = with_narrow(text, name, up + picture)
            for kind, content in files.items():
                (out / folder / f"{name}.{kind}").write_bytes(content)
            text = with_links(text, name, list(files), up + folder)
        page.write_text(text, encoding="utf-8")
    for source in (out / "_sources").rglob("*.ipynb"):
        nbformat.write(without_files(nbformat.read(source, as_version=4)), source)


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
