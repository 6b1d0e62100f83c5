"""Survival curves of robustness: the share of images that still keep their label at each size of change."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..core.arguments import checked
from ..core.measurement import parameters
from ..errors import ArgumentError
from ..statistics.intervals import wilson
from .style import by_network, panels, subplots

POINTS = 400
ATTACK_LOOKS = {"fgsm line": "--", "pgd": "-.", "deepfool": ":"}


def surviving(epsilon: np.ndarray, outcome: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, ...]:
    """Share of the images that start right and still are at each size of `at`, and the ends of Wilson's intervals."""
    known = outcome != "already wrong"
    distance = np.where(outcome[known] == "crossed", epsilon[known], np.inf)
    return tuple(wilson((distance[:, None] > at).sum(0), np.full(len(at), len(distance))))


@checked(measurements=("epsilon", "outcome"))
def survival(measurements: xr.Dataset | Iterable[xr.Dataset]) -> Figure:
    """Share of the images that keep their label against the size of the change, with 95 % bands.

    Of travel distances, one line a network; of `smallest_attack`, one panel a network, with a line an attack and a
    solid one for the smallest change of all, which cannot lie above the others. Images that start wrong do not count.

    Parameters
    ----------
    measurements
        Measurements of `vg.travel_distance`, of `vg.random_jump`, whose direct path is drawn, or of
        `vg.smallest_attack`; all of one kind.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ArgumentError
        If some are of attacks and others are not.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> from vitgeom_nb.foundations import sum_model
    >>> model = sum_model()
    >>> images, labels = torch.full((1, 3, 2, 2), 0.05), torch.tensor([0])
    >>> figure = vg.figures.survival(vg.travel_distance(model, images, labels))
    >>> figure.axes[0].get_ylabel()
    'share of images that keep their label'
    """
    ways = by_network(measurements)
    attacked = ["attack" in data.dims for data, *_ in ways]
    if len(set(attacked)) > 1:
        raise ArgumentError("These measurements are of attacks and of ways; draw the two in figures of their own.")
    if attacked[0]:
        figure, axes = panels(len(ways), 2.75, 3.2, sharex=True, sharey=True)
        for ax, (data, label, colour, _) in zip(axes.flat, ways, strict=False):
            _attacks(ax, data, colour)
            ax.set_title(label)
        drawn = list(axes.flat[: len(ways)])
    else:
        figure, ax = subplots(figsize=(5.4, 3.6))
        for data, label, colour, marker in ways:
            one = data.sel(path="direct") if "path" in data.dims else data
            _line(ax, one.epsilon.values, one.outcome.values, _sizes(data), label, colour, "-", marker)
        drawn = [ax]
    for ax in drawn:
        ax.set(xlabel="size of the change ε (pixel)", xscale="log", ylim=(0, 1.02))
    drawn[0].set_ylabel("share of images that keep their label")
    figure.legend(*drawn[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def _sizes(data: xr.Dataset) -> np.ndarray:
    most = parameters(data)["epsilon_max"]
    return np.geomspace(most / 1000, most, POINTS)


def _attacks(ax: Axes, data: xr.Dataset, colour: str) -> None:
    at = _sizes(data)
    for attack in data.attack.values:
        one = data.sel(attack=attack)
        line = ATTACK_LOOKS.get(str(attack), "--")
        _line(ax, one.epsilon.values, one.outcome.values, at, str(attack), "#444444", line, None, band=False)
    crossed = (data.outcome == "crossed").any("attack").values
    first = data.outcome.isel(attack=0).values
    outcome = np.where(first == "already wrong", first, np.where(crossed, "crossed", "never wrong"))
    _line(ax, data.smallest.values, outcome, at, "smallest of all", colour, "-", None)


def _line(
    ax: Axes,
    epsilon: np.ndarray,
    outcome: np.ndarray,
    at: np.ndarray,
    label: str,
    colour: str,
    line: str,
    marker: str | None,
    band: bool = True,
) -> None:
    share, low, high = surviving(epsilon, outcome.astype(str), at)
    ax.plot(at, share, line, color=colour, label=label, marker=marker, markevery=POINTS // 8)
    if band:
        ax.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0)
