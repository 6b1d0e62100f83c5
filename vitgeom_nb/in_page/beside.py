"""A button beside every explorer of the book: the same question, asked of the reader's own picture."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape, unescape
from urllib.parse import urlencode

from .packing import source

PANELS = {"sight": "see", "boundary": "fgsm", "match": "match", "blind": "blind", "bend": "bend"}
"""Subject of an explorer -> the panel of the chapter on a reader's own picture that asks the same."""
WORDS = "With your own picture"
EXPLORER = re.compile(
    r'<figure class="vg-explorer[^>]* data-subject="(?P<subject>\w+)" data-networks="(?P<networks>[^"]*)"[^>]*>'
    r"(?:(?!</figure>|<a class=\"vg-beside\").)*?(?=<figcaption>)",
    re.DOTALL,
)


def setting(panel: str, network: str | None) -> str:
    """What stands behind the address of the chapter so that it opens with this panel and network."""
    given = {"open": panel} | ({} if network is None else {"network": network})
    return f"#setting:{urlencode(given)}"


def with_buttons(page: str, chapter: str, offered: Sequence[str]) -> str:
    """A page with a button in each of its explorers that has a panel in the chapter.

    Parameters
    ----------
    page
        HTML of a page, with explorers or without.
    chapter
        Address of the chapter as that page reaches it.
    offered
        Names of the networks that the chapter has; for any other it opens with its first.

    Returns
    -------
    str
        The page, with one script more where it has such a button: the network chosen in an explorer is that of its
        button. A page that has its buttons stays as it is.
    """

    def with_button(found: re.Match[str]) -> str:
        panel = PANELS.get(found["subject"])
        if panel is None:
            return found[0]
        names = json.loads(unescape(found["networks"])) or [None]
        links = [chapter + setting(panel, name if name in offered else None) for name in names]
        kept = escape(json.dumps(links))
        return f'{found[0]}<a class="vg-beside" href="{escape(links[0])}" data-links="{kept}">{WORDS}</a>\n'

    made, count = EXPLORER.subn(with_button, page)
    script = f"<script>{source('beside.js')}</script>\n</body>"
    return made.replace("</body>", script, 1) if count and made != page else made
