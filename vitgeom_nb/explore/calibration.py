"""Explorer of reliability diagrams, drawn in the page from recorded confidences at any number of bins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from ..calibration.logits import labelled_logits
from ..calibration.predictions import Predictions
from ..calibration.reliability import reliability as measure
from ..core.arguments import checked
from ..figures.style import look
from .display import Display
from .drawing import Chart, box
from .explorer import Control, Panel, Setting, View

BINS = tuple(range(1, 21))
TEMPERATURES = tuple(2 ** (k / 10) for k in range(-10, 11))
UNIT = 10**6  # sums of confidence are kept in millionths
ALT = (
    "Reliability diagram of {network} with {bins} bins at temperature {temperature}: "
    "expected calibration error {ece}, signed {sece}."
)


def edges(bins: tuple[int, ...] = BINS) -> list[Fraction]:
    """All edges k / m of all numbers of bins m: between them lie cells of which every bin is a union."""
    return sorted({Fraction(k, m) for m in bins for k in range(m + 1)})


def cells(confidence: torch.Tensor, correct: torch.Tensor) -> dict[str, list[int]]:
    """Numbers of the cells that hold images, and of those the count, the correct ones and the sum of confidence."""
    borders = torch.tensor([float(edge) for edge in edges()], dtype=torch.float64)
    which = (torch.searchsorted(borders, confidence.contiguous()) - 1).clamp(0, len(borders) - 2)
    held, inverse, count = which.unique(return_inverse=True, return_counts=True)
    right, total = (
        torch.zeros(len(held), dtype=torch.float64).index_add(0, inverse, v.double()) for v in (correct, confidence)
    )
    return {
        "at": held.tolist(),
        "count": count.tolist(),
        "correct": right.long().tolist(),
        "sum": (total * UNIT).round().long().tolist(),
    }


@checked
def reliability(predictions: Mapping[str, Predictions]) -> Display:
    """Slide the number of bins and the temperature, and watch bars, ECE and signed ECE move.

    Parameters
    ----------
    predictions
        Name of a network -> its logits and labels, as `vg.recorded_predictions` returns them.

    Returns
    -------
    Display
    """
    each: dict[str, tuple[str, torch.Tensor, torch.Tensor]] = {}
    for i, (name, p) in enumerate(predictions.items()):
        label, colour, _ = look(name, i)
        seen = labelled_logits(p, None, None, None)
        each[label] = colour, seen.logits, seen.labels

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], ls="--", color="#444444", lw=1)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy", aspect="equal")

    chart = Chart(draw, 330, 320)
    temperatures = Control("temperature", "Temperature", TEMPERATURES, "{:.3f}", TEMPERATURES.index(1.0), log=True)

    def view(setting: Setting) -> View:
        label = setting.get("network", next(iter(each)))
        colour, logits, labels = each[label]
        table = measure(
            logits=logits,
            labels=labels,
            bins=setting["bins"],
            temperature=setting["temperature"],
            resamples=1,
            name=label,
        )
        ece, sece = f"{float(table.ece):.4f}", f"{float(table.sece):+.4f}"
        readout = {
            "accuracy": f"{float(table.top1):.4f}",
            "mean confidence": f"{float(table.mean_confidence):.4f}",
            "ECE": ece,
            "signed ECE": sece,
        }
        warmth = temperatures.text(setting["temperature"])
        alt = ALT.format(network=label, bins=setting["bins"], temperature=warmth, ece=ece, sece=sece)
        return View((Panel(label, chart.picture, alt, _bars(chart, table, colour)),), readout)

    def live(setting: Setting, before: Callable[[], None]) -> View:
        before()
        return view(setting)

    data: dict[str, Any] = {
        "edges": [float(edge) for edge in edges()],
        "bins": list(BINS),
        "unit": UNIT,
        "scale": chart.scale(),
        "names": list(each),
        "colours": [colour for colour, _, _ in each.values()],
        "temperatures": [temperatures.text(t) for t in TEMPERATURES],
        "alt": ALT,
        "cells": [[cells(*_judged(logits, labels, t)) for t in TEMPERATURES] for _, logits, labels in each.values()],
    }
    return Display(
        "Reliability at any number of bins and any temperature",
        "Slide the number of bins: the signed error stays, the expected one does not. Slide the temperature: above 1 "
        "the network grows less sure, below 1 surer, and its accuracy stays.",
        (
            Control("network", "Network", tuple(each)),
            temperatures,
            Control("bins", "Bins", BINS, "{:d}", BINS.index(15), whole=True),
        ),
        view,
        live,
        "reliability",
        data,
        subject="sight",
        networks=tuple(predictions),
    )


def _judged(logits: torch.Tensor, labels: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Confidence of every image at a temperature, and whether it is right."""
    confidence, predicted = (logits / temperature).softmax(1).max(1)
    return confidence, predicted == labels


def _bars(chart: Chart, table: xr.Dataset, colour: str) -> str:
    """Bars as opaque as their bin is full, and a dot at mean confidence and accuracy: what the page's script draws."""
    bars = dots = ""
    total, bins = int(table["count"].sum()), table.sizes["bin"]
    for b in range(bins):
        count, accuracy = int(table["count"][b]), float(table.accuracy[b])
        if not count:
            continue
        opacity = 0.15 + 0.85 * float(np.sqrt(count / total))
        bars += box(chart.at(b / bins, accuracy), chart.at((b + 1) / bins, 0), colour, opacity)
        x, y = chart.at(float(table.confidence[b]), accuracy)
        dots += f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="#222222"/>'
    return bars + dots
