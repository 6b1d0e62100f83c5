"""Explorer of local directional Lipschitz constants: slide the radius, pick the kind of direction."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ..core.arguments import checked
from ..core.measurement import parameters
from ..equivalence.lipschitz import lldlc as measure
from ..figures.lipschitz import largest_constant
from ..networks.vision_model import VisionModel
from .compared import Measurements, Models, Network, explorer_of_all, index, networks_on_images, stops
from .display import Display
from .drawing import Chart, dot, line, marked
from .explorer import Control, Panel, Setting, View


def _median(data: xr.Dataset, kind: str) -> np.ndarray:
    """Median over images and directions, by radius."""
    values = data.lldlc.sel(kind=kind).values.reshape(-1, data.sizes["radius"])
    known = ~np.isnan(values).all(0)  # no match may have arrived
    middle = np.full(len(known), np.nan)
    middle[known] = np.nanmedian(values[:, known], axis=0)
    return middle


@checked(measurements=("lldlc", "kind", "radius"))
def lldlc(measurements: Measurements, models: Models = None, images: Any = None) -> Display:
    """Slide the radius and see the constants of all networks for one kind of direction.

    Parameters
    ----------
    measurements
        What `vg.lldlc` returned, one or one a network.
    models, images
        The networks and the images measured, for a kernel to compute at any radius.

    Returns
    -------
    Display

    Raises
    ------
    ArgumentError
        If the models come without the images, or the measurements have other radii or kinds.
    """
    each = networks_on_images(measurements, models, images)
    kinds, radii = stops(each, "kind"), stops(each, "radius")
    medians = np.concatenate([_median(n.data, kind) for n in each.values() for kind in kinds])
    smallest = medians[~np.isnan(medians)]
    highest = 3 * max(largest_constant(n.data) for n in each.values())
    lowest = max(smallest.min(initial=highest), 1e-6 * highest) / 2

    def chart_of(kind: str) -> Chart:
        def draw(axes: Axes) -> None:
            for network in each.values():
                how = marked(network.colour, network.marker, len(radii))
                axes.plot(radii, _median(network.data, kind), label=network.label, **how)
            axes.set(xscale="log", yscale="log", xlabel="radius r", ylabel="median constant L")
            axes.set_ylim(lowest, highest)
            axes.legend(fontsize=8, loc="lower left")

        return Chart(draw, 380, 290)

    charts = {kind: chart_of(kind) for kind in kinds}

    def view(setting: Setting, constants: dict[str, float]) -> View:
        kind, r = setting["kind"], setting["radius"]
        chart = charts[kind]
        over = line(chart.at(r, lowest), chart.at(r, highest), dashed=True)
        for label, value in constants.items():
            over += dot(chart.at(r, max(value, lowest)), each[label].colour, each[label].marker)
        said = ", ".join(f"{label} {value:.3g}" for label, value in constants.items())
        alt = f"Constants against the radius for the {kind} direction; at r = {r:.3g}: {said}."
        panel = Panel(f"Direction: {kind}", chart.picture, alt, over)
        return View((panel,), {f"L, {label}": f"{value:.3g}" for label, value in constants.items()})

    def recorded(network: Network, setting: Setting) -> float:
        return float(_median(network.data, setting["kind"])[index(network, "radius", setting["radius"])])

    def live(network: Network, model: VisionModel, setting: Setting) -> float:
        kind, seed, count = setting["kind"], network.data.attrs["seed"], parameters(network.data)["directions"]
        radii = (setting["radius"],)
        result = measure(model, images, kinds=(kind,), radii=radii, directions=count, seed=seed, slopes=False)
        return float(_median(result, kind)[0])

    return explorer_of_all(
        "blind",
        "Lipschitz constants at a radius",
        "Slide the radius and choose the kind of direction. Constants are medians over images and directions; where a "
        "curve bends, its direction is no longer what it was at the image.",
        each,
        (
            Control("kind", "Direction", kinds),
            Control("radius", "Radius r", radii, "{:.3g}", len(radii) // 2, log=True),
        ),
        view,
        recorded,
        live,
    )
