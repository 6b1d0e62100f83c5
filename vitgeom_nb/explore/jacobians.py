"""Explorer of singular directions: pick one, walk along it, compare with what the Jacobian promises."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes

from ..singular_steps import NULL
from ..steps import embedding_steps
from ..vision_model import VisionModel
from .compared import Measurements, Models, Network, choice, chosen, computing, networks
from .core import Control, Explorer, Panel, Setting, View
from .drawing import Chart, curve, dot, picture, signed

BLUE = "#0072B2"


def _rank_word(rank: int) -> str:
    return "null direction" if rank == NULL else f"singular vector {rank}"


def singular_steps(measurements: Measurements, models: Models = None, image: int = 0) -> Explorer:
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
    Explorer
    """
    each = networks(measurements, models)
    ranks = [int(r) for r in next(iter(each.values())).data["rank"].values]
    order = [*ranks[1:], ranks[0]]
    by_word = {_rank_word(r): r for r in order}

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
        moved, word = one.start.values + r * vector, _rank_word(rank)
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

    def frame(setting: Setting) -> View:
        network, rank, r = chosen(each, setting), by_word[setting["direction"]], setting["radius"]
        one = network.data.isel(image=image).sel(rank=rank)
        return view(network, rank, r, float(one.change.sel(radius=r)))

    def live(network: Network, model: VisionModel, setting: Setting) -> View:
        rank, r = by_word[setting["direction"]], setting["radius"]
        one = network.data.isel(image=image).sel(rank=rank)
        x, v = (torch.from_numpy(one[name].values).to(model.device, model.dtype) for name in ("start", "vector"))
        moved = embedding_steps(model, x, v.flatten()[None], torch.tensor([r], dtype=torch.float64))
        return view(network, rank, r, float(moved.norm()))

    radii = tuple(next(iter(each.values())).data.radius.values.tolist())
    return Explorer(
        "A step along a singular direction",
        "Slide the length r of the step and watch the change of the embedding leave the dashed line, r times the "
        "singular value. A null direction is promised nothing, and moves the embedding all the same once it is long.",
        (
            *choice(each),
            Control("direction", "Direction", tuple(by_word)),
            Control("radius", "Length r", radii, "{:.3g}", len(radii) // 2, log=True),
        ),
        frame,
        computing(each, live),
    )
