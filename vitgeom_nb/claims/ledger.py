"""The ledger: every claim on every network, as one table of estimates, intervals and verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from ..core.arguments import checked
from ..errors import ArgumentError
from ..statistics.intervals import FEWEST, Interval
from ..statistics.verdicts import INCONCLUSIVE, NOT_SUPPORTED, SUPPORTED
from .beside import BESIDE
from .quantities import QUANTITIES, Lacking, NoSuchPart
from .rules import COMPARED, DOES_NOT_APPLY, JUDGED, NOT_AT_HAND, NOT_MEASURED, holm, judged, surprise
from .runs import Shipped, family_of, opened, tier_of
from .samples import Sample, across
from .sentences import Claim, claims, claims_of

COLUMNS: tuple[str, ...] = ("claim", "network", "estimate", "low", "high", "n", "verdict", "corrected", "p")
COLUMNS += ("family", "quantity", "unit")
FAMILIES = ("transformer", "CNN", "custom")
ALL_NETWORKS = "all networks"
CLASS_ROWS = {"transformer": "transformers", "CNN": "CNNs", "difference": "transformers − CNNs"}
NOTHING = Interval(math.nan, math.nan, math.nan)
ALPHA = 0.05


class Entry(NamedTuple):
    """One row before correction."""

    claim: Claim
    network: str
    family: str
    found: Interval
    n: int
    verdict: str

    def row(self) -> dict[str, Any]:
        """The same as a row of the table, with the p-value of its verdict."""
        rule = self.claim.rule(self.family)
        tested = self.verdict in JUDGED and rule is not None and rule.comparison != "all"
        return {
            "claim": self.claim.id,
            "network": self.network,
            "estimate": self.found.value,
            "low": self.found.low,
            "high": self.found.high,
            "n": self.n,
            "verdict": self.verdict,
            "p": surprise(self.found, rule, self.n) if tested and rule is not None else math.nan,
            "family": self.family,
            "quantity": self.claim.quantity,
            "unit": self.claim.unit,
        }


@checked
def table(
    run: Any = None,
    *,
    networks: Sequence[str] | None = None,
    chapter: str | None = None,
    families: Mapping[str, str] | None = None,
    beside: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Every claim on every network of a run: estimate, 95 % interval over images or pairs, and verdict.

    A verdict is *supported* where the interval lies where the rule of the claim wants it, *not supported* where it lies
    where the rule forbids it, *inconclusive* otherwise or where there are too few images for an interval. Rules, with
    the margins that count as no difference, are those of `sentences()`; sentences that deny a difference need the
    interval inside a margin. `corrected` is the verdict that is left after Holm's correction for the number of verdicts
    in the table [holm1979]: inconclusive where the corrected p-value is over 0.05.

    Parameters
    ----------
    run
        What `open_run` returns, or any mapping from networks to mappings from names of measurements to these; or the
        path of either, or of a folder laid out as `<network>/<measurement>.nc`. The recorded evidence unless told;
        where it is not at hand, an `EvidenceWarning` says so, and only what ships with the package has verdicts.
    networks
        Which networks; all of the run unless told, of the recorded evidence all but the controls. What the run lacks
        of them is not measured yet.
    chapter
        Only the claims of a chapter, such as `"curvature"`: the quicker way where a page needs no more.
    families
        The class of networks that `models()` does not list: `"transformer"` or `"CNN"`. Sentences about a class are
        judged on networks of that class alone.
    beside
        Whether to add the numbers that stand beside those that decide, without a verdict.
    seed
        Of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        Columns `claim`, `network`, `estimate`, `low`, `high`, `n` (images or pairs with a value), `verdict`,
        `corrected`, `p` (that goes with the verdict, before correction), `family`, `quantity`, `unit`. Sentences that
        compare classes have rows for `transformers`, `CNNs` and `transformers − CNNs` of a tier too: means over
        the networks of a class, whose intervals are over images and say nothing of other networks. Beside `supported`,
        `not supported` and `inconclusive` a verdict may be `not measured yet`; `compared`, for networks beside those
        that the sentence is about; `does not apply`, where a network lacks the part in question; `not at hand`,
        of recorded evidence that is not here.

    Raises
    ------
    ArgumentError
        If the run is no mapping, no claim is of the chapter, or a class is neither of the two.
    DataError
        If a file of the evidence is damaged or of other weights.

    References
    ----------
    [salman2024] and [kim2024], whose sentences they are; rules and margins are ours.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> logits, labels = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)) * 9, torch.arange(200) % 3
    >>> seen = vg.reliability(logits=logits, labels=labels).drop_dims("bin").assign(
    ...     logits=(("image", "class"), logits.numpy()), label=("image", labels.numpy()))
    >>> ledger = vg.claims.table({"mine": {"predictions": seen}}, families={"mine": "CNN"})
    >>> ledger[ledger.claim == "K1"][["network", "verdict", "n"]].values.tolist()
    [['mine', 'supported', 200]]
    """
    measured = opened(run)
    wrong = [kind for kind in (families or {}).values() if kind not in FAMILIES]
    if wrong:
        raise ArgumentError(f"There is no class {wrong[0]!r} of networks; choose one of {', '.join(FAMILIES)}.")
    every = [name for name in measured if run is not None or tier_of(name) != "control"]
    named = every if networks is None else list(networks)
    each = [_Network(name, family_of(name, families or {}), measured.get(name, {}), seed) for name in named]
    rows, extra = [], []
    asked = claims_of(chapter)
    for claim in asked:
        if claim.id == "S10":
            continue
        rows += [network.entry(claim).row() for network in each]
        rows += [entry.row() for entry in _class_entries(claim, each, seed)]
        extra += [row for network in each if beside for row in network.beside(claim)]
    frame = _corrected(pd.DataFrame(rows, columns=[c for c in COLUMNS if c != "corrected"]))
    whole = frame if chapter else pd.concat([frame, _overall(frame, each)], ignore_index=True)
    if isinstance(measured, Shipped):
        whole = whole.replace({"verdict": NOT_MEASURED, "corrected": NOT_MEASURED}, NOT_AT_HAND)
    order = {claim: place for place, claim in enumerate(claims())}
    whole = whole.sort_values("claim", key=lambda ids: ids.map(order), kind="stable")
    if extra:
        whole = pd.concat([whole, pd.DataFrame(extra).assign(verdict="", corrected="", p=math.nan)])
    return whole[list(COLUMNS)].astype({"n": int}).reset_index(drop=True)


