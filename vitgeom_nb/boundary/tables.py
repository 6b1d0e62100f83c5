"""Measurements of ways to the boundary as tables, one row a network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..statistics.tables import Families, interval, table
from ..statistics.verdicts import side
from .label_search import OUTCOMES, beyond


def _median(values: Any) -> float:
    known = np.asarray(values)[~np.isnan(values)]
    with np.errstate(invalid="ignore"):  # half of them at one infinity, half at the other
        return float(np.median(known)) if len(known) else float("nan")


def travel_summary(measurements: Iterable[xr.Dataset], families: Families = None) -> pd.DataFrame:
    """Outcomes and distances of measurements of `travel_distance`, or of the direct paths of `random_jump`.

    `families` names the class of each network. The median is over the images that start right; those never wrong are
    beyond all others, so it is infinite where they are most. The column `with confidence,
    distance` is the sign of the rank correlation, `undecided` where its interval holds zero.
    """
    ways = list(measurements)
    rows = []
    for way in ways:
        direct = way.sel(path="direct") if "path" in way.dims else way
        rows.append(
            {kind: int((direct.outcome == kind).sum()) for kind in OUTCOMES}
            | {
                "median distance, 10⁻³": round(1e3 * _median(beyond(direct.epsilon, direct.outcome)), 2),
                "rank correlation": interval(way, "rank_correlation", "+.2f"),
                "with confidence, distance": side(way, "rank_correlation", "falls", "rises", "undecided"),
            }
        )
    return table(ways, rows, families)


def jump_summary(measurements: Iterable[xr.Dataset], families: Families = None) -> pd.DataFrame:
    """What the jump changes, from measurements of `random_jump`, a row each.

    `families` names the class of each network. Of the images that cross on the direct path, those `lost by the jump`
    have another label where the jump ends. Medians are over the images that start right: one lost by the jump has
    distance 0 after it, one never wrong an infinite one, and a PSNR below all. Words are
    `undecided` where the interval of the median holds zero.
    """
    ways = list(measurements)
    rows = []
    for way in ways:
        crossed = way.outcome == "crossed"
        jumped = way.sel(path="jumped").where(way.outcome.sel(path="direct") != "already wrong")
        lost = crossed.sel(path="direct") & (way.outcome.sel(path="jumped") == "already wrong")
        rows.append(
            {
                "cross both ways": int(crossed.all("path").sum()),
                "lost by the jump": int(lost.sum()),
                "median change of distance, 10⁻³": interval(way, "median_change", "+.2f", 1e3),
                "the boundary is": side(way, "median_change", "nearer", "farther", "undecided"),
                "the path is": side(way, "median_bend_change", "straighter", "more bent", "undecided"),
                "bent images are": side(way, "bend_correlation", "nearer", "farther", "undecided"),
                "median whole change": round(_median(jumped.total.where(jumped.outcome != "never wrong", np.inf)), 4),
                "median PSNR, dB": round(_median(jumped.psnr.where(jumped.outcome != "never wrong", -np.inf)), 2),
            }
        )
    return table(ways, rows, families)
