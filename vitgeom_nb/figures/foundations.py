"""Measurements on a model that is seen over the plane of one-coloured pictures: mean red against mean green."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..core.arguments import checked
from ..errors import ArgumentError
from .style import subplots

FIRST, SECOND, START = "#0072B2", "#D55E00", "#444444"


def _mean_colour(pictures: xr.DataArray) -> np.ndarray:
    """Red and green means `(..., 2)` of pictures with dimensions channel, y, x."""
    return pictures.mean(("y", "x")).isel(channel=slice(0, 2)).values


def _draw_plane(axes: Axes, seen: xr.Dataset, quiet: bool = False) -> None:
    """Level lines of the two components of the embedding, the region of class 1 shaded."""
    red, green = seen["red"], seen["green"]
    for k, (colour, line) in enumerate(((FIRST, "solid"), (SECOND, "dashed"))):
        values = seen["embedding"].isel(component=k)
        levels = np.linspace(0, float(values.max()), 8)[1:-1]
        drawn = axes.contour(red, green, values, levels, colors=colour, linestyles=line, linewidths=0.9)
        drawn.set_alpha(0.45 if quiet else 1)
        if not quiet:
            axes.clabel(drawn, fontsize=7, fmt="%.2g")
    axes.contourf(red, green, seen["margin"], [-np.inf, 0], colors="#999999", alpha=0.18)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="mean red", ylabel="mean green")
    axes.grid(False)


def _over_plane(seen: xr.Dataset, title: str) -> tuple[Figure, Axes]:
    """The plane in the background, to draw over."""
    figure, axes = subplots(figsize=(4.6, 4.4))
    _draw_plane(axes, seen, quiet=True)
    axes.set_title(title)
    return figure, axes


@checked(seen=("red", "green", "embedding", "gradient"))
def plane(seen: xr.Dataset, every: int = 4) -> Figure:
    """A model with a two-dimensional embedding over the plane of colours: level lines, and gradients as arrows.

    Parameters
    ----------
    seen
        What `foundations.plane` returns.
    every
        Draw the gradients at every so many points.
    """
    figure, (left, right) = subplots(1, 2, figsize=(8.4, 4.2), sharey=True)
    _draw_plane(left, seen)
    left.plot([], [], color=FIRST, label="first component")
    left.plot([], [], color=SECOND, linestyle="dashed", label="second component")
    left.set_title("level lines of the embedding")
    left.legend(loc="upper left", fontsize=8, frameon=True)
    some = seen.isel(red=slice(every // 2, None, every), green=slice(every // 2, None, every))
    _, region = np.unique(seen["gradient"].values.round(6).reshape(seen.red.size**2, -1), axis=0, return_inverse=True)
    tints = np.array([(0.93, 0.96, 1.0), (1.0, 0.95, 0.9), (0.93, 1.0, 0.93), (0.98, 0.93, 0.98)])
    shade = tints[region.reshape(seen.green.size, seen.red.size) % len(tints)]
    right.imshow(shade, origin="lower", extent=(0, 1, 0, 1))
    longest = float(np.abs(some["gradient"].sel(channel=["red", "green"])).max())
    for k, colour in enumerate((FIRST, SECOND)):
        arrow = some["gradient"].isel(component=k)
        right.quiver(
            some["red"],
            some["green"],
            arrow.sel(channel="red"),
            arrow.sel(channel="green"),
            color=colour,
            angles="xy",
            scale_units="xy",
            scale=longest / (0.9 * every * float(seen["red"].diff("red")[0])),
            width=0.006,
        )
    right.set(
        xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="mean red", title="linear regions, and the gradients in them"
    )
    right.grid(False)
    return figure


def _draw_moves(axes: Axes, start: np.ndarray, end: np.ndarray, reached: np.ndarray) -> None:
    for a, b, arrived in zip(start, end, reached, strict=True):
        axes.annotate("", b, a, arrowprops={"arrowstyle": "->", "color": START, "shrinkA": 0, "shrinkB": 0})
        axes.plot(*a, "o", color=START, markersize=5)
        if not arrived:
            axes.plot(*b, "x", color="#CC79A7", markersize=9, markeredgewidth=2)


@checked(seen=("red", "green", "embedding"), matched=("matched", "converged"))
def plane_matches(seen: xr.Dataset, matched: xr.Dataset) -> Figure:
    """Matches of one-coloured pictures as arrows in the plane of colours, the target as a star.

    Parameters
    ----------
    seen
        What `foundations.plane` returns.
    matched
        What `match` returns for one-coloured pictures; a pair that did not converge ends in a cross.
    """
    figure, axes = _over_plane(seen, "sources, their matches, and the target (star)")
    start, end, target = (_mean_colour(matched[name]) for name in ("source", "matched", "target"))
    _draw_moves(axes, start, end, matched["converged"].values)
    axes.plot(*target.T, "*", color="#009E73", markersize=14, linestyle="none")
    return figure


@checked(seen=("red", "green", "embedding"), walk=("path", "drift"))
def plane_walk(seen: xr.Dataset, walk: xr.Dataset) -> Figure:
    """Fibre walks between one-coloured pictures in the plane of colours; stars are what they walk toward.

    Parameters
    ----------
    seen
        What `foundations.plane` returns.
    walk
        What `fibre_walk` returns for one-coloured pictures.
    """
    figure, axes = _over_plane(seen, "walks on which the embedding stands still")
    path, toward = _mean_colour(walk["path"]), _mean_colour(walk["target"])
    axes.plot(*path.transpose(2, 1, 0), ".-", color=START, markersize=4)
    axes.plot(*path[:, 0].T, "o", color=START, markersize=7, linestyle="none")
    axes.plot(*toward.T, "*", color="#009E73", markersize=14, linestyle="none")
    return figure


@checked(seen=("red", "green", "embedding"), way=("pixels", "moved", "outcome"))
def plane_travel(seen: xr.Dataset, way: xr.Dataset) -> Figure:
    """Ways along the FGSM direction to the decision boundary, in the plane of colours.

    Parameters
    ----------
    seen
        What `foundations.plane` returns.
    way
        What `travel_distance(..., pictures=True)` returns for one-coloured pictures; an image whose label never
        changes is marked by a cross.
    """
    figure, axes = _over_plane(seen, "ways to the decision boundary")
    start, end = _mean_colour(way["pixels"]), _mean_colour(way["moved"])
    _draw_moves(axes, start, end, way["outcome"].values == "crossed")
    return figure


@checked(bend=("angle", "distance", "direction"))
def turns(bend: xr.Dataset, corners: Sequence[Sequence[tuple[float, float]]]) -> Figure:
    """Direction change summed up along lines from one image, with the staircase known by hand.

    Parameters
    ----------
    bend
        What `direction_change` returns for one image.
    corners
        For each direction, its corners as pairs (distance in rms per pixel, angle in rad).
    """
    angle = bend["angle"].isel(image=0)
    if not corners or len(corners) > bend.sizes["direction"]:
        raise ArgumentError(f"corners are of {len(corners)} directions; pass one list for each, one at least.")
    figure, grid = subplots(1, len(corners), figsize=(2.9 * len(corners), 2.9), sharey=True, squeeze=False)
    end = float(bend["distance"].max())
    for k, (axes, known) in enumerate(zip(grid[0], corners, strict=True)):
        total = np.degrees(angle.isel(direction=k).fillna(0).cumsum("step"))
        at = [0.0, *(distance for distance, _ in known), end]
        heights = np.degrees(np.cumsum([0.0, *(turn for _, turn in known)]))
        axes.step(at, [*heights, heights[-1]], where="post", color=SECOND, linestyle="dashed", label="by hand")
        axes.plot(bend["distance"], total, ".", color=FIRST, label="measured")
        axes.set(xlabel="change, rms per pixel", title=f"line {k + 1}", ylim=(-8, 190))
    grid[0, 0].set(ylabel="direction change so far [degrees]")
    grid[0, 0].legend(fontsize=8)
    return figure
