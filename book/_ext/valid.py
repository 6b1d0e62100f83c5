"""Mends HTML of other packages that the standard does not allow, once the pages are written.

- Style sheets in the body, of explorers, tables and printed measurements, move to the head, each once.
- The words that fold code in and out are paragraphs where only phrases may stand.
- The page that leads to the first chapter is a whole page.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

UNTOUCHED = r"<script\b.*?</script>|<noscript\b.*?</noscript>|<svg\b.*?</svg>"
STYLE = re.compile(rf"{UNTOUCHED}|<style\b[^>]*>(?P<css>.*?)</style>\n?", re.DOTALL)
SUMMARY = re.compile(r'<p (class="(?:collapsed|expanded) admonition-title")>(.*?)</p>')
FRONT = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="refresh" content="0; url={first}"></head>
<body><p><a href="{first}">{title}</a></p></body></html>
"""


def with_styles_in_head(page: str) -> str:
    """The page with the style sheets of its body at the end of its head, where later ones still win."""
    head, end, body = page.partition("</head>")
    sheets: dict[str, None] = {}

    def moved(found: re.Match[str]) -> str:
        if found["css"] is None:
            return found[0]
        sheets[found["css"].strip()] = None
        return ""

    body = STYLE.sub(moved, body)
    return head + "".join(f"<style>{sheet}</style>\n" for sheet in sheets) + end + body


def finish(app: Any, exception: Exception | None) -> None:
    """Go over the pages, and over the style sheet that knows the words as paragraphs."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for page in out.rglob("*.html"):
        text = SUMMARY.sub(r"<b \1>\2</b>", page.read_text(encoding="utf-8"))
        page.write_text(with_styles_in_head(text), encoding="utf-8")
    for sheet in (out / "_static").glob("mystnb.*.css"):
        sheet.write_text(sheet.read_text(encoding="utf-8").replace("summary>p.", "summary>b."), encoding="utf-8")
    first = app.config.root_doc.removesuffix(".ipynb")
    if first != "index":
        title = app.config.html_title or app.config.project
        (out / "index.html").write_text(FRONT.format(title=title, first=f"{first}.html"), encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
