"""Says of each page what it is about, for those who see only a link to it: a description, and tags for previews.

A chapter describes itself in the header of its text (`myst: html_meta: description`); pages that the builder makes,
such as the index, are described by what they are. The picture of a preview is the one of the front page.
"""

from __future__ import annotations

import html
import re
from typing import Any

MADE = {"genindex": "Index", "search": "Search"}  # by the builder, without a title
PICTURE = "_static/swin-equivalent-images.jpg"
ALT = "A photograph, another one, the first changed until a network takes it for the second, and the change, amplified."
DESCRIPTION = re.compile(r'<meta\b(?=[^>]*\bname="description")[^>]*\bcontent="([^"]*)"[^>]*>')


def preview(title: str, description: str, picture: str, site: str) -> str:
    """Tags of the Open Graph protocol for one page, from plain words."""
    tags = {
        "title": title,
        "description": description,
        "type": "article",
        "site_name": site,
        "image": picture,
        "image:alt": ALT,
    }
    return "".join(f'<meta property="og:{name}" content="{html.escape(said)}" />\n' for name, said in tags.items())


def describe(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Add the tags to what stands in the head of a page."""
    if app.builder.format != "html":
        return
    head = context.get("metatags", "")
    title = " ".join(
        html.unescape(re.sub(r"<[^>]*>", "", context.get("title") or MADE.get(pagename, pagename))).split()
    )
    own = DESCRIPTION.search(head)
    site = app.config.html_title or app.config.project
    said = html.unescape(own[1]) if own else f"{title}: a page of the book {site}."
    if own is None:
        head += f'<meta name="description" content="{html.escape(said)}" />\n'
    base = app.config.html_baseurl.rstrip("/")  # previews want a whole address; without one, the path from here
    picture = f"{base}/{PICTURE}" if base else context["pathto"](PICTURE, 1)
    context["metatags"] = head + preview(title, said, picture, site)


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
