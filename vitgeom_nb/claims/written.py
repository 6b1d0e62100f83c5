"""The table of claims for readers: words in cells, as HTML that a screen reader reads and as CSV."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

import pandas as pd

from ..core.arguments import checked
from ..core.whole_files import write_whole
from .rules import COMPARED, JUDGED
from .sentences import Claim, claims

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem;color:#111}"
    "table{border-collapse:collapse;margin:1rem 0}caption{text-align:left;font-weight:600;padding:.3rem 0}"
    "th,td{border:1px solid #8a8a8a;padding:.25rem .5rem;text-align:left;vertical-align:top}"
)


def number(value: float, unit: str) -> str:
    """An estimate or the end of an interval with its unit, in three digits; 0 below 0.0001, which no margin is."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value if abs(value) >= 1e-4 else 0:.3g}".replace("-", "−") + {"degrees": "°", "dB": " dB"}.get(unit, "")


def in_words(row: pd.Series) -> str:
    """What a cell says: verdict, estimate with its interval, how many images; and what is left after correction."""
    said = str(row["verdict"])
    if said in JUDGED and row["corrected"] != said:
        said += f" ({row['corrected']} after correction)"
    if math.isnan(row["estimate"]):
        return said
    said += f": {number(row['estimate'], row['unit'])}"
    if not math.isnan(row["low"]):
        said += f" [{number(row['low'], row['unit'])}, {number(row['high'], row['unit'])}]"
    return f"{said}, n = {int(row['n']):,}"


@checked
def html(table: pd.DataFrame, link: str | None = None) -> str:
    """The table of claims as HTML: a row a claim, a column a network or class, words in every cell.

    Parameters
    ----------
    table
        What `vg.claims.table` returns.
    link
        Where chapters are, with `{chapter}` in the place of their names: `"{chapter}.html"`; no links unless told.

    Returns
    -------
    str
        A `<table>` with a caption and headings that screen readers announce.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> page = vg.claims.html(vg.claims.table({}, networks=["vit"]), link="{chapter}.html")
    >>> '<a href="lldlc.html">S7</a>' in page, page.count("not measured yet")
    (True, 21)
    """
    rows = table[table["verdict"] != ""]
    networks = list(dict.fromkeys(rows["network"]))
    at = {(row["claim"], row["network"]): in_words(row) for _, row in rows.iterrows()}
    lines = [
        '<table class="dataframe vg-words">',  # which themes of notebooks know, also in the dark
        "<caption>Every claim on every network: verdict, estimate with its 95 % interval, images or pairs</caption>",
        "<thead><tr>"
        + "".join(f'<th scope="col">{escape(name)}</th>' for name in ("claim", *networks))
        + "</tr></thead>",
        "<tbody>",
    ]
    for claim in claims().values():
        if claim.id not in set(rows["claim"]):
            continue
        lines.append(f'<tr><th scope="row">{_linked(claim, claim.id, link)} {escape(claim.sentence)}</th>')
        cells = [at.get((claim.id, name), "") for name in networks]
        lines.append("".join(f"<td>{_linked(claim, words, link) if words else ''}</td>" for words in cells) + "</tr>")
    return "\n".join([*lines, "</tbody>", "</table>"])


def _linked(claim: Claim, words: str, link: str | None) -> str:
    return (
        escape(words) if link is None else f'<a href="{escape(link.format(chapter=claim.chapter))}">{escape(words)}</a>'
    )


def write(table: pd.DataFrame, folder: Path) -> list[Path]:
    """Write `claims.csv`, one line a row of the table, and `claims.html`, to a folder that exists.

    Raises
    ------
    DataError
        If there is no permission or no space.
    """
    judged = table[table["verdict"].isin([*JUDGED, COMPARED])]
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Claims</title>'
        f"<style>{STYLE}</style></head><body>\n<h1>Claims</h1>\n{html(table)}\n<h2>Rules</h2>\n<dl>\n"
        + "\n".join(
            f"<dt>{claim.id} {escape(claim.sentence)}</dt><dd>{escape(claim.quantity)}: {escape(_rules(claim))}</dd>"
            for claim in claims().values()
            if claim.id in set(judged["claim"])
        )
        + "\n</dl>\n</body></html>\n"
    )
    paths = [folder / "claims.csv", folder / "claims.html"]
    for path, text in zip(paths, (table.to_csv(index=False), page), strict=True):
        write_whole(path, text.encode())
    return paths


def _rules(claim: Claim) -> str:
    return "; ".join(f"{family}: {rule.words} ({rule.why})" for family, rule in claim.rules.items())
