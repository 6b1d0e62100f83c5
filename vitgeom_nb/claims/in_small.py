"""The ledger in small: a line a claim, with which networks say what, and how many sentences hold on each network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

import pandas as pd

from .ledger import ALL_NETWORKS, CLASS_ROWS
from .rules import JUDGED, WAITING, waiting
from .sentences import Claim, claims

SHOWN = (*JUDGED, *WAITING)


def of_networks(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a ledger that judge one network or wait for it: none of classes, none that only stand beside."""
    gathered = table["network"].str.startswith(tuple(CLASS_ROWS.values())) | (table["network"] == ALL_NETWORKS)
    return table[~gathered & table["verdict"].isin(SHOWN)]


def told(table: pd.DataFrame, claim: Claim) -> pd.DataFrame:
    """The rows that tell what a claim came to: of each network, or of the difference of the classes if it has no other.

    A sentence that only compares classes judges no network: there the row of the difference speaks.
    """
    rows = table[table["claim"] == claim.id]
    if set(claim.rules) == {"difference"}:
        return rows[rows["network"].str.startswith(CLASS_ROWS["difference"]) & rows["verdict"].isin(SHOWN)]
    return of_networks(rows)


def in_words(rows: pd.DataFrame, names: Mapping[str, str]) -> str:
    """Which networks say what: `supported on ViT and Swin; not measured yet on ResNet`, or that nothing is."""
    if not rows["verdict"].isin(JUDGED).any():
        return waiting(rows["verdict"])
    networks = {word: rows["network"][rows["verdict"] == word] for word in SHOWN}
    return "; ".join(
        f"{word} on {listed(names.get(n, n) for n in some)}" for word, some in networks.items() if len(some)
    )


def ledger_in_small(table: pd.DataFrame, names: Mapping[str, str], link: str) -> str:
    """A ledger as HTML of two columns, for a front page: each claim, and which networks say what.

    Parameters
    ----------
    table
        What `vg.claims.table` returns.
    names
        How networks are called; those not named here keep their own names.
    link
        Where chapters are, with `{chapter}` in the place of their names.

    Returns
    -------
    str
        A `<table>` with a caption and headings that screen readers announce.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> page = ledger_in_small(vg.claims.table({}, networks=["vit"]), {"vit": "ViT"}, "{chapter}.html")
    >>> page.count("<td>not measured yet</td>"), '<a href="lldlc.html">S7</a>' in page
    (20, True)
    """
    lines = [
        '<table class="dataframe vg-words">',
        "<caption>What each sentence came to, network by network</caption>",
        '<thead><tr><th scope="col">claim</th><th scope="col">verdicts</th></tr></thead>',
        "<tbody>",
    ]
    for claim in claims().values():
        some = told(table, claim)
        if len(some):
            address = escape(link.format(chapter=claim.chapter))
            lines.append(
                f'<tr><th scope="row"><a href="{address}">{claim.id}</a> {escape(claim.sentence)}</th>'
                f"<td>{escape(in_words(some, names))}</td></tr>"
            )
    return "\n".join([*lines, "</tbody>", "</table>"])


def counted(table: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """How many sentences have each verdict on a network: a row a network, a column a verdict.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> counted(vg.claims.table({}, networks=["vit"]), {"vit": "ViT"}).loc["ViT"].to_dict()
    {'supported': 0, 'not supported': 0, 'inconclusive': 0, 'not measured yet': 21}
    """
    rows = of_networks(table)
    found = pd.crosstab(rows["network"], rows["verdict"]).reindex(
        index=list(dict.fromkeys(rows["network"])), columns=[*JUDGED, waiting(rows["verdict"])], fill_value=0
    )
    return found.rename(index=dict(names)).rename_axis(index=None, columns=None)


def listed(names: Iterable[str]) -> str:
    """Names as a phrase: `ViT, Swin and ResNet`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
