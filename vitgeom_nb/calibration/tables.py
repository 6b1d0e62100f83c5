"""Measurements of calibration and of training as tables, one row a network."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import xarray as xr

from ..statistics.intervals import ratio_interval
from ..statistics.tables import Families, interval, table
from ..statistics.verdicts import side

ALIKE = 0.1  # angles that differ by less than this part are called alike


def calibration_summary(measurements: Iterable[xr.Dataset], families: Families = None) -> pd.DataFrame:
    """Accuracy, confidence and calibration errors of measurements of `reliability`, a row each.

    `families` names the class of each network. The column `it is` says on which side of zero the interval of the
    signed error lies.
    """
    tables = list(measurements)
    return table(
        tables,
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
        families,
    )


def corruption_summary(measurements: Iterable[xr.Dataset], families: Families = None) -> pd.DataFrame:
    """Shares of the clean accuracy that corruption leaves, from measurements of `corrupted_predictions`, a row each.

    A column a corruption, the mean over its strengths; the last is the mean over all, with its 95 % interval.
    """
    each = list(measurements)
    rows: list[dict[str, object]] = []
    for seen in each:
        clean = seen.predicted == seen.label
        right = (seen.corrupted_predicted == seen.label).mean("strength")
        left = (right.mean("image") / clean.mean()).round(2)
        value, low, high = ratio_interval(right.mean("corruption"), clean)
        rows.append(
            dict(zip(map(str, left.corruption.values), left.values, strict=True))
            | {"mean": f"{value:.3f} [{low:.3f}, {high:.3f}]"}
        )
    return table(each, rows, families)


def training_summary(measurements: Iterable[xr.Dataset]) -> pd.DataFrame:
    """Accuracy at the end and direction change along the training of measurements of `training_history`, in degrees."""
    each = list(measurements)
    rows = []
    for history in each:
        epoch, bend = history["epoch"].values, np.degrees(history["direction_change"].values)
        rows.append(
            {
                "epochs": float(epoch[-1]),
                "top-1, %": round(100 * float(history["top1"][-1]), 1),
                "untrained": bend[0],
                "largest": bend.max(),
                "largest at epoch": float(epoch[bend.argmax()]),
                "trained": bend[-1],
                "training left it": _compared(bend[-1] / bend[0]),
            }
        )
    return table(each, rows)


def _compared(ratio: float) -> str:
    if abs(ratio - 1) < ALIKE:
        return "as bent as before"
    return "more bent" if ratio > 1 else "straighter"
