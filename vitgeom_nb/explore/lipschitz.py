"""Explorer of local directional Lipschitz constants: slide the radius, pick the kind of direction."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ..errors import ArgumentError
from ..figures.lipschitz import largest_constant
from ..lipschitz import lldlc as measure
from ..vision_model import VisionModel
from .compared import Measurements, Models, Network, computing_all, networks
from .core import Control, Explorer, Panel, Setting, View
from .drawing import Chart, dot, line


def _median(data: xr.Dataset, kind: str) -> np.ndarray:
    """Median over images and directions, by radius."""
    return np.nanmedian(data.lldlc.sel(kind=kind).values.reshape(-1, data.sizes["radius"]), axis=0)


def lldlc(measurements: Measurements, models: Models = None, images: Any = None) -> Explorer:
    """Slide the radius and see the constants of all networks for one kind of direction.

    Parameters
    ----------
    measurements
        What `vg.lldlc` returned, one or one a network.
    models, images
        The networks and the images measured, for a kernel to compute at any radius.

    Returns
    -------
    Explorer

    Raises
    ------
    ArgumentError
        If the models come without the images.
    """
    each = networks(measurements, models)
    if (models is None) != (images is None):
        raise ArgumentError("Pass models and images together, or neither.")
    first = next(iter(each.values())).data
    kinds, radii = [str(kind) for kind in first.kind.values], first.radius.values
    smallest = [float(np.nanmin(_median(n.data, kind))) for n in each.values() for kind in kinds]
    highest = 3 * max(largest_constant(n.data) for n in each.values())
    lowest = max(min(smallest), 1e-6 * highest) / 2

    def chart_of(kind: str) -> Chart:
        def draw(axes: Axes) -> None:
            for network in each.values():
                axes.plot(radii, _median(network.data, kind), color=network.colour, label=network.label, lw=1.4)
            axes.set(xscale="log", yscale="log", xlabel="radius r", ylabel="median constant L")
            axes.set_ylim(lowest, highest)
            axes.legend(fontsize=8, loc="lower left")

        return Chart(draw, 380, 290)

    charts = {kind: chart_of(kind) for kind in kinds}

    def view(kind: str, r: float, constants: dict[str, float]) -> View:
        chart = charts[kind]
        over = line(chart.at(r, lowest), chart.at(r, highest), dashed=True)
        for label, value in constants.items():
            over += dot(chart.at(r, max(value, lowest)), each[label].colour, each[label].marker)
        said = ", ".join(f"{label} {value:.3g}" for label, value in constants.items())
        alt = f"Constants against the radius for the {kind} direction; at r = {r:.3g}: {said}."
        panel = Panel(f"Direction: {kind}", chart.picture, alt, over)
        return View((panel,), {f"L, {label}": f"{value:.3g}" for label, value in constants.items()})

    def frame(setting: Setting) -> View:
        kind, r = setting["kind"], setting["radius"]
        k = int(np.flatnonzero(radii == r)[0])
        return view(kind, r, {label: float(_median(n.data, kind)[k]) for label, n in each.items()})

    def live(watched: list[tuple[Network, VisionModel]], setting: Setting) -> View:
        kind, r = setting["kind"], setting["radius"]
        found = {}
        for network, model in watched:
            seed, count = network.data.attrs["seed"], json.loads(network.data.attrs["parameters"])["count"]
            result = measure(model, images, (kind,), (r,), seed, count=count, slopes=False)
            found[network.label] = float(_median(result, kind)[0])
        return view(kind, r, found)

    return Explorer(
        "Lipschitz constants at a radius",
        "Slide the radius and choose the kind of direction. Constants are medians over images and directions; where a "
        "curve bends, its direction is no longer what it was at the image.",
        (
            Control("kind", "Direction", tuple(kinds)),
            Control("radius", "Radius r", tuple(radii.tolist()), "{:.3g}", len(radii) // 2, log=True),
        ),
        frame,
        computing_all(each, live),
    )
