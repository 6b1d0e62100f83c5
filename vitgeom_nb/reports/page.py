"""The page of a report: one file that asks nobody for anything, in plain HTML."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from ..core.images import printable
from ..explore.page import asset, figure_html
from ..figures.narrow import PHONE
from .drawn import Picture
from .files import Link
from .findings import Said

LEAST = 544  # pixels below which no figure shrinks in a wide window
PAPERS = (
    (
        "Salman, Shams, Liu: Intriguing Equivalence Structures of the Embedding Space of Vision Transformers",
        "2401.15568",
    ),
    ("Kim, Park, Kim, Lee: Curved Representation Space of Vision Transformers", "2210.05742"),
)


@dataclass(frozen=True)
class Drawn:
    """A figure, its form for a phone, a sentence that says what it shows, and the file that holds it."""

    whole: Picture
    narrow: Picture | None
    shows: str
    link: Link


@dataclass(frozen=True)
class Part:
    """A section as the page shows it."""

    name: str
    title: str
    sentences: Sequence[Said]
    figures: Sequence[Drawn]
    explorers: Sequence[Any]
    data: Sequence[tuple[str, Link, Link]]
    """Name of a measurement, and it as NetCDF and as CSV."""
    notes: Sequence[str]


@dataclass(frozen=True)
class Page:
    """All that a report says."""

    name: str
    lead: str
    parts: Sequence[Part]
    left_out: Sequence[tuple[str, str]]
    """What was left out, and why."""
    ledger: str
    beside: str
    tables: Mapping[str, Link]
    settings: Mapping[str, str]
    times: Sequence[tuple[str, ...]]


def html(page: Page) -> str:
    """The whole page."""
    title = escape(f"The geometry of {page.name}")
    body = "\n".join(
        [
            '<a class="skip" href="#summary">Skip to the summary</a>',
            f'<header><h1>{title}</h1>\n<p class="lead">{escape(page.lead)}</p>\n{_contents(page)}</header>',
            "<main>",
            _summary(page),
            *map(_part, page.parts),
            _ledger(page),
            _left_out(page),
            _settings(page),
            "</main>",
            _footer(),
        ]
    )
    script = f"<script>{asset('explorer.js')}</script>" if any(part.explorers for part in page.parts) else ""
    sheet = (files(__package__) / "report.css").read_text(encoding="utf-8")
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{title}</title><meta name="color-scheme" content="light dark">'
        f"<style>{asset('explorer.css')}\n{sheet}</style>"
    )
    return printable(
        f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{body}\n{script}\n</body>\n</html>\n'
    )


def _contents(page: Page) -> str:
    links = [(part.name, part.title) for part in page.parts]
    links = [("summary", "Summary"), *links, ("ledger", "The ledger of claims")]
    links += [("left-out", "What was left out, and why")] * bool(page.left_out)
    links += [("settings", "Settings and provenance")]
    rows = "".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title in links)
    return f'<nav aria-label="Contents"><ul>{rows}</ul></nav>'


def _section(name: str, title: str, body: Iterable[str]) -> str:
    heading = f'<h2 id="{name}-title">{escape(title)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-title">\n{heading}\n' + "\n".join(body) + "\n</section>"


def _summary(page: Page) -> str:
    rows = [
        f'<li>{one.html} <a href="#{part.name}" aria-label="More: {escape(part.title)}">More</a></li>'
        for part in page.parts
        for one in part.sentences[:1]
    ]
    key = "In parentheses stand the 95 % interval over images, and of how many images or pairs a number is."
    numbers = f'<p class="data">These numbers: {_file(page.tables["summary"], "CSV", "of the summary")}.</p>'
    return _section("summary", "Summary", [f"<ul>{''.join(rows)}</ul>", f'<p class="note">{key}</p>', numbers])


def _part(part: Part) -> str:
    body = [f'<p class="finding">{one.html}</p>' for one in part.sentences]
    body += [f'<p class="note">{escape(note)}</p>' for note in part.notes]
    for one in part.figures:
        said = " ".join(sentence.text for sentence in part.sentences)
        body.append(_figure(one, f"{one.shows} {said}".strip(), part.title))
    body += map(figure_html, part.explorers)
    data = [
        f"<code>{label}</code> {_file(whole, 'NetCDF', f'of {label}')}, {_file(table, 'CSV', f'of {label}')}"
        for label, whole, table in part.data
    ]
    body.append(f'<p class="data">The measurements behind this: {"; ".join(data)}.</p>')
    return _section(part.name, part.title, body)


def _figure(one: Drawn, alt: str, title: str) -> str:
    whole, narrow = one.whole, one.narrow
    image = f'<img src="{_address(whole)}" alt="{escape(alt)}" width="{whole.width}" height="{whole.height}">'
    if narrow:
        sizes = f'width="{narrow.width}" height="{narrow.height}"'
        image = f'<picture><source media="{PHONE}" srcset="{_address(narrow)}" {sizes}>{image}</picture>'
    # narrower than this its letters are too small: a reader then moves it sideways
    sides = f"--least: {min(round(0.6 * whole.width), LEAST)}px; --own: {round(1.15 * whole.width)}px"
    box = f'<div class="wide" style="{sides}" tabindex="0" role="group" aria-label="Figure: {escape(title)}">'
    saved = _file(one.link, "SVG", f"of the figure: {title}")
    return f"<figure>{box}{image}</div>\n<figcaption>{escape(one.shows)} {saved}.</figcaption></figure>"


def _address(picture: Picture) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(picture.svg).decode()


def _ledger(page: Page) -> str:
    words = (
        "Each cell says whether the published sentence is supported, with the number that decides it. A network that "
        "is called neither transformer nor CNN is compared, and not judged, where a sentence is about one of the two."
    )
    table = f'<div class="wide" tabindex="0" role="group" aria-label="Table: the ledger of claims">{page.ledger}</div>'
    link = f'<p class="data">This table: {_file(page.tables["claims"], "CSV", "of the ledger")}.</p>'
    return _section("ledger", "The ledger of claims", [f"<p>{escape(words)} {escape(page.beside)}</p>", table, link])


def _left_out(page: Page) -> str:
    if not page.left_out:
        return ""
    rows = "".join(f"<li><strong>{escape(what)}</strong>: {escape(why)}</li>" for what, why in page.left_out)
    return _section("left-out", "What was left out, and why", [f"<ul>{rows}</ul>"])


def _settings(page: Page) -> str:
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(words)}</dd></div>" for name, words in page.settings.items()
    )
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in page.times[0])
    lines = "".join(
        f'<tr><th scope="row">{escape(first)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in rest) + "</tr>"
        for first, *rest in page.times[1:]
    )
    table = (
        '<div class="wide" tabindex="0" role="group" aria-label="Table: what was measured"><table>'
        f"<caption>What was measured, of how much, and how long it took</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{lines}</tbody></table></div>"
    )
    return _section("settings", "Settings and provenance", [f'<dl class="settings">{rows}</dl>', table])


def _footer() -> str:
    rows = "".join(f'<li><a href="https://arxiv.org/abs/{number}">{escape(words)}</a></li>' for words, number in PAPERS)
    return f"<footer><p>The sentences of the ledger are those of two papers:</p><ul>{rows}</ul></footer>"


def _file(link: Link, kind: str, what: str) -> str:
    size = f"{link.size / 1e6:.1f} MB" if link.size >= 1e6 else f"{max(1, round(link.size / 1e3))} kB"
    address = escape(link.address)
    return f'<a href="{address}" aria-label="{escape(f"{kind} {what}, {size}")}">{kind}</a> ({size})'
