"""Reliability diagrams, and calibration errors side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ..core.arguments import checked
from ..statistics.intervals import ratio_interval
from ..statistics.tables import interval
from .style import as_list, by_network, look, panels, subplots, whiskers

FAINTEST = 0.12  # opacity of a bin that holds almost nothing


@checked(measurements=("count", "accuracy", "upper_edge", "ece"))
def reliability(measurements: xr.Dataset | Iterable[xr.Dataset]) -> Figure:
    """Reliability diagrams: accuracy of every confidence bin, one panel a measurement of `vg.reliability`.

    A bar is as opaque as its share of the images (the fullest bin is solid), an empty bin draws nothing, whiskers
    are Wilson's 95 % intervals, dots mark the mean confidence in the bin. On the diagonal confidence is right.

    Parameters
    ----------
    measurements
        One measurement, or several to compare.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> logits = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    >>> figure = vg.figures.reliability(vg.reliability(logits=logits, labels=torch.arange(50) % 3, bins=5))
    >>> figure.axes[0].get_ylabel()
    'accuracy'
    """
    tables = by_network(measurements)
    figure, axes = panels(len(tables), 2.75, 3.6, sharex=True, sharey=True)
    for ax, (table, label, colour, _) in zip(axes.flat, tables, strict=False):
        share = table["count"] / table["count"].sum()
        for b in np.flatnonzero(table["count"].values):
            row = table.isel(bin=b)
            edge, height = float(row.lower_edge), float(row.accuracy)
            alpha = FAINTEST + (1 - FAINTEST) * float(share[b] / share.max())
            width = float(row.upper_edge) - edge
            ax.bar(edge, height, width, align="edge", color=colour, alpha=alpha, edgecolor="white")
            ends = whiskers(height, float(row.accuracy_low), float(row.accuracy_high))
            ax.errorbar(float(row.confidence), height, ends, color="#222222", lw=0.9, fmt="o", ms=2.5)
        ax.plot([0, 1], [0, 1], ls="--", color="#444444", lw=1)
        ax.set_title(
            f"{label}, {int(table['count'].sum()):,} images\nECE {interval(table, 'ece')}\n"
            f"sECE {interval(table, 'sece', '+.3f')}",
            fontsize=8.5,
        )
        ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", aspect="equal")
        ax.label_outer()
    for ax in axes[:, 0]:
        ax.set_ylabel("accuracy")
    return figure


@checked(groups=("ece", "sece"))
def calibration_errors(groups: Mapping[str, xr.Dataset | Iterable[xr.Dataset]]) -> Figure:
    """ECE and signed ECE with their 95 % intervals, network by network, for one or more treatments.

    Parameters
    ----------
    groups
        Name of a treatment (`"as trained"`, `"temperature scaled"`) -> measurements of `vg.reliability`.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> logits = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    >>> table = vg.reliability(logits=logits, labels=torch.arange(50) % 3)
    >>> len(vg.figures.calibration_errors({"as trained": table}).axes)
    2
    """
    filled = {name: as_list(tables) for name, tables in groups.items()}
    networks = list(dict.fromkeys(t.attrs["model"] for tables in filled.values() for t in tables))
    figure, axes = subplots(1, 2, figsize=(8.4, 0.9 + 0.62 * len(networks)), sharey=True)
    titles = (("ece", "expected calibration error"), ("sece", "signed calibration error (negative: over-confident)"))
    for ax, (key, title) in zip(axes, titles, strict=True):
        for g, (group, tables) in enumerate(filled.items()):
            shift = 0.26 * (g - (len(filled) - 1) / 2)
            for table, _, colour, marker in by_network(tables):
                value, low, high = (float(table[k]) for k in (key, f"{key}_low", f"{key}_high"))
                at = networks.index(table.attrs["model"]) + shift
                fill = colour if g == 0 else "white"
                ends = whiskers(value, low, high)
                ax.errorbar(value, at, xerr=ends, color=colour, fmt=marker, mfc=fill, capsize=2.5, lw=1.3)
            ax.plot([], [], "o", color="#444444", mfc="#444444" if g == 0 else "white", label=group)
        ax.axvline(0, color="#444444", lw=1)
        ax.set_xlabel(title)
    axes[0].set_yticks(range(len(networks)), [look(n, i)[0] for i, n in enumerate(networks)])
    axes[0].set_ylim(len(networks) - 0.5, -0.5)
    if len(filled) > 1:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(filled))
    return figure


@checked(measurements=("accuracy", "level", "smece", "density"))
def smooth_calibration(measurements: xr.Dataset | Iterable[xr.Dataset]) -> Figure:
    """Accuracy against confidence without bins, with its 95 % band, a panel a measurement of `vg.smooth_calibration`.

    On the dashed diagonal confidence is right. The grey area below is the density of the confidences, in units of its
    largest value; where there is next to none the curve ends.

    Parameters
    ----------
    measurements
        One measurement, or several to compare.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> logits = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    >>> figure = vg.figures.smooth_calibration(vg.smooth_calibration(logits=logits, labels=torch.arange(50) % 3))
    >>> figure.axes[0].get_ylabel()
    'accuracy'
    """
    curves = by_network(measurements)
    figure, axes = panels(len(curves), 2.75, 3.4, sharex=True, sharey=True)
    for ax, (curve, label, colour, _) in zip(axes.flat, curves, strict=False):
        level = curve.level.values
        ax.fill_between(level, 0.25 * curve.density / curve.density.max(), color="#999999", alpha=0.5, linewidth=0)
        ax.fill_between(level, curve.accuracy_low, curve.accuracy_high, color=colour, alpha=0.25, linewidth=0)
        ax.plot(level, curve.accuracy, color=colour)
        ax.plot([0, 1], [0, 1], ls="--", color="#444444", lw=1)
        ax.set_title(f"{label}\nsmooth error {float(curve.smece):.3f}", fontsize=8.5)
        ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", aspect="equal")
        ax.label_outer()
    for ax in axes[:, 0]:
        ax.set_ylabel("accuracy")
    return figure


@checked(measurements=("label", "predicted", "corrupted_predicted", "strength"))
def corrupted_accuracy(measurements: xr.Dataset | Iterable[xr.Dataset]) -> Figure:
    """What corruption leaves of the accuracy, a panel a corruption, from measurements of `vg.corrupted_predictions`.

    Marks are the accuracy under corruption over that on the clean images, against the strength; 1 is the clean
    accuracy. Whiskers are 95 % intervals over the images, which both accuracies share.

    Parameters
    ----------
    measurements
        One measurement, or several to compare; corruptions are those of the first.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> model, images = vg.load("resnet"), vg.samples("cifar10", n=4, size=64)
    >>> seen = vg.corrupted_predictions(model, images, model.labels(images), corruptions=["blur", "jpeg"])
    >>> [axes.get_title() for axes in vg.figures.corrupted_accuracy(seen).axes]
    ['blur', 'jpeg']
    """
    each = by_network(measurements)
    kinds = list(each[0][0].corruption.values)
    figure, axes = panels(len(kinds), 2.75, 2.6, sharex=True, sharey=True)
    for i, (seen, label, colour, marker) in enumerate(each):
        clean = (seen.predicted == seen.label).values
        shift = 0.08 * (i - (len(each) - 1) / 2)
        for ax, kind in zip(axes.flat, kinds, strict=False):
            some = seen.sel(corruption=kind)
            left = [
                ratio_interval(some.corrupted_predicted.sel(strength=s) == some.label, clean) for s in some.strength
            ]
            value, low, high = np.array(left).T
            ends = whiskers(value, low, high)
            ax.errorbar(some.strength + shift, value, ends, color=colour, fmt=marker, ls="-", lw=1, ms=4, label=label)
    for ax, kind in zip(axes.flat, kinds, strict=False):
        ax.axhline(1, ls="--", color="#444444", lw=1)
        ax.set(title=str(kind), xlabel="strength")
        ax.set_ylim(bottom=0)
        ax.set_xticks(each[0][0].strength.values)
        ax.label_outer()
    for ax in axes[:, 0]:
        ax.set_ylabel("accuracy over clean")
    if len(each) > 1:
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(each))
    return figure
