"""A book of one page, built of a notebook with figures: each has links to its files, and the files hold it."""

from __future__ import annotations

import base64
import csv
import io
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import nbformat
import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup
from matplotlib.figure import Figure
from PIL import Image
from playwright.sync_api import Browser

import vitgeom_nb as vg
from tests.validator import VNU, errors
from vitgeom_nb.figures.downloads import KEY
from vitgeom_nb.figures.style import panels, show_image, subplots

from .small_book import build

NAMES = ("fig-numbers", "fig-picture", "fig-elsewhere", "fig-several")


def numbers() -> Figure:
    logits = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    return vg.figures.reliability(vg.reliability(logits=logits, labels=torch.arange(60) % 3, bins=5))


def several() -> Figure:
    figure, axes = panels(4, 2.75, 2.5)
    for one in axes.flat:
        one.plot([1, 2])
    return figure


def picture() -> Figure:
    figure, axes = subplots(figsize=(2, 2))
    show_image(axes, np.full((3, 2, 2), 0.5))
    return figure


def cell(name: str, figure: Figure, brings: bool) -> nbformat.NotebookNode:
    """A cell that has drawn a figure, as a kernel leaves it."""
    out = io.BytesIO()
    figure.savefig(out, format="png")
    output = nbformat.v4.new_output(
        "execute_result",
        {"image/png": base64.b64encode(out.getvalue()).decode(), "text/plain": "<Figure>"},
        execution_count=1,
        metadata=figure._repr_mimebundle_()[1] if brings else {},
    )
    shown = {
        "figure": {"caption": f"What {name} shows, in a sentence.", "name": name},
        "image": {"alt": "A small figure made for a test of the links."},
    }
    return nbformat.v4.new_code_cell("draw()", outputs=[output], metadata={"mystnb": shown}, execution_count=1)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of the small book."""
    folder = tmp_path_factory.mktemp("small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VITGEOM_DOWNLOADS", "1")
        title = nbformat.v4.new_markdown_cell("# A page\n\nSee {numref}`fig-numbers`.")
        drawn = [
            cell(name, draw(), name != NAMES[2])
            for name, draw in zip(NAMES, (numbers, picture, picture, several), strict=True)
        ]
        done = build(folder, title, *drawn)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "_build" / "html"


@pytest.fixture(scope="module")
def page(built: Path) -> BeautifulSoup:
    return BeautifulSoup((built / "book" / "page.html").read_text(), "html.parser")


def links(page: BeautifulSoup, name: str) -> dict[str, str]:
    """Words -> address of the links of a figure."""
    return {link.text: link["href"] for link in page.select_one(f"#{name}").select("a[download]")}


def read(built: Path, address: str) -> bytes:
    return (built / "book" / address).read_bytes()


def test_a_figure_with_numbers_has_three_links_and_a_picture_two(page: BeautifulSoup) -> None:
    assert list(links(page, "fig-numbers")) == ["SVG", "PNG", "Data"]
    assert list(links(page, "fig-picture")) == ["SVG", "PNG"]
    assert list(links(page, "fig-elsewhere")) == []


def test_links_say_what_they_are_and_hold_what_they_show(page: BeautifulSoup) -> None:
    for number, name in enumerate(NAMES[:2], 1):
        for link in page.select_one(f"#{name}").select("a[download]"):
            assert link["aria-label"].startswith("Download ")
            assert f"figure {number} as " in link["aria-label"]
            assert link.text.lower() in link["aria-label"].lower()  # so that one can ask for it by voice
            assert link["download"].startswith(name)
            assert "tabindex" not in link.attrs
    labels = [link["aria-label"] for link in page.select("a[download]")]
    assert "Download figure 1 as SVG" in labels
    assert len(set(labels)) == len(labels)


def test_the_files_are_the_figure(built: Path, page: BeautifulSoup) -> None:
    found = links(page, "fig-numbers")
    assert ElementTree.fromstring(read(built, found["SVG"])).tag == "{http://www.w3.org/2000/svg}svg"
    with Image.open(io.BytesIO(read(built, found["PNG"]))) as image:
        assert image.format == "PNG"
    rows = list(csv.DictReader(io.StringIO(read(built, found["Data"]).decode())))
    logits = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    measured = vg.reliability(logits=logits, labels=torch.arange(60) % 3, bins=5)
    heights = [float(row["y"]) for row in rows if row["mark"] == "column"]
    held = measured["count"].values > 0
    np.testing.assert_allclose(heights, measured.accuracy.values[held])
    assert {row["x axis"] for row in rows} == {"confidence"}


def test_a_phone_shows_the_narrow_form_and_a_wide_window_the_figure(browser: Browser, built: Path) -> None:
    shown = {}
    for width in (390, 1280):
        view = browser.new_context(viewport={"width": width, "height": 800}, java_script_enabled=False).new_page()
        view.goto((built / "book" / "page.html").as_uri())
        shown[width] = [
            view.locator(f"#{name} img").evaluate("one => [one.currentSrc, one.naturalWidth, one.naturalHeight]")
            for name in NAMES
        ]
        view.context.close()
    *same, (phone, across, along) = shown[390]
    assert same == shown[1280][:3]
    wide, *size = shown[1280][3]
    assert phone.endswith("_images/book-page-fig-several.webp")
    assert "fig-several" not in wide
    assert along > across  # two by two
    assert size[0] > size[1]


@pytest.mark.skipif(VNU is None, reason="vnu, the Nu HTML checker, is not on this machine")
def test_the_page_is_html_as_the_standard_has_it(built: Path) -> None:
    assert errors([built / "book" / "page.html", built / "index.html"]) == []


def test_the_notebook_for_readers_holds_the_pictures_alone(built: Path) -> None:
    notebook = nbformat.read(built / "_sources" / "book" / "page.ipynb", as_version=4)
    outputs = [output for one in notebook.cells for output in one.get("outputs", [])]
    assert len(outputs) == 4
    assert all("image/png" in output.data and KEY not in output.metadata for output in outputs)


@pytest.mark.parametrize("script", [True, False])
def test_a_reader_reaches_and_gets_them_from_a_folder_by_keyboard(
    browser: Browser, built: Path, page: BeautifulSoup, script: bool
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800}, java_script_enabled=script)
    view = context.new_page()
    view.goto(f"file://{quote(str(built / 'book' / 'page.html'))}")
    assert view.evaluate("document.documentElement.scrollWidth") <= 390
    link = view.get_by_role("link", name="Download figure 1 as SVG")
    assert link.bounding_box()["height"] >= 24
    assert link.bounding_box()["width"] >= 24
    view.get_by_role("link", name="Download figure 1 as PNG").focus()
    view.keyboard.press("Shift+Tab")
    assert view.evaluate("document.activeElement.textContent") == "SVG"
    assert view.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    # pages in a folder may save nothing by themselves: the browser shows the file, from where a reader saves it
    view.keyboard.press("Enter")
    view.wait_for_url(
        f"file://{quote(str((built / 'book' / links(page, 'fig-numbers')['SVG']).resolve()))}", timeout=30_000
    )
    context.close()


def test_a_figure_brings_nothing_where_no_pages_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VITGEOM_DOWNLOADS", raising=False)
    assert cell("fig-a", picture(), True).outputs[0].metadata == {}
