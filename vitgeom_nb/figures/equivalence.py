"""Figures of equivalent images: pairs and their matches, the way there, the embedding plane, walks along a fibre."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..core.arguments import checked
from ..core.measurement import parameters
from ..equivalence.tables import at_cosine
from .style import SPARE, as_list, look, panels, quartiles, show_image, subplots

Measurements = xr.Dataset | Iterable[xr.Dataset]
METHOD_LOOKS = {
    "minimum-change": ("#0072B2", "-"),
    "gradient-descent": ("#D55E00", "--"),
    "adam": ("#009E73", "-."),
    "gauss-newton": ("#CC79A7", ":"),
}


def _side(axes: Axes, text: str) -> None:
    """A row's title, left of a picture without axes."""
    axes.text(-0.12, 0.5, text, rotation=90, ha="center", va="center", transform=axes.transAxes)


@checked(measurements=("pair", "matched", "cosine", "converged"))
def match(measurements: Measurements, pairs: Sequence[int] = (0,)) -> Figure:
    """Source, target, match and the amplified change of some pairs, a row each.

    Over the match, its cosine to the target's embedding and its PSNR against the source. The change is drawn about
    mid-grey, amplified by the factor in its title, so that 99 of 100 of its values fit into the colour range.
    """
    rows = [(measured, measured.isel(pair=pair)) for measured in as_list(measurements) for pair in pairs]
    figure, grid = subplots(len(rows), 4, figsize=(7.4, 1.95 * len(rows) + 0.2), squeeze=False)
    for row, (axes, (measured, one)) in enumerate(zip(grid, rows, strict=True)):
        change = one.matched - one.source
        first = row == 0
        show_image(axes[0], one.source, "source" if first else "")
        show_image(axes[1], one.target, "target" if first else "")
        reached = "" if bool(one.converged) else " (goal not met)"
        title = f"cosine {float(one.cosine):.4f}{reached}\nPSNR {float(one.psnr):.1f} dB"
        show_image(axes[2], one.matched, f"match\n{title}" if first else title)
        factor = 0.5 / max(float(np.quantile(np.abs(change), 0.99)), 1e-12)
        title = f"change x {factor:.3g}"
        show_image(axes[3], 0.5 + factor * change, f"match - source\n{title}" if first else title)
        _side(axes[0], look(measured.attrs["model"])[0])
    return figure


@checked(measurements=("loss", "cosine_history"))
def match_history(measurements: Measurements) -> Figure:
    """Loss and cosine against evaluations: median and quartiles over pairs, a column a network, a line a method.

    The loss is relative to that of the source. At each count the best point so far is shown; a pair that has finished
    keeps its last value.
    """
    measured = as_list(measurements)
    names = list(dict.fromkeys(m.attrs["model"] for m in measured))
    figure, grid = subplots(
        2, len(names), figsize=(2.6 * len(names) + 1, 4.4), squeeze=False, sharex="col", sharey="row"
    )
    for column, name in zip(grid.T, names, strict=True):
        for one in (m for m in measured if m.attrs["model"] == name):
            made = parameters(one)
            method = made["method"]
            colour, line = METHOD_LOOKS[method]
            loss = np.fmin.accumulate(one.loss.values / one.loss.values[:, :1], axis=1)
            cosine = np.fmax.accumulate(one.cosine_history.values, axis=1)
            for axes, values in zip(column, (loss, cosine), strict=True):
                quartiles(axes, one.step, values, line, colour, label=method)
            goal = made["goal"]["cosine"]
        column[0].set(yscale="log", title=look(name)[0])
        column[1].axhline(goal, color="0.4", lw=0.8, ls=":")
        column[1].set(xscale="log", xlabel="evaluations (forward + backward)")
    grid[0, 0].set_ylabel("relative loss")
    grid[1, 0].set_ylabel("cosine to target")
    grid[0, 0].legend(loc="lower left")
    return figure


COSINES = tuple(1 - 10 ** (-k / 10) for k in range(5, 41))  # 0.68 to 0.9999, ten to a decade of what is left to 1


@checked(measurements=("cosine_history", "psnr_history"))
def match_methods(measurements: Measurements, budget: int | None = None) -> Figure:
    """What each method keeps and what it costs, against the cosine to the target: a column a network, a line a method.

    Top, the PSNR of the first image at that cosine or more; below, the evaluations until then: medians over pairs and
    the band between quartiles, in which a pair that never came so near counts as the worst. A line ends where half of
    the pairs do. `budget` is the number of evaluations that count; all unless told.
    """
    measured = as_list(measurements)
    names = list(dict.fromkeys(m.attrs["model"] for m in measured))
    figure, grid = subplots(
        2, len(names), figsize=(2.9 * len(names) + 1, 4.6), squeeze=False, sharex=True, sharey="row"
    )
    for one in measured:
        method, column = parameters(one)["method"], grid[:, names.index(one.attrs["model"])]
        colour, line = METHOD_LOOKS[method]
        evaluations, kept = at_cosine(one, COSINES, np.inf if budget is None else budget)
        for axes, values in zip(column, (kept, evaluations), strict=True):
            # ranks and no means of two: nothing lies between a number and infinity
            low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0, method="inverted_cdf")
            low, middle, high = (np.where(np.isfinite(part), part, np.nan) for part in (low, middle, high))
            left = 1 - np.array(COSINES)
            axes.fill_between(left, low, high, color=colour, alpha=0.2, linewidth=0)
            axes.plot(left, middle, line, color=colour, label=method)
    ticks = (0.5, 0.1, 0.01, 0.001, 0.0001)
    for (top, bottom), name in zip(grid.T, names, strict=True):
        top.set_title(look(name)[0])
        bottom.set(xscale="log", xlim=(0.5, 0.0001), xlabel="cosine to target", yscale="log")
        bottom.set_xticks(ticks, [f"{1 - tick:g}" for tick in ticks])
        bottom.minorticks_off()
    grid[0, 0].set_ylabel("PSNR [dB]")
    grid[1, 0].set_ylabel("evaluations")
    grid[0, 0].legend(loc="upper right")
    return figure


