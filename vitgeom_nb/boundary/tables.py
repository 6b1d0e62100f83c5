"""Measurements of several networks as one table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import pandas as pd
import xarray as xr

from .crossing import OUTCOMES
from .verdicts import side


def interval(measurement: xr.Dataset, name: str, form: str = ".3f", scale: float = 1.0) -> str:
    """A scalar of a measurement with its interval: `0.031 [0.024, 0.038]`, or word that there is none.

    Parameters
    ----------
    measurement
        Has the scalars `name`, `name_low` and `name_high`.
    name
        The scalar in question.
    form
        How a number is written.
    scale
        What each is multiplied with first.
    """
    value, low, high = (scale * float(measurement[key]) for key in (name, f"{name}_low", f"{name}_high"))
    if math.isnan(low) or math.isnan(high):
        return "too few images" if math.isnan(value) else f"{value:{form}} [too few images]"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


Families: TypeAlias = Mapping[str, str] | pd.Series | None


def _table(measurements: list[xr.Dataset], families: Families, rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    table = pd.DataFrame(list(rows), index=[m.attrs["model"] for m in measurements])
    if families is not None:
        table.insert(0, "class", [families[name] for name in table.index])
    return table


def calibration_summary(measurements: Iterable[xr.Dataset], families: Families = None) -> pd.DataFrame:
    """Accuracy, confidence and calibration errors of measurements of `reliability`, a row each.

    `families` names the class of each network. The column `it is` says on which side of zero the interval of the
    signed error lies.
    """
    tables = list(measurements)
    return _table(
        tables,
        families,
        (
            {
                "images": int(t["count"].sum()),
                "bins": t.sizes["bin"],
                "accuracy": round(float(t.top1), 4),
                "mean confidence": round(float(t.mean_confidence), 4),
                "ECE": interval(t, "ece"),
                "signed ECE": interval(t, "sece", "+.3f"),
                "it is": side(t, "sece", "over-confident", "under-confident"),
            }
            for t in tables
        ),
    )


def travel_summary(measurements: Iterable[xr.Dataset], families: Families = None) -> pd.DataFrame:
    """Outcomes and distances of measurements of `travel_distance`, or of the direct paths of `random_jump`.

    `families` names the class of each network. The column `with confidence, distance` is the sign of the rank
    correlation, `undecided` where its interval holds zero.
    """
    ways = list(measurements)
    rows = []
    for way in ways:
        direct = way.sel(path="direct") if "path" in way.dims else way
        rows.append(
            {kind: int((direct.outcome == kind).sum()) for kind in OUTCOMES}
            | {
                "median distance, 10⁻³": round(1e3 * float(direct.epsilon.median()), 2),
                "rank correlation": interval(way, "rank_correlation", "+.2f"),
                "with confidence, distance": side(way, "rank_correlation", "falls", "rises", "undecided"),
            }
        )
    return _table(ways, families, rows)


def jump_summary(measurements: Iterable[xr.Dataset], families: Families = None) -> pd.DataFrame:
    """What the jump changes, from measurements of `random_jump`, a row each.

    `families` names the class of each network. Of the images that cross on the direct path, those `lost by the jump`
    have another label where the jump ends. Words are `undecided` where the interval of the median holds zero.
    """
    ways = list(measurements)
    rows = []
    for way in ways:
        crossed = way.outcome == "crossed"
        lost = crossed.sel(path="direct") & (way.outcome.sel(path="jumped") == "already wrong")
        rows.append(
            {
                "cross both ways": int(crossed.all("path").sum()),
                "lost by the jump": int(lost.sum()),
                "median change of distance, 10⁻³": interval(way, "median_change", "+.2f", 1e3),
                "the boundary is": side(way, "median_change", "nearer", "farther", "undecided"),
                "the path is": side(way, "median_bend_change", "straighter", "more bent", "undecided"),
                "bent images are": side(way, "bend_correlation", "nearer", "farther", "undecided"),
                "median whole change": round(float(way.total.sel(path="jumped").median()), 4),
                "median PSNR, dB": round(float(way.psnr.sel(path="jumped").median()), 2),
            }
        )
    return _table(ways, families, rows)
