"""Which figures and tables of a page are marked as wider than a line of words."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.chapters import extension

wide = extension("wide")
FIGURE = '<figure class="align-default{}" id="fig-a">\n<picture><source srcset="../_images/n.webp">' + (
    '<img alt="a" src="../_images/{}.webp"></picture><figcaption>a</figcaption></figure>'
)
ROW = "<table><thead><tr><th></th>{}</tr></thead><tbody><tr><td>1</td></tr></tbody></table>"


@pytest.mark.parametrize(
    ("page", "marked"),
    [
        (FIGURE.format("", "large"), FIGURE.format(" full-width", "large")),
        (FIGURE.format("", "small"), FIGURE.format("", "small")),
        # each by its own picture
        (
            FIGURE.format("", "small") + FIGURE.format("", "large"),
            FIGURE.format("", "small") + FIGURE.format(" full-width", "large"),
        ),
        # another one inside an explorer is none of a chapter
        (
            '<figure class="vg-explorer"><img src="../_images/large.webp"></figure>',
            '<figure class="vg-explorer"><img src="../_images/large.webp"></figure>',
        ),
        (
            '<div class="sideways">' + ROW.format("<th>a</th>" * 5) + "</div>",
            '<div class="sideways full-width">' + ROW.format("<th>a</th>" * 5) + "</div>",
        ),
        (
            '<div class="sideways">' + ROW.format("<th>a</th>" * 4) + "</div>",
            '<div class="sideways">' + ROW.format("<th>a</th>" * 4) + "</div>",
        ),
    ],
)
def test_what_is_wider_than_a_line_of_words_is_marked(tmp_path: Path, page: str, marked: str) -> None:
    for name, width in (("large", wide.LINE + 1), ("small", wide.LINE), ("n", 2000)):
        Image.new("L", (width, 10)).save(tmp_path / f"{name}.webp")
    assert wide.widened(page, tmp_path) == marked
