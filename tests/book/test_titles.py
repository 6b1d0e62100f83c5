"""The title of a chapter states a finding, and the recorded evidence still says so."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import vitgeom_nb as vg
from tests.chapters import ROOT
from vitgeom_nb.claims.rules import JUDGED, SUPPORTED
from vitgeom_nb.equivalence.tables import steepness
from vitgeom_nb.networks.embedded import FAMILIES, card

SMOOTH = ("vit", "swin", "convnext")  # GELU, where the other two have a piecewise linear activation


def cells(ledger: pd.DataFrame, claim: str) -> pd.DataFrame:
    """What is recorded of a claim, by network, class of networks or difference of classes."""
    rows = ledger[(ledger.claim == claim) & ledger.estimate.notna()].set_index("network")
    assert len(rows)
    return rows


def shared(ledger: pd.DataFrame) -> bool:
    return (cells(ledger, "S1").corrected == SUPPORTED).any()


def few_directions(ledger: pd.DataFrame) -> bool:
    rows = cells(ledger, "S4")
    return (rows[rows.index.isin(FAMILIES)].low > 0.5).all()


def step_decides(_: pd.DataFrame) -> bool:
    laws = [law for law in vg.claims.recorded("step_law") if law.attrs["model"] in FAMILIES]
    turns = {
        law.attrs["model"]: np.sqrt((law.angle**2).mean(("image", "direction"))).sortby("step_size") for law in laws
    }
    orders = [sorted(turns, key=lambda name, at=at: float(turns[name][at])) for at in (0, -1)]
    floors = [float(law.angle.median()) > float(law.noise_floor.max()) for law in laws]
    return len(laws) > 1 and orders[0] != orders[1] and all(floors)


def learned(_: pd.DataFrame) -> bool:
    grown = {
        name: past[-1]["direction_change_median_deg"] / past[0]["direction_change_median_deg"]
        for name in FAMILIES
        if (past := card(name)["history"])
    }
    return all(grown[name] > 2 for name in SMOOTH) and all(grown[name] < 2 for name in set(grown) - set(SMOOTH))


def over_confident(ledger: pd.DataFrame) -> bool:
    rows = cells(ledger, "K1").high
    return rows["transformers"] < 0 and rows["transformers − CNNs"] < 0


def sure_is_far(ledger: pd.DataFrame) -> bool:
    rows = cells(ledger, "K3")
    return (rows[rows.index.isin(FAMILIES)].low > 0.5).all()


def tens_of_times(ledger: pd.DataFrame) -> bool:
    rows = cells(ledger, "S7")
    rows = rows[rows.index.isin(FAMILIES) & (rows.verdict != "")]
    return len(rows) > 1 and (rows.low > 10).all() and (rows.high < 100).all()


def a_hundredfold(_: pd.DataFrame) -> bool:
    """Within a factor of two on every photograph, as S7 reads the paper, and beyond every network at 64 pixels."""
    spectra = {one.attrs["model"]: one for one in vg.claims.recorded("singular_spectrum")}
    (constants,) = (one for one in vg.claims.recorded("lldlc") if one.attrs["model"] == "efficientnet-lite0")
    measured, _ = steepness(spectra.pop("efficientnet-lite0"), constants)
    small = [float((3 * 64**2 / one.stable_rank).max()) ** 0.5 for one in spectra.values()]
    return len(small) > 1 and max(50, *small) < measured.min() and measured.max() < 200


def fewer_than_half(ledger: pd.DataFrame) -> bool:
    verdicts = ledger.verdict[ledger.verdict.isin(JUDGED)]
    return len(verdicts) > 50 and (verdicts == SUPPORTED).mean() < 0.5


FINDINGS: dict[str, tuple[str, Callable[[pd.DataFrame], bool]]] = {
    "equivalent-images": ("Unlike pictures can share an embedding", shared),
    "singular-spectra": ("Ten directions of the pixels do most of the work", few_directions),
    "curvature": ("Every embedding bends, and the step decides which bends most", step_decides),
    "lldlc": ("Gradient directions are tens of times steeper than random ones", tens_of_times),
    "published-network": ("At 224 pixels the steepest direction stands out a hundredfold", a_hundredfold),
    "training": ("Training bends the smooth networks", learned),
    "reliability": ("Here the transformers are more over-confident than the CNNs", over_confident),
    "claims": ("Fewer than half of the verdicts support the papers", fewer_than_half),
    "fgsm-paths": ("Images that a network is sure of lie farther from the boundary", sure_is_far),
}


@pytest.mark.parametrize("name", FINDINGS)
def test_the_title_is_what_was_found(name: str, recorded_ledger: pd.DataFrame) -> None:
    title, holds = FINDINGS[name]
    found = re.search(r"^# (.+)$", (ROOT / "book" / f"{name}.md").read_text(), flags=re.MULTILINE)
    assert found
    assert found[1] == title
    assert holds(recorded_ledger), f"The recorded evidence no longer says: {title}."
