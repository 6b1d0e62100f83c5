"""Sentences that are computed: a number from a measurement, its interval, and of how many images it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from ..claims.quantities import Lacking, Measured, NoSuchPart
from ..claims.sentences import claims
from ..claims.written import number
from ..statistics.bootstrap import FEWEST, Interval
from .quantities import OWN, WORDS
from .sections import Finding, Section


@dataclass(frozen=True)
class Said:
    """One sentence of a report, with the number in it."""

    section: str
    quantity: str
    text: str
    html: str
    """The same with the number as `<data value="...">`, in full precision."""
    estimate: float
    low: float
    high: float
    n: int
    unit: str


def said(section: Section, measured: Measured, words: Mapping[str, str], seed: int) -> list[Said]:
    """The sentences of a section that its measurements can fill.

    A quantity that the network has no part for, or that no image has a number for, gives none.
    """
    each = [_one(section, finding, measured, words, seed) for finding in section.findings]
    return [one for one in each if one is not None]


def _one(section: Section, finding: Finding, measured: Measured, words: Mapping[str, str], seed: int) -> Said | None:
    try:
        found, n = _interval(finding.quantity, measured, seed)
    except (Lacking, NoSuchPart):
        return None
    if math.isnan(found.value):
        return None
    unit = finding.unit or (claims()[finding.quantity].unit if finding.quantity in claims() else "1")
    more = dict(words) | {"side": _side(found, finding.sides)}
    more |= WORDS[finding.quantity](measured) if finding.quantity in WORDS else {}
    shown = _shown(found.value, unit, finding.form)
    rest = f"{_ends(found, unit, finding.form)}, n = {n:,}"
    text = f"{finding.sentence.format(value=shown, **more)} ({rest})"
    number_of = f'<data value="{float(found.value)!r}">{escape(shown)}</data>'
    html = escape(finding.sentence).format(value=number_of, **{key: escape(word) for key, word in more.items()})
    html += f' <span class="ends">({escape(rest)})</span>'
    html = html.replace(" %", "\xa0%")
    value, low, high = map(float, found)
    return Said(section.name, finding.quantity, text, html, value, low, high, n, unit)


def _interval(name: str, measured: Measured, seed: int) -> tuple[Interval, int]:
    found = OWN[name](measured)
    if isinstance(found, tuple):
        return found
    if not found.count:
        return Interval(math.nan, math.nan, math.nan), 0
    ends = Interval(*map(float, found.interval(seed)))
    # a share has an interval whatever the count; of so few no sentence of a report leans on it
    return (ends if found.count >= FEWEST else Interval(ends.value, math.nan, math.nan)), found.count


def _side(found: Interval, sides: Mapping[str, str]) -> str:
    if not sides:
        return ""
    return sides["below"] if found.high < 0 else sides["above"] if found.low > 0 else sides["neither"]


def _shown(value: float, unit: str, form: str) -> str:
    return f"{number(100 * value, '1')} %" if form == "percent" else number(value, unit)


def _ends(found: Interval, unit: str, form: str) -> str:
    if math.isnan(found.low):
        return "no interval"
    return f"{_shown(found.low, unit, form)} to {_shown(found.high, unit, form)}"
