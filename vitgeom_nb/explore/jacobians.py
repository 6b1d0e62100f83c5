"""Explorer of singular directions: pick one, walk along it, compare with what the Jacobian promises."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes

from ..core.arguments import checked
from ..jacobians.singular_directions import NULL
from ..jacobians.step_response import embedding_steps
from ..networks.vision_model import VisionModel
from .compared import Measurements, Models, Network, explorer_of_one, index, networks, stops, tensors
from .display import Display
from .drawing import Chart, curve, dot, picture, signed
from .explorer import Control, Panel, Setting, View

BLUE = "#0072B2"


def _rank_word(rank: int) -> str:
    return "null direction" if rank == NULL else f"singular vector {rank}"


@checked(measurements=("vector", "rank", "change", "radius"))
def singular_steps(measurements: Measurements, models: Models = None, image: int = 0) -> Display:
    """Pick a singular or a null direction, and slide the length of a step along it.

    Parameters
    ----------
    measurements
        What `vg.singular_steps` returned, one or one a network.
    models
        The networks measured, for a kernel to compute steps of any length.
    image
        Which image.

    Returns
    -------
    Display

    Raises
    ------
    ArgumentError
        If the measurements have other ranks or radii.
    """
    each = networks(measurements, models)
    null, *ranks = stops(each, "rank")
    by_word = {_rank_word(r): r for r in (*ranks, null)}

    def chart_of(network: Network) -> Chart:
        one = network.data.isel(image=image)

        def draw(axes: Axes) -> None:
            for k in range(one.sizes["rank"]):
                axes.plot(one.radius, one.change[k], color="0.8", lw=1)
            axes.set(xscale="log", yscale="log", xlabel="length r of the step", ylabel="change of the embedding")

        return Chart(draw)

    charts = {label: chart_of(network) for label, network in each.items()}

    def view(network: Network, rank: int, r: float, change: float) -> View:
        one = network.data.isel(image=image).sel(rank=rank)
        chart, vector, promised = charts[network.label], one.vector.values, r * float(one.singular_value)
        moved, word = one.pixels.values + r * vector, _rank_word(rank)
        over = curve([chart.at(x, y) for x, y in zip(one.radius.values, one.change.values, strict=True)], BLUE)
        ratio = "none" if rank == NULL else f"{change / promised:.3f}"
        if rank != NULL:
            ends = (one.radius.values[0], one.radius.values[-1])
            over += curve(
                [chart.at(x, x * float(one.singular_value)) for x in ends], "#444444", ' stroke-dasharray="4 3"'
            )
        over += dot(chart.at(r, change), BLUE)
        where = f"after a step of length {r:.3g} along the {word} on {network.label}"
        panels = (
            Panel("The picture", picture(moved), f"The picture {where}."),
            Panel(
                f"The direction: {word}",
                picture(signed(vector, float(np.abs(vector).max()))),
                f"The {word} of {network.label} as a picture about mid-grey.",
            ),
            Panel(
                "Change of the embedding; dashed: what J promises",
                chart.picture,
                f"The embedding has moved by {change:.3g} {where}; the Jacobian promises {promised:.3g}.",
                over,
            ),
        )
        readout = {
            "singular value": f"{float(one.singular_value):.3g}",
            "promised, r s": f"{promised:.3g}",
            "measured": f"{change:.3g}",
            "measured / promised": ratio,
            "rms per pixel": f"{r / vector.size**0.5:.2g}",
        }
        return View(panels, readout)

    def frame(network: Network, setting: Setting) -> View:
        rank, r = by_word[setting["direction"]], setting["radius"]
        one = network.data.isel(image=image).sel(rank=rank)
        return view(network, rank, r, float(one.change[index(network, "radius", r)]))

    def live(network: Network, model: VisionModel, setting: Setting) -> View:
        rank, r = by_word[setting["direction"]], setting["radius"]
        one = network.data.isel(image=image).sel(rank=rank)
        x, v = tensors(one, model, "pixels", "vector")
        moved = embedding_steps(model, x, v.flatten()[None], torch.tensor([r], dtype=torch.float64))
        return view(network, rank, r, float(moved.norm()))

    radii = stops(each, "radius")
    return explorer_of_one(
        "blind",
        "A step along a singular direction",
        "Slide the length r of the step and watch the change of the embedding leave the dashed line, r times the "
        "singular value. A null direction is promised nothing, and moves the embedding all the same once it is long.",
        each,
        (
            Control("direction", "Direction", tuple(by_word)),
            Control("radius", "Length r", radii, "{:.3g}", len(radii) // 2, log=True),
        ),
        frame,
        live,
    )
