"""Figures of how the embedding turns while the image moves straight."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..bending.layer_bending import KINDS
from ..core.arguments import checked
from ..core.measurement import parameters
from .style import as_list, by_network, panels, subplots

CHAPTER_STEP = 1e-3  # 50 steps over an rms of 0.05
LOWEST = 1e-16  # what is exactly zero is drawn here on a logarithmic axis


@checked(measurements=("a", "b", "feature", "explained"))
def trajectory(measurements: xr.Dataset | Iterable[xr.Dataset]) -> Figure:
    """The square or circle of images, and beside it the embeddings that each network makes of it."""
    each = by_network(measurements)
    figure, _ = panels(1 + len(each), 2.75, 2.7)
    start, *others = figure.axes
    first = each[0][0]
    _curves(start, first["a"].values, first["b"].values)
    end = float(np.abs(first["a"]).max())
    start.set(xlabel="$a$ (rms per pixel)", ylabel="$b$ (rms per pixel)", title="images", aspect="equal")
    start.set(xticks=(-end, 0, end), yticks=(-end, 0, end))
    for panel, (moved, label, _, _) in zip(others, each, strict=True):
        feature, explained = moved["feature"].values, 100 * moved["explained"].values
        _curves(panel, feature[..., 0], feature[..., 1])
        panel.set(
            xlabel=f"component 1 ({explained[0]:.0f} %)",
            ylabel=f"component 2 ({explained[1]:.0f} %)",
            title=f"{label}\n{100 * float(moved['nonlinear']):.2g} % not affine",
            aspect="equal",
        )
        panel.set_xticks([])
        panel.set_yticks([])
    return figure


def _curves(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """The first half of the curves solid, the second dashed: the two directions of a grid."""
    for k in range(len(x)):
        first = k < len(x) / 2
        axes.plot(x[k], y[k], "-" if first else "--", color="#0072B2" if first else "#D55E00", linewidth=1.1)
    axes.grid(False)


@checked(measurements=("angle", "step", "noise_floor"))
def direction_change(measurements: xr.Dataset | Iterable[xr.Dataset]) -> Figure:
    """Direction change against the step: range, quartiles, median and mean over images and directions."""
    each = by_network(measurements)
    figure, axes = panels(len(each), 2.75 if len(each) > 1 else 4.6, 2.7, (0.6, 0.5), sharey=True)
    for panel, (bend, label, colour, _) in zip(figure.axes, each, strict=True):
        angle = np.degrees(bend["angle"].values.reshape(-1, bend.sizes["step"]))
        k = bend["step"].values
        least, first, middle, third, most = np.nanquantile(angle, [0, 0.25, 0.5, 0.75, 1], axis=0)
        panel.fill_between(k, least, most, color=colour, alpha=0.15, linewidth=0, label="minimum to maximum")
        panel.fill_between(k, first, third, color=colour, alpha=0.4, linewidth=0, label="quartiles")
        panel.plot(k, middle, color="black", label="median")
        panel.plot(k, np.nanmean(angle, axis=0), "--", color="black", label="mean")
        floor = float(np.degrees(bend["noise_floor"].median()))
        panel.axhline(floor, color="black", linestyle=":", linewidth=1, label="rounding alone")
        count = f"{bend.sizes['image']} images, {bend.sizes['direction']} directions"
        panel.set(xlabel="step $k$", title=f"{label}\n{count}", yscale="log")
    step = parameters(each[0][0])["step_size"]
    for first in axes[:, 0]:
        first.set_ylabel(f"direction change (degrees),\nstep {step:g} rms per pixel")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels) if len(each) > 2 else 3)
    return figure


@checked(measurements=("angle", "typical", "statistic", "step_size"))
def step_law(measurements: xr.Dataset | Iterable[xr.Dataset], marked: float | None = CHAPTER_STEP) -> Figure:
    """Direction change against the length of the step on logarithmic axes, with the fitted exponents.

    Markers are the root mean square over images and directions, bands the quartiles; a thin line is the fit. The step
    that the other figures use is marked unless `marked` is None.
    """
    each = by_network(measurements)
    figure, axes = subplots(figsize=(7.2, 4.4))
    for law, label, colour, marker in each:
        rms, h = law.sel(statistic="rms"), law["step_size"].values
        angle = np.degrees(law["angle"].values.reshape(-1, len(h)))
        first, third = np.nanquantile(angle, [0.25, 0.75], axis=0)
        axes.fill_between(h, np.maximum(first, 1e-12), third, color=colour, alpha=0.15, linewidth=0)
        p, p_low, p_high = (float(rms[name]) for name in ("exponent", "exponent_low", "exponent_high"))
        ends = "" if np.isnan(p_low) else f" [{p_low:.2f}, {p_high:.2f}]"
        typical = np.degrees(rms["typical"].values)
        seen = typical > np.degrees(law["noise_floor"].values)
        axes.plot(h[seen], typical[seen], marker, color=colour, label=f"{label}: $h^{{{p:.2f}}}${ends}")
        use = rms["fitted"].values.astype(bool)
        if use.sum() >= 3:
            fit = np.polyfit(np.log(h[use]), np.log(typical[use]), 1)
            axes.plot(h[use], np.exp(np.polyval(fit, np.log(h[use]))), color=colour, linewidth=1)
    if marked is not None:
        axes.axvline(marked, color="#444444", linestyle=":", linewidth=1.2, label="step of the other figures")
    law = each[0][0]
    counts = f"{law.sizes['image']} images, {law.sizes['direction']} directions"
    axes.set(
        xscale="log",
        yscale="log",
        ylim=(1e-4, 200),
        xlabel="step $h$ (rms per pixel)",
        ylabel="direction change (degrees),\nrms and quartiles",
        title=f"How the bend grows with the step ({counts}, float64)",
    )
    axes.legend()
    return figure


@checked(measurements=("turning_rate",), laws=("angle", "step_size"))
def curvature(
    measurements: xr.Dataset | Iterable[xr.Dataset],
    laws: xr.Dataset | Iterable[xr.Dataset],
    step: float = CHAPTER_STEP,
) -> Figure:
    """Direction change measured at one step against what the exact curvature predicts for it, one mark a line.

    `laws` are what `step_law` measured with the same images, directions and seed.
    """
    figure, axes = subplots(figsize=(5.2, 4.4))
    top = 0.0
    for (exact, label, colour, marker), law in zip(by_network(measurements), as_list(laws), strict=True):
        at = law["angle"].sel(step_size=step, method="nearest")
        predicted = np.degrees(exact["turning_rate"].values * float(at["step_size"])).ravel()
        measured = np.degrees(at.values).ravel()
        top = max(top, np.nanmax(predicted), np.nanmax(measured))
        axes.plot(predicted, measured, marker, color=colour, label=label, alpha=0.8)
    axes.plot([0, 2 * top], [0, 2 * top], ":", color="#444444", linewidth=1.2, label="equal")
    for axis in (axes.set_xscale, axes.set_yscale):
        axis("symlog", linthresh=0.01)
    axes.set(
        xlim=(-0.002, 2 * top),
        ylim=(-0.002, 2 * top),
        xlabel=r"predicted from exact curvature, $\kappa\,\|z'\|\,h$ (degrees)",
        ylabel="measured direction change (degrees)",
        title=f"At a step of {step:g} rms per pixel",
    )
    axes.legend()
    return figure


@checked(measurements=("kind", "residual", "bend"))
def additivity(measurements: xr.Dataset | Iterable[xr.Dataset]) -> Figure:
    """Additivity residual and bend of every component, by kind: one mark a layer, the median over its lines."""
    each = by_network(measurements)
    present = [kind for kind in KINDS if any(bool((m["kind"] == kind).any()) for m, *_ in each)]
    figure, sides = subplots(1, 2, figsize=(10, 4), sharex=True)
    for i, (parts, label, colour, marker) in enumerate(each):
        shift = (i - (len(each) - 1) / 2) * 0.8 / len(each)
        where = np.array([present.index(kind) for kind in parts["kind"].values]) + shift
        for panel, (name, scale) in zip(sides, (("residual", 1), ("bend", 180 / np.pi)), strict=True):
            values = scale * parts[name].median(("image", "direction")).values
            panel.plot(where, np.maximum(values, LOWEST), marker, color=colour, alpha=0.6, label=label)
    for panel, label in zip(sides, ("additivity residual", "bend of the output (degrees)"), strict=True):
        panel.set(yscale="log", ylabel=label, xlim=(-0.6, len(present) - 0.4))
        panel.set_xticks(range(len(present)), present, rotation=25, ha="right")
    sides[0].set_title("Not additive: response at $X$ against response at 0")
    sides[1].set_title("Not straight: the output turns while the input does not")
    sides[1].legend(loc="lower right")
    return figure
