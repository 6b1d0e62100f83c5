"""The figures of the papers: where each stands in this book, and whether ours says the same, by the verdicts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import NamedTuple

import pandas as pd

from ..statistics.verdicts import INCONCLUSIVE, NOT_SUPPORTED, SUPPORTED
from .in_small import told
from .rules import JUDGED, waiting
from .sentences import Claim, claims
from .written import number

NO_SENTENCE = "no sentence rests on it"
PAPERS = {"salman2024": "Salman et al. (2024)", "kim2024": "Kim et al. (2024)"}
PAPERS |= {"goodfellow2015": "Goodfellow et al. (2015)"}


class Published(NamedTuple):
    """One figure of a paper: what it shows, and where it stands here."""

    paper: str
    shows: str
    chapter: str
    function: str
    tests: tuple[str, ...]
    claims: tuple[str, ...]


@cache
def published() -> tuple[Published, ...]:
    """The figures of the papers, in their order."""
    read = tomllib.loads((files(__package__) / "figures.toml").read_text(encoding="utf-8"))
    return tuple(
        Published(**(entry | {"tests": tuple(entry["tests"]), "claims": tuple(entry["claims"])}))
        for entry in read["figure"]
    )


def agreement(figure: Published, table: pd.DataFrame) -> str:
    """Whether what we found agrees with a figure, by the verdicts of the sentences that rest on it.

    *Agrees* where every verdict is supported, *does not agree* where every one is not supported, *agrees in part*
    where some are supported, *undecided* otherwise.
    """
    if not figure.claims:
        return NO_SENTENCE
    rows = pd.concat([told(table, claims()[name]) for name in figure.claims])
    found = set(rows["verdict"]) & set(JUDGED)
    if not found:
        return waiting(rows["verdict"])
    one = {SUPPORTED: "agrees", NOT_SUPPORTED: "does not agree", INCONCLUSIVE: "undecided"}
    return one[found.pop()] if len(found) == 1 else "agrees in part" if SUPPORTED in found else "undecided"


def reason(claim: Claim, table: pd.DataFrame, names: Mapping[str, str]) -> str:
    """Why: a claim with what it asks for, and under each verdict the networks with their estimates.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> reason(claims()["S6"], vg.claims.table({}, networks=["vit"]), {})
    'S6 (below 0.1) is not measured yet'
    """
    rows = told(table, claim)
    said = []
    for verdict in JUDGED:
        some = rows[rows["verdict"] == verdict]
        each = (f"{names.get(r.network, r.network)} {_estimate(r.estimate, r.unit)}".strip() for r in some.itertuples())
        if len(some):
            said.append(f"{verdict}: {', '.join(each)}")
    asked = "; ".join(dict.fromkeys(f"{_whom(family)}{rule.words}" for family, rule in claim.rules.items()))
    return f"{claim.id} ({asked}) {'; '.join(said) or 'is ' + waiting(rows['verdict'])}"


def _whom(family: str) -> str:
    return {"any": "", "difference": "transformers − CNNs "}.get(family, f"{family} ")


def _estimate(value: float, unit: str) -> str:
    return "" if pd.isna(value) else number(value, unit)


def figures_index(table: pd.DataFrame, names: Mapping[str, str], link: str) -> str:
    """The figures of the papers as an HTML table: paper, what is shown, page, function, tests, agreement and why.

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
    >>> figures_index(vg.claims.table({}, networks=["vit"]), {}, "{chapter}.html").count("<b>not measured yet</b>")
    17
    """
    heads = ("what the paper shows", "ours: page, function, tests", "does ours agree?")
    lines = [
        '<table class="dataframe vg-words">',
        "<caption>Figures of the papers, and ours</caption>",
        "<thead><tr>" + "".join(f'<th scope="col">{head}</th>' for head in heads) + "</tr></thead>",
        "<tbody>",
    ]
    for one in published():
        address = escape(link.format(chapter=one.chapter))
        ours = "<br>".join(f"<code>{escape(name)}</code>" for name in (f"vg.{one.function}", *one.tests))
        why = "".join(f"<br>{escape(reason(claims()[name], table, names))}" for name in one.claims)
        lines.append(
            f'<tr><th scope="row">{escape(one.shows)}. {PAPERS[one.paper]}</th>'
            f'<td><a href="{address}">{escape(one.chapter)}</a><br>{ours}</td>'
            f"<td><b>{agreement(one, table)}</b>{why}</td></tr>"
        )
    return "\n".join([*lines, "</tbody>", "</table>"])
