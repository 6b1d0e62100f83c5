"""The published sentences and their rules, as `claims.toml` states them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import pandas as pd

from ..core.arguments import checked
from ..errors import ArgumentError

CLASSES = ("any", "transformer", "CNN", "difference")
COMPARISONS = ("above", "below", "within", "outside", "all")


class Rule(NamedTuple):
    """What an interval is held against: a border, or two of them, with the margin that counts as no difference."""

    comparison: str
    reference: float
    margin: float
    why: str
    scale: str = "difference"

    @property
    def bounds(self) -> tuple[float, float]:
        """The lower and the upper border; those of `above` and `below` are the same one."""
        if self.scale == "factor":
            low, high = self.reference / self.margin, self.reference * self.margin
        else:
            low, high = self.reference - self.margin, self.reference + self.margin
        return {"above": (high, high), "below": (low, low)}.get(self.comparison, (low, high))

    @property
    def words(self) -> str:
        """The rule in words: `above 0.5`, `between 50 and 200`."""
        low, high = (f"{bound:.4g}" for bound in self.bounds)
        return {
            "above": f"above {high}",
            "below": f"below {low}",
            "within": f"between {low} and {high}",
            "outside": f"below {low} or above {high}",
            "all": "supported throughout",
        }[self.comparison]


class Claim(NamedTuple):
    """One sentence: where it stands, the quantity that decides it, what that reads, and the rule of each class."""

    id: str
    sentence: str
    paper: str
    where: str
    chapter: str
    reads: tuple[str, ...]
    quantity: str
    unit: str
    rules: Mapping[str, Rule]

    def rule(self, family: str) -> Rule | None:
        """The rule for a class of networks, or None if the sentence is not about it."""
        return self.rules.get(family, self.rules.get("any") if family != "difference" else None)


@cache
def _read() -> dict[str, Any]:
    return tomllib.loads((files(__package__) / "claims.toml").read_text(encoding="utf-8"))


@cache
def claims() -> dict[str, Claim]:
    """Every claim by its id, in the order of the papers."""
    found = {}
    for entry in _read()["claim"]:
        rules = {family: Rule(**rule) for family, rule in entry["rules"].items()}
        found[entry["id"]] = Claim(**(entry | {"reads": tuple(entry["reads"]), "rules": rules}))
    return found


def claims_of(chapter: str | None) -> list[Claim]:
    """The claims of a chapter, or all of them.

    Raises
    ------
    ArgumentError
        If no claim belongs to it.
    """
    found = [claim for claim in claims().values() if chapter in (None, claim.chapter)]
    if not found:
        known = ", ".join(dict.fromkeys(claim.chapter for claim in claims().values()))
        raise ArgumentError(f"No claim belongs to the chapter {chapter!r}; those of {known} have some.")
    return found


@cache
def toolkit_values() -> list[dict[str, Any]]:
    """What the authors' own toolkit gives: network, quantity, value, digits, number of images."""
    return _read()["reference"]


@checked
def sentences() -> pd.DataFrame:
    """The published sentences that are put to the test, one row each, with the rule that decides them.

    Returns
    -------
    pandas.DataFrame
        By `claim`, its id: `sentence`, in our words; `paper`, and `where` in it; `quantity`, which decides; `reads`,
        the measurements that it is made of; `rule`, in words for each class of networks that the sentence is about;
        `why`, the reason of its margins; `chapter`, which measures it.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> str(vg.claims.sentences().rule["K1"])
    'transformer: above -0.02; CNN: below -0.02; difference: above 0.02'
    """
    rows = [
        {
            "claim": claim.id,
            "sentence": claim.sentence,
            "paper": claim.paper,
            "where": claim.where,
            "quantity": claim.quantity,
            "reads": ", ".join(claim.reads),
            "rule": "; ".join(f"{family}: {rule.words}" for family, rule in claim.rules.items()),
            "why": "; ".join(dict.fromkeys(rule.why for rule in claim.rules.values())),
            "chapter": claim.chapter,
        }
        for claim in claims().values()
    ]
    return pd.DataFrame(rows).set_index("claim")
