"""The piece of a page in which a reader's own picture meets a network; before a click it is one recorded frame."""

from __future__ import annotations

import base64
import io
from html import escape
from string import Template
from typing import Any

from PIL import Image

from ..core.arguments import checked
from .packing import available, source

PARTS, RUNTIME = "../_static/in_page", "../_static/onnxruntime-web"  # as a chapter reaches them
SIZES = "data-sizes='{}'"  # what the build of the book fills in


class OwnPicture:
    """What a notebook shows of it: the page with its script in the book, and the recorded frame anywhere."""

    def __init__(self, html: str) -> None:
        self.html = html

    def to_html(self) -> str:
        """The piece of a page; its networks come from the built book."""
        return self.html

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": "<your own picture: open the built book>", "text/html": self.html}


def _frame(figure: Any) -> tuple[str, int, int]:
    """A figure as a WebP data address, and its size on the page."""
    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=160)
    with Image.open(drawn) as image:
        image.convert("RGB").save(packed, "WEBP", quality=82, method=6)
        width, height = image.width // 2, image.height // 2
    return "data:image/webp;base64," + base64.b64encode(packed.getvalue()).decode(), width, height


@checked
def own_picture(frame: Any, alt: str, sentence: str) -> OwnPicture:
    """The chapter's page: networks that compute in the reader's browser, behind a button.

    Parameters
    ----------
    frame
        A matplotlib Figure: what is shown before the click, and to readers without JavaScript or WebAssembly.
    alt
        A sentence for those who cannot see it.
    sentence
        What it shows.

    Returns
    -------
    OwnPicture
        To be the last value of a cell.
    """
    names = available()
    address, width, height = _frame(frame)
    inner = Template(source("page.html")).substitute(
        networks="".join(f'<option value="{name}">{name}</option>' for name in names),
        frame=address, width=width, height=height, alt=escape(alt), sentence=escape(sentence), size="",
    )  # fmt: skip
    return OwnPicture(
        f"<style>{source('page.css')}</style>\n"
        f'<section class="vg-own mathjax_ignore tex2jax_ignore" aria-label="Your own picture" '
        f'data-parts="{PARTS}" data-runtime="{RUNTIME}" {SIZES}>\n'
        "<noscript><p>This part of the page computes with JavaScript, which is off; below is a recorded frame.</p>"
        f"</noscript>\n{inner}</section>\n<script>{source('start.js')}</script>"
    )
