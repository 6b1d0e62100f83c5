"""An explorer as a piece of HTML that needs no kernel, no network and, for its first frame, no script."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

from ..core.images import printable
from .explorer import Control, Explorer, Panel, View

STOP = {"</": "<\\/", "<!--": "\\u003c!--"}  # what would end a script element before its time


def asset(name: str) -> str:
    """A style sheet or script that ships with the package."""
    return (files("vitgeom_nb.explore") / name).read_text(encoding="utf-8")


def _json(value: Any) -> str:
    text = printable(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    for bad, good in STOP.items():
        text = text.replace(bad, good)
    return text


def panel_html(panel: Panel) -> str:
    """One panel: heading, picture, and what lies over it."""
    p = panel.picture
    box = f'width="{p.width}" height="{p.height}"'
    svg = f'<svg viewBox="0 0 {p.width} {p.height}" aria-hidden="true">{panel.overlay}</svg>'
    over = "" if panel.overlay is None else svg
    return (
        f'<div class="vg-panel" style="width:{p.width}px"><p class="vg-title">{escape(panel.title)}</p>'
        f'<div class="vg-picture"><img src="{p.uri}" alt="{escape(panel.alt)}" {box}>{over}</div></div>'
    )


def readout_html(readout: Mapping[str, str]) -> str:
    """The numbers of a view, each with its name."""
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in readout.items())
    return f'<dl class="vg-readout">{rows}</dl>'


def _control_html(control: Control, identity: str) -> str:
    label = f'<label for="{identity}">{escape(control.label)}</label>'
    if control.is_choice:
        options = "".join(
            f'<option value="{k}"{" selected" if k == control.start else ""}>{escape(value)}</option>'
            for k, value in enumerate(control.values)
        )
        return f'<div class="vg-control">{label}<select id="{identity}" autocomplete="off">{options}</select></div>'
    last, text = len(control.values) - 1, escape(control.text(control.values[control.start]))
    return (
        f'<div class="vg-control vg-slide">{label}<input type="range" id="{identity}" min="0" max="{last}" step="1" '
        f'value="{control.start}" aria-valuetext="{text}" autocomplete="off">'
        f'<output for="{identity}" aria-live="off">{text}</output></div>'
    )


def _recorded(explorer: Explorer) -> dict[str, Any]:
    """Every frame: pictures and overlays by number, sentences, and the numbers of the readout."""
    pool: dict[str, int] = {}

    def number(text: str) -> int:
        return pool.setdefault(text, len(pool))

    def packed(view: View) -> list[Any]:
        panels = [[number(p.picture.uri), number(p.overlay or ""), p.alt, p.title] for p in view.panels]
        return [panels, list(view.readout.values())]

    frames = [packed(explorer.frame(setting)) for setting in explorer.settings()]
    return {"frames": frames, "pool": list(pool)}


def figure_html(explorer: Explorer) -> str:
    """First frame and caption as plain HTML, and what the one script of a page needs to move it."""
    first = explorer.frame(explorer.start)
    controls = [{"name": c.name, "texts": [c.text(v) for v in c.values]} for c in explorer.controls]
    data: dict[str, Any] = {"controls": controls}
    data |= {"script": explorer.script, **explorer.data} if explorer.script else _recorded(explorer)
    text = _json(data)
    identity = "vg-" + hashlib.sha256(printable(explorer.title + text).encode()).hexdigest()[:10]
    sliders = [c for c in explorer.controls if not c.is_choice]
    play = f'<button type="button" class="vg-play" data-moves="{sliders[0].name}">Play</button>' if sliders else ""
    parts = "".join(_control_html(c, f"{identity}-{c.name}") for c in explorer.controls)
    caption = f"<strong>{escape(explorer.title)}.</strong> {escape(explorer.caption)}"
    about = f'data-subject="{escape(explorer.subject)}" data-networks="{escape(json.dumps(explorer.networks))}"'
    classes = "vg-explorer mathjax_ignore tex2jax_ignore"
    page = f"""<figure class="{classes}" id="{identity}" {about} aria-label="{escape(explorer.title)}">
<div class="vg-controls" role="group" aria-label="Settings" hidden>{parts}{play}</div>
<noscript><p class="vg-note">The sliders of this figure need JavaScript; this is its first frame.</p></noscript>
<div class="vg-panels">{"".join(map(panel_html, first.panels))}</div>
{readout_html(first.readout)}
<script type="application/json">{text}</script>
<figcaption>{caption}</figcaption>
</figure>"""
    return printable(page)


def html(explorer: Explorer) -> str:
    """The whole explorer: style, figure and script."""
    return f"<style>{asset('explorer.css')}</style>\n{figure_html(explorer)}\n<script>{asset('explorer.js')}</script>"
