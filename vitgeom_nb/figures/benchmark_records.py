"""Figures of recorded speeds: contenders relative to ours, memory, and how time grows."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from ..benchmark_records import DEVICES, GROWTH, PORTIONS, duration, falls_short
from ..core.arguments import checked
from .style import LOOKS, look, panels, subplots, whiskers

OURS = "#0072B2"
# variants, peers and curves: Okabe-Ito colours and markers, and the floor's own
COLOURS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#444444", "#332288")
MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">")
FLOOR: dict[str, Any] = {"color": "black", "marker": "|", "markersize": 11, "markeredgewidth": 2.2}
ROLES: dict[str, dict[str, Any]] = {
    "ours": {"color": OURS, "marker": "o", "zorder": 3},
    "variant": {"color": OURS, "marker": "o", "mfc": "white"},
    "peer": {"color": "#D55E00", "marker": "s", "mfc": "white"},
    "floor": FLOOR,
}
LEGEND = (0.6, 0.6)  # inches beside and below the panels, for labels and legend
IDEAL = "proportional (to threads: inversely)"
AXES = {
    "pixels": "pixel values $n$",
    "components": "components $D$ of the embedding",
    "batch": "rows of J at a time",
    "at a time": "images at a time",
    "images": "images",
    "threads": "threads",
}


@checked(table=("engine", "device", "network", "ratio"))
def speed(table: pd.DataFrame, engine: str) -> Figure:
    """Times of all contenders for an engine's task relative to ours, a row a network, one panel a device.

    Marks are medians over rounds of the ratio within a round, bars its quartiles; ours is the line at 1, with its time
    beside the name of the network. A hollow mark reached the goal less often than ours (`converged`), a cross at the
    right edge has no time because the contender failed.

    Parameters
    ----------
    table
        What `vg.speed` returns.
    engine
        One of its engines; where there is no record of it, the figure says so.

    Returns
    -------
    matplotlib.figure.Figure
    """
    one = table[table.engine == engine]
    if one.empty:
        return _nothing(f"No speed of “{engine}” is recorded.")
    devices = list(dict.fromkeys(one.device))
    looks = _looks(one)
    names = {device: _networks(one[one.device == device]) for device in devices}
    heights = [sum(len(each) for each in names.values()) * (0.3 + 0.08 * len(looks)), 0.5 * len(devices) + 0.8]
    ratios = [len(each) for each in names.values()]
    figure, axes = subplots(
        len(devices), 1, figsize=(8, sum(heights)), squeeze=False, sharex=True, gridspec_kw={"height_ratios": ratios}
    )
    for device, axis in zip(devices, axes[:, 0], strict=True):
        _contest(axis, one[one.device == device], names[device], looks)
        axis.set_title(f"{engine} on the {DEVICES.get(device, device)}", loc="left")
    _readable(axes[0, 0], (0.5, 0.7, 1.0, 1.5, 2.0, 3.0), (1.0, 2.0, 5.0))  # the panels share their horizontal axis
    axes[-1, 0].set_xlabel("time relative to ours")
    handles = [Line2D([], [], color=OURS, linewidth=1.6, label=_ours(one))]
    handles += [Line2D([], [], linestyle="", label=name, **drawn) for name, drawn in looks.items()]
    if (one.failure != "").any():
        handles.append(Line2D([], [], linestyle="", marker="x", color="#444444", label="did not finish"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _looks(one: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """How each contender but ours is drawn."""
    peers = [name for role in ("variant", "peer") for name in dict.fromkeys(one[one.role == role].contender)]
    drawn: dict[str, dict[str, Any]] = {
        name: {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]} for i, name in enumerate(peers)
    }
    return drawn | {name: dict(FLOOR) for name in dict.fromkeys(one[one.role == "floor"].contender)}


def _networks(records: pd.DataFrame) -> list[str]:
    """The networks of the records, those of the catalogue first and in its order."""
    known = list(LOOKS)
    each = dict.fromkeys(records.network)
    return sorted(each, key=lambda name: known.index(name) if name in known else len(known))


def _ours(records: pd.DataFrame) -> str:
    names = dict.fromkeys(records[records.role == "ours"].contender)
    return ", ".join(["ours", *(name for name in names if name != "ours")])


def _contest(axis: Axes, records: pd.DataFrame, networks: list[str], looks: dict[str, dict[str, Any]]) -> None:
    """One device: the line of ours, and in the row of each network a mark a contender, one below the other."""
    axis.axvline(1, color=OURS, linewidth=1.6)
    offsets = np.linspace(-0.32, 0.32, len(looks)) if len(looks) > 1 else [0.0]
    shift = dict(zip(looks, offsets, strict=True))
    ours = records[records.role == "ours"].set_index("network")
    short = falls_short(records)
    for _, record in records[records.role != "ours"].iterrows():
        drawn, at = looks[record["contender"]], networks.index(record["network"]) + shift[record["contender"]]
        if record["failure"]:
            across = axis.get_yaxis_transform()
            axis.plot(0.985, at, "x", color=drawn["color"], transform=across, clip_on=False, label=record["contender"])
            continue
        first, middle, third = (record[key] for key in ("ratio_lower_quartile", "ratio", "ratio_upper_quartile"))
        fill: dict[str, Any] = {"mfc": "white"} if short[record.name] else {}
        bars = whiskers(middle, first, third)
        axis.errorbar(middle, at, xerr=bars, **drawn, **fill, linestyle="", elinewidth=1.3, label=record["contender"])
    labels = [f"{look(n)[0]}\n{_time(ours, n)}" for n in networks]
    axis.set_yticks(range(len(networks)), labels, fontsize=9)
    axis.set_ylim(len(networks) - 0.5, -0.5)
    for edge in range(1, len(networks)):
        axis.axhline(edge - 0.5, color="#cccccc", linewidth=0.8)
    axis.grid(False, axis="y")


def _time(ours: pd.DataFrame, network: str) -> str:
    seconds = ours["median"].get(network, np.nan)
    return "no time of ours" if np.isnan(seconds) else duration(seconds)


def _readable(axis: Axes, short: tuple[float, ...], long: tuple[float, ...]) -> None:
    """A logarithmic axis whose ticks are plain numbers, these multiples of powers of ten if it is short or long."""
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    axis.xaxis.set_major_locator(LogLocator(subs=short if high / low < 20 else long))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_locator(NullLocator())


def _nothing(words: str) -> Figure:
    figure, axis = subplots(figsize=(8, 1))
    axis.text(0.5, 0.5, words, ha="center", va="center")
    axis.set_axis_off()
    return figure


@checked(table=("engine", "device", "peak_memory_mb", "role"))
def speed_memory(table: pd.DataFrame) -> Figure:
    """Peak memory of one run above the loaded network [MB], one panel an engine and device, a row a network.

    Dots are ours, hollow ones variants of it, squares peers, bars the floor.
    """
    held = table[(table.engine != GROWTH) & (table.peak_memory_mb > 0)]
    if held.empty:
        return _nothing("No peak memory is recorded.")
    contests = list(dict.fromkeys(zip(held.engine, held.device, strict=True)))
    networks = _networks(held)
    figure, axes = panels(len(contests), 2.4, 0.8 + 0.21 * len(networks), LEGEND, 3, sharey=True)
    for axis, (engine, device) in zip(axes.flat, contests, strict=False):
        records = held[(held.engine == engine) & (held.device == device)]
        for role, drawn in ROLES.items():
            some = records[records.role == role]
            if len(some):
                axis.plot(some.peak_memory_mb, some.network.map(networks.index), linestyle="", **drawn, label=role)
        axis.set_title(f"{engine} on the {DEVICES.get(device, device)}")
        axis.set_xlabel("peak memory [MB]")
        _readable(axis, (1.0, 2.0, 5.0), (1.0, 3.0))
    axes[0, 0].set_yticks(range(len(networks)), [look(n)[0] for n in networks])
    axes[0, 0].set_ylim(len(networks) - 0.5, -0.5)
    _legend(figure)
    return figure


@checked(table=("engine", "median", "axis", "at"))
def speed_growth(table: pd.DataFrame) -> Figure:
    """Time against pixels, components, batch, images and threads on logarithmic axes, one panel what was varied.

    Marks are medians over rounds; a dotted line is proportional to the horizontal axis, inversely for threads. There is
    none where the same work is done in other portions.
    """
    grown = table[(table.engine == GROWTH) & (table["median"] > 0) & (table["at"] > 0)]
    if grown.empty:
        return _nothing("No growth of the times is recorded.")
    grown = grown.assign(curve=_curves(grown))
    looks = dict(
        zip(dict.fromkeys(grown.curve), cycle(zip((OURS, *COLOURS), ("o", *MARKERS), strict=True)), strict=False)
    )
    varied = [name for name in AXES if (grown.axis == name).any()]
    varied += [name for name in dict.fromkeys(grown.axis.dropna()) if name not in AXES]
    figure, axes = panels(len(varied), 2.9, 2.6, LEGEND, 3)
    for axis, name in zip(axes.flat, varied, strict=False):
        shown = grown[grown.axis == name].sort_values("at")
        for curve, points in shown.groupby("curve", sort=False):
            colour, marker = looks[curve]
            axis.plot(points["at"], points["median"], marker, linestyle="-", color=colour, label=curve)
        if name not in PORTIONS:
            ends = shown["at"].iloc[[0, -1]].to_numpy()
            ideal = (ends / ends[0]) ** (-1 if name == "threads" else 1) * shown["median"].iloc[0]
            axis.plot(ends, ideal, ":", color="#444444", linewidth=1, label=IDEAL)
        axis.set(xscale="log", yscale="log", xlabel=AXES.get(name, name))
        ticks = sorted(set(shown["at"]))[:: -(-shown["at"].nunique() // 4)]
        axis.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_locator(
            LogLocator(subs=(1.0,) if np.ptp(np.log10(shown["median"])) > 1 else (1.0, 2.0, 5.0))
        )
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
        axis.yaxis.set_minor_locator(NullLocator())
    for axis in axes[:, 0]:
        axis.set_ylabel("time")
    _legend(figure)
    return figure


def _legend(figure: Figure) -> None:
    """Every label of any panel once, what is ideal last."""
    drawn = [pair for axis in figure.axes for pair in zip(*axis.get_legend_handles_labels(), strict=True)]
    lines = {label: line for line, label in drawn}
    order = sorted(lines, key=IDEAL.__eq__)
    figure.legend([lines[label] for label in order], order, loc="outside lower center", ncols=3, frameon=False)


def _curves(grown: pd.DataFrame) -> pd.Series:
    """Names of the curves: the contender, with network and device where there is more than one."""
    name = grown.contender
    if grown.network.nunique() > 1:
        name = name + ", " + grown.network.map(lambda network: look(network)[0])
    return name + " on the " + grown.device.map(lambda d: DEVICES.get(d, d)) if grown.device.nunique() > 1 else name