class _Network(NamedTuple):
    """A network of a run, with its class."""

    name: str
    family: str
    measured: Mapping[str, xr.Dataset]
    seed: int

    def sample(self, claim: Claim) -> Sample | None:
        """What the claim is about, of this network; None where the run lacks it."""
        try:
            return QUANTITIES[claim.id](self.measured)
        except Lacking:
            return None

    def entry(self, claim: Claim) -> Entry:
        try:
            sample = self.sample(claim)
        except NoSuchPart:
            return Entry(claim, self.name, self.family, NOTHING, 0, DOES_NOT_APPLY)
        if sample is None:
            return Entry(claim, self.name, self.family, NOTHING, 0, NOT_MEASURED)
        found = sample.interval(self.seed) if sample.count else NOTHING
        return Entry(
            claim, self.name, self.family, found, sample.count, _verdict(claim, self.family, found, sample.count)
        )

    def beside(self, claim: Claim) -> list[dict[str, Any]]:
        """Rows of the numbers beside the one that decides, as far as the run has them."""
        rows = []
        for words, unit, make in BESIDE.get(claim.id, ()):
            try:
                sample = make(self.measured)
            except Lacking:
                continue
            value, low, high = sample.interval(self.seed) if sample.count else NOTHING
            row = {"claim": claim.id, "network": self.name, "estimate": value, "low": low, "high": high}
            rows.append(row | {"n": sample.count, "family": self.family, "quantity": words, "unit": unit})
        return rows


def _verdict(claim: Claim, family: str, found: Interval, n: int) -> str:
    rule = claim.rule(family)
    if rule is None:
        return COMPARED
    return judged(found, rule) if n >= FEWEST else INCONCLUSIVE  # fewer decide nothing, not even a share


def _class_entries(claim: Claim, networks: Sequence[_Network], seed: int) -> list[Entry]:
    """Rows of the classes and of their difference, tier by tier, of a sentence that compares classes."""
    if "difference" not in claim.rules:
        return []
    entries: list[Entry] = []
    for tier, group in groupby(sorted(networks, key=lambda n: tier_of(n.name)), key=lambda n: tier_of(n.name)):
        members: dict[str, list[Sample]] = {"transformer": [], "CNN": []}
        there = set()
        for network in group:
            sample = network.sample(claim)
            there.add(network.family)
            if network.family in members and sample is not None and sample.count:
                members[network.family].append(sample)
        if not set(members) <= there:
            continue
        suffix = "" if tier == "embedded" else f" ({tier})"
        if not all(members.values()):
            entries += [Entry(claim, CLASS_ROWS[f] + suffix, f, NOTHING, 0, NOT_MEASURED) for f in CLASS_ROWS]
            continue
        transformers, cnns = members["transformer"], members["CNN"]
        sums = {
            "transformer": [(1.0, transformers)],
            "CNN": [(1.0, cnns)],
            "difference": [(1.0, transformers), (-1.0, cnns)],
        }
        for family, groups in sums.items():
            found, n = across(groups, seed)
            entries.append(
                Entry(claim, CLASS_ROWS[family] + suffix, family, found, n, _verdict(claim, family, found, n))
            )
    return entries


def _corrected(frame: pd.DataFrame) -> pd.DataFrame:
    """With the verdicts that are left after Holm's correction over the whole table."""
    adjusted = holm(frame["p"].to_numpy(dtype=float))
    lost = adjusted > ALPHA
    return frame.assign(corrected=np.where(lost, INCONCLUSIVE, frame["verdict"]))


def _overall(frame: pd.DataFrame, networks: Sequence[_Network]) -> pd.DataFrame:
    """S10: the verdicts of S1 to S9 on each network, and on all of them."""
    claim = claims()["S10"]
    about = frame[frame["claim"].str.startswith("S")]
    sets = {network.name: about[about["network"] == network.name] for network in networks}
    if len(networks) > 1:
        sets[ALL_NETWORKS] = about
    rows = []
    for name, some in sets.items():
        known = some[some["verdict"].isin(JUDGED)]
        words = {key: _throughout(known[key], len(known) == len(some)) for key in ("verdict", "corrected")}
        share = float((known["verdict"] == SUPPORTED).mean()) if len(known) else math.nan
        row = Entry(claim, name, "any", NOTHING._replace(value=share), len(known), words["verdict"]).row()
        rows.append(row | {"corrected": words["corrected"]})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _throughout(verdicts: pd.Series, complete: bool) -> str:
    if verdicts.empty:
        return NOT_MEASURED
    if (verdicts == NOT_SUPPORTED).any():
        return NOT_SUPPORTED
    return SUPPORTED if complete and (verdicts == SUPPORTED).all() else INCONCLUSIVE
