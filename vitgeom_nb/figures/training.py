"""The figure of how accuracy and direction change evolve during training."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ..core.arguments import checked
from .style import by_network, subplots


@checked(measurements=("epoch", "top1", "direction_change"))
def training_history(measurements: xr.Dataset | Iterable[xr.Dataset]) -> Figure:
    """Accuracy with its interval and median direction change with its quartiles, against epochs of training."""
    each = by_network(measurements)
    figure, (left, right) = subplots(1, 2, figsize=(9, 3.6), sharex=True)
    for history, label, colour, marker in each:
        epoch = history["epoch"].values
        shown = (
            (left, "top1", ("low", "high"), 100),
            (right, "direction_change", ("lower_quartile", "upper_quartile"), 180 / np.pi),
        )
        for panel, name, ends, scale in shown:
            band = (scale * history[f"{name}_{end}"].values for end in ends)
            panel.fill_between(epoch, *band, color=colour, alpha=0.15, linewidth=0)
            panel.plot(epoch, scale * history[name].values, f"{marker}-", color=colour, label=label)
    epochs = {float(e) for history, *_ in each for e in history["epoch"].values}
    ticks = sorted(e for e in epochs if e == 0 or float(np.log2(e)).is_integer())
    for panel in (left, right):
        panel.set_xscale("symlog", linthresh=1, linscale=0.5)
        panel.set_xticks(ticks, [f"{e:g}" for e in ticks])
        panel.minorticks_off()
        panel.set_xlabel("epochs of training")
    left.set(ylabel="top-1 accuracy (%)", title="Accuracy and its 95 % interval", ylim=(0, None))
    right.set(ylabel="direction change (degrees)", title="Direction change: median and quartiles", yscale="log")
    left.legend()
    return figure
