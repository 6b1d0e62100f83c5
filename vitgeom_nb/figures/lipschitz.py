"""Figures of local directional Lipschitz constants and of the law behind their ratio."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ..core.arguments import checked
from ..core.measurement import parameters
from .jacobians import band, shade_rounding
from .style import as_list, by_network, look, panels, subplots

SIDES = (32, 64, 224, 384)


@checked(measurements=("lldlc", "kind", "rounding"))
def lldlc(measurements: xr.Dataset | Iterable[xr.Dataset]) -> Figure:
    """Constants against radius for every kind of direction: median and quartiles over images and directions.

    The thin lines are the largest singular value, where it was measured, and the distance at which the match lies,
    medians over images; grey is what rounding alone may contribute.
    """
    each = as_list(measurements)
    figure, axes = panels(len(each), 3, 3.6, (0.6, 0), sharey=True)
    for data, axis in zip(each, axes.flat, strict=False):
        for kind in data.kind.values:
            values = data.lldlc.sel(kind=kind).values.reshape(-1, data.sizes["radius"])
            band(axis, data.radius.values, np.maximum(values, 1e-12), kind)
        if "top_singular_value" in data:
            axis.axhline(float(data.top_singular_value.median()), color="#444444", linewidth=0.8, label="$s_1$")
        if "match_distance" in data:
            axis.axvline(
                float(data.match_distance.median()), color="#D55E00", linewidth=0.8, label="distance to the match"
            )
        shade_rounding(axis, data, float(data.rounding.median()) / data.radius.values)
        axis.set(xscale="log", yscale="log", xlabel=r"radius $r$ [pixel values]", title=look(data.attrs["model"])[0])
    lowest = min(float((data.rounding / data.radius[-1]).min()) for data in each)
    axes[0, 0].set_ylim(10 * lowest, 3 * max(largest_constant(data) for data in each))
    for axis in axes[:, 0]:
        axis.set_ylabel(r"$L(x; v, r) = \|f(x + rv) - f(x)\| / r$")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=min(8, 3 * len(each)))
    return figure


def largest_constant(data: xr.Dataset) -> float:
    """The largest singular value, or where it was not measured the largest constant."""
    return float((data.top_singular_value if "top_singular_value" in data else data.lldlc).max())


@checked(measurements=("limit_ratio", "predicted_ratio", "stable_rank"))
def lipschitz_ratio(measurements: xr.Dataset | Iterable[xr.Dataset]) -> Figure:
    """Left: ratio of top to random constants, measured against sqrt(n / stable rank); right: the law over input sizes.

    Measured is the limit of small radii; bars are two standard errors, from the finite number of random directions. On
    the right each line keeps the median stable rank of a network and changes only the number of pixels; its filled
    point is the size at which the network was measured.
    """
    figure, (left, right) = subplots(1, 2, figsize=(9, 3.9))
    ends = []
    for data, label, colour, marker in by_network(measurements):
        measured, predicted = data.limit_ratio.values, data.predicted_ratio.values
        bars = 2 * data.ratio_error.values * measured
        left.errorbar(predicted, measured, bars, fmt=marker, color=colour, markersize=6, capsize=2, label=label)
        ends += [*(measured - bars), *(measured + bars), *predicted]
        n = parameters(data)["pixels"]
        stable = float(data.stable_rank.median())
        sides = np.array(sorted({*SIDES, round((n / 3) ** 0.5)}))
        right.plot(sides, np.sqrt(3 * sides**2 / stable), color=colour, marker=marker, markerfacecolor="white")
        right.plot((n / 3) ** 0.5, float(np.sqrt(n / stable)), marker, color=colour, markersize=7)
    span = np.array([0.9 * min(ends), 1.1 * max(ends)])
    left.plot(span, span, color="#444444", linewidth=1, label="measured = predicted")
    left.set(
        xlim=span,
        ylim=span,
        aspect="equal",
        xlabel=r"predicted $\sqrt{n / \mathrm{stable\ rank}}$",
        ylabel="measured $L$(top) / rms of $L$(random), $r \\to 0$",
        title="One point an image",
    )
    left.legend(loc="lower right")
    right.axhline(100, color="#444444", linewidth=1, linestyle="--")
    right.annotate("two orders of magnitude", (SIDES[0], 100), xytext=(0, 3), textcoords="offset points", fontsize=9)
    right.set(
        xscale="log",
        yscale="log",
        xlabel="side of the image [pixels]",
        ylabel=r"$\sqrt{n / \mathrm{stable\ rank}}$",
        title="The same stable rank at other sizes",
    )
    right.set_xticks(SIDES, [str(side) for side in SIDES])
    right.minorticks_off()
    return figure
