"""Figures of the singular spectrum of the Jacobian and of steps into its null and normal spaces."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..core.arguments import checked
from ..core.measurement import parameters
from ..errors import ArgumentError
from .style import as_list, by_network, look, quartiles, show_image, show_signed, subplots

# kind of direction -> label, colour, marker, line style; told apart without colour by the last two
KIND_LOOKS = {
    "random": ("random", "#444444", "o", "-"),
    "normal": ("normal space", "#CC79A7", "^", "--"),
    "top": ("top, $\\pm v_1$", "#CC79A7", "^", "--"),
    "gradient": ("gradient", "#0072B2", "v", "--"),
    "matching": ("matching", "#D55E00", "D", "-."),
    "null": ("null space", "#009E73", "s", ":"),
}


MANY = 24  # images, from which on lines of single ones would be a blot


def _marks(count: int) -> list[int]:
    """Places of markers on a line of so many points, evenly spread on a logarithmic axis."""
    return sorted({int(m) for m in np.geomspace(1, count, 8) - 1}) if count else []


def band(axes: Axes, x: np.ndarray, values: np.ndarray, kind: str) -> None:
    """Median and quartiles over the rows of `values` `(samples, len(x))`, NaN left out, in the look of a kind."""
    label, colour, marker, dashes = KIND_LOOKS[kind]
    values = values[~np.isnan(values).all(1)]
    if not len(values):  # as null directions of a network that has none
        return
    quartiles(axes, x, values, dashes, colour, marker=marker, markevery=2, label=label)


def shade_rounding(axes: Axes, data: xr.Dataset, floor: np.ndarray) -> None:
    """Grey below `floor`, a value for every radius."""
    axes.fill_between(data.radius.values, 1e-12, floor, color="#dddddd", linewidth=0, zorder=0, label="rounding")


@checked(measurements=("singular_value", "numerical_rank", "stable_rank"))
def singular_spectrum(measurements: xr.Dataset | Iterable[xr.Dataset]) -> Figure:
    """Singular values relative to the largest against rank, one line an image, and the stable ranks.

    Values that count as null are left out of the lines. Of more than 24 images the median and the quartiles are drawn,
    over the ranks at which none counts as null.
    """
    each = by_network(measurements)
    few = sum(data.sizes["image"] <= MANY for data, *_ in each)
    figure, (left, right) = subplots(1, 2, figsize=(9.4, 3.8), width_ratios=(1.6, 1))
    for i, (data, label, colour, marker) in enumerate(each):
        shown = data["rank"].values <= data.numerical_rank.values[:, None]
        values = np.where(shown, (data.singular_value / data.singular_value[:, 0]).values, np.nan)
        if data.sizes["image"] > MANY:
            kept = shown.all(0)
            marks = _marks(int(kept.sum()))
            look_of = {"marker": marker, "markevery": marks, "label": label}
            quartiles(left, data["rank"].values[kept], values[:, kept], "-", colour, **look_of)
        else:
            for k, (line, there) in enumerate(zip(values, shown, strict=True)):
                left.plot(
                    data["rank"].values[there],
                    line[there],
                    color=colour,
                    marker=marker,
                    markevery=_marks(int(there.sum())),
                    label=None if k else label,
                    alpha=0.8,
                )
        count = data.sizes["image"]
        beside = 0.3 * (np.arange(count) / count - 0.5) * (count > MANY)  # side by side, in the order of the images
        size, alpha = (3, 0.4) if count > MANY else (7, 0.8)
        right.plot(i + beside, data.stable_rank, marker, color=colour, markersize=size, alpha=alpha)
    left.set(
        xscale="log",
        yscale="log",
        xlabel="rank $i$",
        ylabel="singular value $s_i / s_1$",
        title="Spectrum of the Jacobian" + ("" if few < len(each) else ", one line an image"),
    )
    left.legend()
    right.set_xticks(range(len(each)), [label for _, label, _, _ in each])
    if len(each) > 4:  # names of five and more would run into each other
        right.tick_params("x", rotation=30)
        for name in right.get_xticklabels():
            name.set_horizontalalignment("right")
    right.set(
        ylabel=r"stable rank $\|J\|_F^2 / s_1^2$",
        title="One point an image",
        xlim=(-0.5, len(each) - 0.5),
        ylim=(0, None),
    )
    return figure


@checked(measurements=("singular_value", "error_bound"))
def leading_singular_values(measurements: xr.Dataset | Iterable[xr.Dataset]) -> Figure:
    """The leading singular values relative to the largest against rank, one line an image, with their error bounds.

    Parameters
    ----------
    measurements
        What `vg.leading_singular_values` returned, one or one a network.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3, bias=False))
    >>> net[1].weight.data = 2 * torch.eye(3, 12)
    >>> net[1].weight.data[2, 2] = 1.0
    >>> model = vg.wrap(net, mean=[0] * 3, std=[1] * 3, size=2)
    >>> top = vg.leading_singular_values(model, torch.rand(1, 3, 2, 2), k=1)
    >>> vg.figures.leading_singular_values(top).axes[0].get_xlabel()
    'rank $i$'
    """
    figure, axes = subplots(figsize=(5.2, 3.6))
    for data, label, colour, marker in by_network(measurements):
        first = data.singular_value.isel(rank=0)
        values, bounds = ((data[name] / first).values for name in ("singular_value", "error_bound"))
        for k in range(data.sizes["image"]):
            named = None if k else label
            line = {"color": colour, "marker": marker, "alpha": 0.8, "capsize": 2}
            axes.errorbar(data["rank"].values, values[k], bounds[k], label=named, **line)
    axes.set(
        xlabel="rank $i$",
        ylabel="singular value $s_i / s_1$",
        ylim=(0, None),
        title="Leading singular values of the Jacobian, one line an image",
    )
    axes.legend()
    return figure


@checked(measurements=("right_vector", "pixels", "frobenius"))
def singular_vectors(measurements: xr.Dataset | Iterable[xr.Dataset], image: int = 0, k: int = 5) -> Figure:
    """An image and its leading right singular vectors, each scaled to its own largest entry; one row a network.

    Takes measurements made with `vectors=True`.
    """
    if k < 1:
        raise ArgumentError(f"k is {k}; draw at least one singular vector.")
    each = as_list(measurements)
    k = min(k, *(data.sizes["rank"] for data in each))
    figure, axes = subplots(len(each), k + 1, figsize=(1.55 * (k + 1), 1.75 * len(each)), squeeze=False)
    for row, data in zip(axes, each, strict=True):
        show_image(row[0], data.pixels[image], look(data.attrs["model"])[0])
        share = data.singular_value[image] ** 2 / data.frobenius[image] ** 2
        for rank in range(k):
            title = f"$v_{{{rank + 1}}}$: {100 * float(share[rank]):.1f} %"
            show_signed(row[rank + 1], np.nan_to_num(data.right_vector[image, rank]), title)
    return figure


@checked(measurements=("change", "linearisation_error", "yardstick"))
def step_response(measurements: xr.Dataset | Iterable[xr.Dataset]) -> Figure:
    """Change of the embedding and linearisation error against the norm of the step: median and quartiles.

    Grey is what rounding alone may contribute: to a change, and to the error of a random direction. The horizontal
    line is the error that ends the linear region.
    """
    each = as_list(measurements)
    columns = min(len(each), 3)
    rows = 2 * -(-len(each) // columns)
    size = (2.75 * columns + (0.6 if columns > 1 else 0.85), 2.6 * rows)
    figure, axes = subplots(rows, columns, figsize=size, sharex=True, squeeze=False)
    figure.blocks = list(zip(axes[::2].flat, axes[1::2].flat, strict=True))[: len(each)]
    for same in axes[::2].ravel(), axes[1::2].ravel():  # changes above, errors below them
        for axis in same[1 : len(each)]:
            axis.sharey(same[0])
        for spare in same[len(each) :]:
            spare.remove()
    for last in axes[1::2].ravel()[max(0, len(each) - columns) : len(each)]:
        last.tick_params(labelbottom=True)
    for axis in axes[:, 1:].flat:
        axis.tick_params(labelleft=False)
    pairs = zip(axes[::2].flat, axes[1::2].flat, strict=True)
    for data, (top, bottom) in zip(each, pairs, strict=False):
        for kind in data.kind.values:
            part = data.sel(kind=kind)
            for axis, name in ((top, "change"), (bottom, "linearisation_error")):
                values = part[name].values.reshape(-1, data.sizes["radius"])
                band(axis, data.radius.values, np.maximum(values, 1e-12), kind)
        bottom.axhline(parameters(data)["threshold"], color="#444444", linewidth=1)
        floor = (data.rounding / data.yardstick.sel(kind="random")).median()
        shade_rounding(top, data, float(data.rounding.median()) * np.ones(data.sizes["radius"]))
        shade_rounding(bottom, data, float(floor) / data.radius.values)
        top.set(xscale="log", yscale="log", title=look(data.attrs["model"])[0])
        bottom.set(xscale="log", yscale="log", ylim=(3e-4, 5), xlabel=r"norm of the step $r$ [pixel values]")
    axes[0, 0].set_ylim(min(float(data.rounding.min()) for data in each) / 2, None)
    for top, bottom in zip(axes[::2, 0], axes[1::2, 0], strict=True):
        top.set_ylabel(r"$\|f(x + rv) - f(x)\|$")
        bottom.set_ylabel("linearisation error [relative]")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, 2 * len(each)))
    return figure