@checked(measurements=("source_embedding", "target_embedding", "matched_embedding"))
def embedding_plane(measurements: Measurements) -> Figure:
    """Embeddings of sources, targets and matches on the first two principal components, one panel a network.

    The components are those of the sources and targets together, so that the matches had no say in them. An arrow
    leads from each source to its match.
    """
    measured = as_list(measurements)
    figure, grid = panels(len(measured), 2.9, 3.3, (0.4, 0))
    for axes, one in zip(grid.flat, measured, strict=False):
        sample = np.concatenate([one.source_embedding, one.target_embedding]).astype(float)
        centre = sample.mean(0)
        _, spread, components = np.linalg.svd(sample - centre, full_matrices=False)
        share = spread**2 / np.sum(spread**2)
        source, target, matched = (
            (one[f"{name}_embedding"].values - centre) @ components[:2].T for name in ("source", "target", "matched")
        )
        for start, end in zip(source, matched, strict=True):
            axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "0.6", "lw": 0.7})
        axes.plot(*source.T, "o", mfc="none", color=SPARE[2], label="source", ls="")
        axes.plot(*target.T, "s", mfc="none", ms=8, color="#D55E00", label="target", ls="")
        axes.plot(*matched.T, "x", color="#0072B2", label="match", ls="")
        axes.set(
            title=look(one.attrs["model"])[0],
            xlabel=f"component 1 ({share[0]:.0%} of the variance)",
            ylabel=f"component 2 ({share[1]:.0%})",
        )
    grid[0, 0].legend(loc="best")
    return figure


def _filmstrips(rows: int, frames: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    """A grid with a row for each path: frames, the picture that it leads to, and a wider panel `width` inches more."""
    size = (1.35 * (frames + 1) + width, height)
    return subplots(rows, frames + 2, figsize=size, width_ratios=[1] * (frames + 1) + [2.1], squeeze=False)


def _film(axes: np.ndarray, path: xr.DataArray, titles: Sequence[str], network: str) -> None:
    """Frames of a path `(K,3,H,W)`, evenly spread over a row of filmstrips; none twice."""
    chosen = np.linspace(0, len(path) - 1, min(len(axes) - 2, len(path))).round().astype(int)
    for panel, k in zip(axes, chosen, strict=False):
        show_image(panel, path[k], titles[k])
    for spare in axes[len(chosen) : -2]:
        spare.axis("off")
    _side(axes[0], look(network)[0])


@checked(measurements=("path", "drift", "straight_drift", "step"))
def fibre_walk(measurements: Measurements, pair: int = 0, frames: int = 5) -> Figure:
    """Frames of a walk along a fibre, the image it walks toward, and the drift of the embedding at every step.

    A row for each measurement. The straight blend of the two images is drawn beside the walk; the line at 1e-3 is the
    drift that counts as failure, and a step beyond it is crossed out.
    """
    measured = as_list(measurements)
    frames = min(frames, max(one.sizes["step"] for one in measured))
    figure, grid = _filmstrips(len(measured), frames, 3.4, 2.2 * len(measured) + 0.3)
    for row, (axes, several) in enumerate(zip(grid, measured, strict=True)):
        one = several.isel(pair=pair)
        titles = ["start", *(f"step {k}\ncosine {float(one.cosine[k]):.4f}" for k in range(1, len(one.step)))]
        _film(axes, one.path, titles, several.attrs["model"])
        *_, end, panel = axes
        show_image(end, one.target, f"walked toward\ncosine {float(one.pair_cosine):.2f}")
        steps = one.step.values[1:]
        panel.plot(steps, one.straight_drift[1:], "--", color="#D55E00", label="straight blend")
        panel.plot(steps, one.drift[1:], "-o", color="#0072B2", label="along the fibre")
        failed = one.failed.values[1:]
        if failed.any():
            panel.plot(steps[failed], one.drift.values[1:][failed], "kx", ms=9, label="failed")
        panel.axhline(parameters(several)["failure"], color="0.4", lw=0.8, ls=":")
        panel.set(yscale="log", xlabel="step", ylabel="relative drift")
        if row == 0:
            panel.legend(fontsize=7)
    return figure


@checked(measurement=("path", "s", "cosine", "target"))
def homotopy(measurement: xr.Dataset, pair: int = 0, frames: int = 5) -> Figure:
    """Frames of the path from an image to its match, the target, and the cosine along the way."""
    one = measurement.isel(pair=pair)
    figure, (axes,) = _filmstrips(1, min(frames, one.sizes["s"]), 3.6, 2.4)
    _film(axes, one.path, [f"s = {float(s):.2f}" for s in one.s], measurement.attrs["model"])
    *_, end, panel = axes
    show_image(end, one.target, "target")
    panel.plot(one.s, one.cosine, "-o", color="#0072B2")
    panel.set(xlabel="share of the way, s", ylabel="cosine to target")
    return figure
