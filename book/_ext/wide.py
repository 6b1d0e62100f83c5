"""Gives figures and tables that are wider than a line of words the room to the right of it, where a window has any.

The theme has a class for such things, and hides the list of contents while one of them is on the screen. How wide they
get, no wider than they are drawn, says the style sheet.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from PIL import Image

LINE = 700  # pixels of a line of words in a window of 1280
MANY = 6  # columns of a table that rarely fit into it
PICTURE = r'_images/(?P<picture>[^"]+)"'
FIGURE = re.compile(
    rf'<figure class="(?P<classes>align-[^"]*)"(?P<rest>[^>]*)>(?=(?:(?!</figure>).)*?<img\b[^>]*src="[^"]*{PICTURE})',
    re.DOTALL,
)
TABLE = re.compile(r'class="sideways">(?=<table\b(?P<row>.*?)</tr>)', re.DOTALL)


def widened(page: str, pictures: Path) -> str:
    """The page with the theme's class at every figure and table that is so wide."""

    def figure(found: re.Match[str]) -> str:
        with Image.open(pictures / found["picture"]) as image:
            wide = image.width > LINE
        return f'<figure class="{found["classes"]} full-width"{found["rest"]}>' if wide else found[0]

    def table(found: re.Match[str]) -> str:
        columns = len(re.findall(r"<t[hd]\b", found["row"]))
        return 'class="sideways full-width">' if columns >= MANY else found[0]

    return TABLE.sub(table, FIGURE.sub(figure, page))


def finish(app: Any, exception: Exception | None) -> None:
    """Go over the pages once they are written."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for page in out.rglob("*.html"):
        page.write_text(widened(page.read_text(encoding="utf-8"), out / "_images"), encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
