"""One FGSM step, travel distances, random jumps, and both paths in the plane of feature space."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..core.arguments import checked
from ..core.measurement import parameters
from ..statistics.intervals import mean_interval
from ..statistics.tables import interval
from .style import as_list, by_network, literal, look, panels, show_image, show_signed, subplots

LEG_STYLES = {"direct": ("-", "from the image"), "jump": (":", "random jump"), "jumped": ("--", "after the jump")}


@checked(measurement=("seen_name", "confidence", "direction", "moved"))
def fgsm_step(measurement: xr.Dataset, image: int = 0) -> Figure:
    """The classic picture: an image, plus epsilon times the sign of the gradient, equals another label.

    Parameters
    ----------
    measurement
        A measurement of `vg.fgsm_step`.
    image
        Which of its images.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> from vitgeom_nb.foundations import sum_model
    >>> model = sum_model()
    >>> images, labels = torch.full((1, 3, 2, 2), 0.05), torch.tensor([0])
    >>> figure = vg.figures.fgsm_step(vg.fgsm_step(model, images, labels))
    >>> figure.axes[0].texts[0].get_text()
    '+ 0.007 ×'
    """
    one = measurement.isel(image=image)
    epsilon = parameters(measurement)["epsilon"]
    figure, axes = subplots(1, 3, figsize=(8.4, 3.5))
    said = [
        f"“{literal(n)}”\n{c:.1%} confidence" for n, c in zip(one.seen_name.values, one.confidence.values, strict=True)
    ]
    show_image(axes[0], one.pixels, f"image\n{said[0]}")
    show_signed(axes[1], one.direction, f"sign of the gradient\n{said[1]}")
    show_image(axes[2], one.moved, f"sum, {float(one.psnr):.1f} dB\n{said[2]}")
    for ax, sign in ((axes[0], f"+ {epsilon:g} ×"), (axes[1], "=")):
        ax.text(1.02, 0.5, sign, transform=ax.transAxes, ha="left", va="center", fontsize=13)
    return figure


def _direct(measurement: xr.Dataset) -> xr.Dataset:
    return measurement.sel(path="direct") if "path" in measurement.dims else measurement


def _scatter(ax: Axes, x: np.ndarray, y: np.ndarray, colour: str, marker: str) -> None:
    """One faint mark an image."""
    ax.scatter(x, y, s=14, color=colour, marker=marker, alpha=0.5, lw=0)


def _distances(
    ax: Axes, whole: xr.Dataset, across: np.ndarray, colour: str, marker: str
) -> tuple[np.ndarray, np.ndarray]:
    """Travel distances against `across`, open triangles for images never wrong.

    Returns which images start right, and min(distance, end of the search) of every image.
    """
    way, end = _direct(whole), parameters(whole)["epsilon_max"]
    crossed, never = (way.outcome.values == kind for kind in ("crossed", "never wrong"))
    distance = np.where(never, end, way.epsilon.values)
    _scatter(ax, across[crossed], distance[crossed], colour, marker)
    ax.scatter(across[never], distance[never], s=22, marker="^", facecolors="none", edgecolors="#222222")
    return crossed | never, distance


def binned_means(confidence: np.ndarray, distance: np.ndarray, bins: int = 10) -> list[tuple[float, float, float]]:
    """Centre, mean and half of the 95 % interval of the mean, for every confidence bin with enough images for one."""
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    found = []
    for b in range(bins):
        mean, _, upper = mean_interval(distance[which == b])
        if not np.isnan(upper):
            found.append(((b + 0.5) / bins, mean, upper - mean))
    return found


@checked(measurements=("confidence", "epsilon", "outcome", "rank_correlation"))
def travel_distance(measurements: xr.Dataset | Iterable[xr.Dataset], bins: int = 10) -> Figure:
    """Travel distance against confidence: images, means per confidence bin, rank correlation; a panel a network.

    Only images that start right. Those never wrong stand as open triangles at the end of the search, and count
    there in the means, which are therefore means of min(distance, end).

    Parameters
    ----------
    measurements
        Measurements of `vg.travel_distance`, or of `vg.random_jump`, whose direct path is drawn.
    bins
        Number of confidence bins.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> from vitgeom_nb.foundations import sum_model
    >>> model = sum_model()
    >>> images, labels = torch.full((1, 3, 2, 2), 0.05), torch.tensor([0])
    >>> figure = vg.figures.travel_distance(vg.travel_distance(model, images, labels))
    >>> figure.axes[0].get_ylabel()
    'travel distance ε (pixel)'
    """
    ways = by_network(measurements)
    figure, axes = panels(len(ways), 2.75, 3.0, sharex=True, sharey=True)
    for ax, (whole, label, colour, marker) in zip(axes.flat, ways, strict=False):
        confidence = _direct(whole).confidence.values
        known, distance = _distances(ax, whole, confidence, colour, marker)
        means = binned_means(confidence[known], distance[known], bins)
        if means:
            at, mean, half = np.transpose(means)
            ends = [np.minimum(half, 0.9 * mean), half]  # a log axis has no place for an interval that reaches zero
            ax.errorbar(at, mean, ends, color="#222222", lw=1.6, capsize=2)
        ax.set_title(
            f"{label}, {int(known.sum())} of {len(confidence)} images\n"
            f"rank corr. {interval(whole, 'rank_correlation', '+.2f')}",
            fontsize=8.5,
        )
        ax.set(xlabel="confidence", xlim=(0, 1.02), yscale="log")
        ax.label_outer()
    axes[0, 0].set_ylabel("travel distance ε (pixel)")
    return figure


@checked(measurement=("jumped", "moved", "path", "psnr_jump"))
def random_jump(measurement: xr.Dataset, image: int | Sequence[int] | None = None) -> Figure:
    """Examples: the image, moved to the boundary, after a random jump, and jumped and moved.

    Parameters
    ----------
    measurement
        A measurement of `vg.random_jump` with `pictures=True`.
    image
        Number of the image to show, or numbers of several, a row each; the first three unless told.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> from vitgeom_nb.foundations import sum_model
    >>> model = sum_model()
    >>> images, labels = torch.full((1, 3, 2, 2), 0.05), torch.tensor([0])
    >>> figure = vg.figures.random_jump(vg.random_jump(model, images, labels, pictures=True), image=0)
    >>> len(figure.axes)
    4
    """
    image = range(measurement.sizes["image"])[:3] if image is None else image
    numbers = [image] if isinstance(image, int) else list(image)
    figure, axes = subplots(len(numbers), 4, figsize=(9, 2.75 * len(numbers)), squeeze=False)
    for row, i in zip(axes, numbers, strict=True):
        one = measurement.isel(image=i)
        titles = [f"“{literal(one.name.item())}”\nconfidence {float(one.confidence):.2f}"]
        for path in ("direct", "jumped"):
            way = one.sel(path=path)
            if way.outcome == "crossed":
                words = f"ε {float(way.epsilon):.4f}, {float(way.psnr):.1f} dB\n“{literal(way.name_reached.item())}”"
            else:
                words = f"{way.outcome.item()}\n“{literal(way.name_reached.item())}”"
            titles.append(words)
        titles.insert(2, f"random jump\n{float(one.psnr_jump):.2f} dB")
        shown = (one.pixels, one.moved.sel(path="direct"), one.jumped, one.moved.sel(path="jumped"))
        for ax, picture, title in zip(row, shown, titles, strict=True):
            show_image(ax, picture, title)
    return figure


@checked(measurements=("outcome", "epsilon", "path", "median_change"))
def jump_change(measurements: xr.Dataset | Iterable[xr.Dataset]) -> Figure:
    """Travel distance after the random jump against that without, image by image; a panel a network.

    Images that cross on both ways are drawn; the median is over all that start right and cross at least once, with
    those that the jump itself pushes over at distance 0. Below the diagonal the boundary is nearer after the jump.

    Parameters
    ----------
    measurements
        Measurements of `vg.random_jump`.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> from vitgeom_nb.foundations import sum_model
    >>> model = sum_model()
    >>> images, labels = torch.full((1, 3, 2, 2), 0.05), torch.tensor([0])
    >>> figure = vg.figures.jump_change(vg.random_jump(model, images, labels))
    >>> figure.axes[0].get_xscale()
    'log'
    """
    ways = by_network(measurements)
    figure, axes = panels(len(ways), 2.75, 3.1, sharex=True, sharey=True)
    for ax, (way, label, colour, marker) in zip(axes.flat, ways, strict=False):
        both = (way.outcome == "crossed").all("path").values
        direct, jumped = (way.epsilon.sel(path=p).values[both] for p in ("direct", "jumped"))
        _scatter(ax, direct, jumped, colour, marker)
        ax.axline((1e-3, 1e-3), (1e-2, 1e-2), color="#444444", ls="--", lw=1)
        counts = f"{int(both.sum())} of {int(way.change.notnull().sum())} images"
        ax.set_title(
            f"{label}, {counts}\nmedian change, 10⁻³\n{interval(way, 'median_change', '+.2f', 1e3)}", fontsize=8.5
        )
        ax.set(xlabel="ε without jump (pixel)", xscale="log", yscale="log")
        ax.label_outer()
    axes[0, 0].set_ylabel("ε after the jump (pixel)")
    return figure


@checked(measurements=("direction_change", "bend_correlation", "outcome"))
def bend_and_distance(measurements: xr.Dataset | Iterable[xr.Dataset]) -> Figure:
    """Travel distance against the direction change at the beginning of the way; a panel a network.

    Only images that start right; those never wrong stand as open triangles at the end of the search.

    Parameters
    ----------
    measurements
        Measurements of `vg.random_jump`, whose direct path is drawn.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> from vitgeom_nb.foundations import sum_model
    >>> model = sum_model()
    >>> images, labels = torch.full((1, 3, 2, 2), 0.05), torch.tensor([0])
    >>> figure = vg.figures.bend_and_distance(vg.random_jump(model, images, labels))
    >>> figure.axes[0].get_xlabel()
    'direction change (degrees)'
    """
    ways = by_network(measurements)
    figure, axes = panels(len(ways), 2.75, 3.0, sharey=True)
    for ax, (whole, label, colour, marker) in zip(axes.flat, ways, strict=False):
        known, _ = _distances(ax, whole, np.degrees(_direct(whole).direction_change.values), colour, marker)
        ax.set_title(
            f"{label}, {int(known.sum())} images\nrank corr. {interval(whole, 'bend_correlation', '+.2f')}",
            fontsize=8.5,
        )
        ax.set(xlabel="direction change (degrees)", xlim=(0, None), yscale="log")
    axes[0, 0].set_ylabel("travel distance ε (pixel)")
    return figure


@checked(measurements=("horizontal", "vertical", "position", "corner_position"))
def path_plane(measurements: xr.Dataset | Iterable[xr.Dataset]) -> Figure:
    """Both paths to the boundary in the plane of feature space that holds image and crossings; a panel an image.

    The grey side has another label. The solid path starts at the image, the dotted one is the jump, the dashed one
    starts where it ends; open diamonds are the crossings. The title says how far off the plane the paths run.

    Parameters
    ----------
    measurements
        Measurements of `vg.path_plane`.
    """
    drawn = [(plane, i) for plane in as_list(measurements) for i in range(plane.sizes["image"])]
    figure, axes = panels(len(drawn), 4.2, 4.2, columns=2)
    for ax, (plane, i) in zip(axes.flat, drawn, strict=False):
        label, colour, _ = look(plane.attrs["model"])
        _one_plane(ax, plane.isel(image=i), label, colour)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _one_plane(ax: Axes, one: xr.Dataset, label: str, colour: str) -> None:
    at = (one.horizontal.values, one.vertical.values)
    margin = one.margin.values
    if margin.min() < 0 < margin.max():
        ax.contourf(*at, margin, levels=[margin.min(), 0], colors=["#dddddd"])
        ax.contour(*at, margin, levels=[0], colors=["#222222"], linewidths=1.6)
    for leg, (line, words) in LEG_STYLES.items():
        xy = one.position.sel(leg=leg).values
        ax.plot(xy[:, 0], xy[:, 1], line, color="#444444" if leg == "jump" else colour, label=words)
    start, *crossings = one.corner_position.values
    ax.plot(*start, "o", color="#222222")
    for crossing in crossings:
        ax.plot(*crossing, "D", mfc="white", color="#222222")
    off = float(one.off_plane_share.max())
    epsilon = ", ".join(f"{float(e):.4f}" for e in one.epsilon)
    ax.set_title(f"{label}, ε {epsilon}\nup to {off:.0%} of the way off the plane", fontsize=8.5)
    ax.set(xlabel="toward the crossing (embedding)", ylabel="toward the other crossing", aspect="equal")
    ax.set(xlim=at[0][[0, -1]], ylim=at[1][[0, -1]])
