"""Explorers of bending: the direction change at any step size, and the path of the embedding along a line."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes

from ..bending.image_lines import embeddings_along, turning_angle
from ..bending.step_law import step_law as measure
from ..core.arguments import checked
from ..core.measurement import parameters
from ..errors import ArgumentError
from ..networks.vision_model import VisionModel
from .compared import (
    Measurements,
    Models,
    Network,
    explorer_of_all,
    explorer_of_one,
    index,
    networks,
    networks_on_images,
    stops,
    tensors,
)
from .display import Display
from .drawing import Chart, dot, line, marked, picture
from .explorer import Control, Panel, Setting, View

LOW, HIGH = 1e-4, 200.0  # degrees on the axis of the chart


@checked(measurements=("typical", "exponent", "step_size"))
def step_law(measurements: Measurements, models: Models = None, images: Any = None) -> Display:
    """Slide the step size over decades, and watch the direction change of every network follow its law.

    Parameters
    ----------
    measurements
        What `vg.step_law` returned, one or one a network.
    models, images
        The networks and the images measured, for a kernel to compute at any step size.

    Returns
    -------
    Display

    Raises
    ------
    ArgumentError
        If the models come without the images, or the measurements have other step sizes.
    """
    each = networks_on_images(measurements, models, images)
    sizes = stops(each, "step_size")
    typical = {label: np.degrees(n.data.typical.sel(statistic="rms").values) for label, n in each.items()}
    exponent = {label: float(n.data.exponent.sel(statistic="rms")) for label, n in each.items()}

    def draw(axes: Axes) -> None:
        for label, network in each.items():
            named = f"{label}, $h^{{{exponent[label]:.2f}}}$"
            axes.plot(sizes, typical[label], label=named, **marked(network.colour, network.marker, len(sizes)))
        axes.set(xscale="log", yscale="log", ylim=(LOW, HIGH))
        axes.set(xlabel="step h (rms per pixel)", ylabel="direction change (degrees, rms)")
        axes.legend(fontsize=8)

    chart = Chart(draw, 380, 290)

    def view(setting: Setting, angles: dict[str, float]) -> View:
        h = setting["h"]
        over = line(chart.at(h, LOW), chart.at(h, HIGH), dashed=True)
        for label, angle in angles.items():
            over += dot(chart.at(h, max(angle, LOW)), each[label].colour, each[label].marker)
        said = ", ".join(f"{label} {angle:.3g} degrees" for label, angle in angles.items())
        alt = f"Direction change against the step on logarithmic axes; at h = {h:.1e}: {said}."
        readout = {f"{label}, as h^{exponent[label]:.2f}": f"{angle:.3g}°" for label, angle in angles.items()}
        return View((Panel("Direction change", chart.picture, alt, over),), readout)

    def recorded(network: Network, setting: Setting) -> float:
        return float(typical[network.label][index(network, "step_size", setting["h"])])

    def live(network: Network, model: VisionModel, setting: Setting) -> float:
        lines, h = parameters(network.data)["directions"], setting["h"]
        around, seed = (h / 1.01, h, h * 1.01), network.data.attrs["seed"]
        law = measure(model, images, lengths=around, directions=lines, seed=seed, resamples=1)
        return float(np.degrees(law.typical.sel(statistic="rms")[1]))

    return explorer_of_all(
        "bend",
        "The bend at a step size",
        "Slide the step size over its decades. As h falls, the bend of a smooth network falls like h and that of a "
        "ReLU network more slowly, so the order of the networks may depend on the step.",
        each,
        (Control("h", "Step size h", sizes, "{:.1e}", len(sizes) // 2, log=True),),
        view,
        recorded,
        live,
    )


@checked(measurements=("feature", "axis", "basis", "angle"))
def trajectory(measurements: Measurements, models: Models = None) -> Display:
    """Slide an image along a straight line, and see where its embedding is on its path.

    Parameters
    ----------
    measurements
        What `vg.trajectory(..., shape="line")` returned, one or one a network.
    models
        The networks measured, for a kernel to compute between the points.

    Returns
    -------
    Display

    Raises
    ------
    ArgumentError
        If a measurement is not of a line, or the measurements have other points.
    """
    each = networks(measurements, models)
    if any(parameters(n.data)["shape"] != "line" for n in each.values()):
        raise ArgumentError('This explorer moves along a line; measure trajectory(..., shape="line").')
    along = stops(each, "a")

    def chart_of(network: Network) -> Chart:
        path, share = network.data.feature.values[0], 100 * network.data.explained.values

        def draw(axes: Axes) -> None:
            axes.plot(*path.T, "-", color=network.colour, lw=1.6)
            axes.plot(*path[len(path) // 2], "o", mfc="none", color="#444444")
            axes.set(aspect="equal", xlabel=f"component 1 ({share[0]:.0f} %)", ylabel=f"component 2 ({share[1]:.0f} %)")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.margins(0.12)
            axes.set_adjustable("datalim")

        return Chart(draw)

    charts = {label: chart_of(network) for label, network in each.items()}

    def view(network: Network, s: float, point: np.ndarray, angle: float) -> View:
        chart, label, data = charts[network.label], network.label, network.data
        where = f"at position {s:+.3f} on the line, {label}"
        turn = "none at an end" if np.isnan(angle) else f"{np.degrees(angle):.2f}°"
        panels = (
            Panel("The picture", picture(data.pixels.values + s * data.axis.values[0]), f"The picture {where}."),
            Panel(
                "The path of its embedding, seen in a plane",
                chart.picture,
                f"The path of the embedding, with a mark {where}, where it turns by {turn}.",
                dot(chart.at(*point), network.colour, network.marker),
            ),
        )
        readout = {
            "component 1": f"{point[0]:.4g}",
            "component 2": f"{point[1]:.4g}",
            "turn at this point": turn,
            "not affine": f"{100 * float(data.nonlinear):.2g} %",
        }
        return View(panels, readout)

    def frame(network: Network, setting: Setting) -> View:
        k = index(network, "a", setting["s"])
        return view(network, setting["s"], network.data.feature.values[0, k], float(network.data.angle[0, k]))

    def live(network: Network, model: VisionModel, setting: Setting) -> View:
        s, data = setting["s"], network.data
        start, axis = tensors(data, model, "pixels", "axis")
        step = along[1] - along[0]
        at = torch.tensor([s - step, s, s + step], dtype=torch.float64)
        z = embeddings_along(model, start[None], axis[:1], at)[0].double().cpu()
        point = (z[1].numpy() - data["mean"].values) @ data.basis.values.T
        return view(network, s, point, float(turning_angle(z[2] - z[1], z[1] - z[0])))

    return explorer_of_one(
        "bend",
        "Along a straight line of images",
        "Slide the position. The picture moves straight through pixel space; the mark shows where its embedding is.",
        each,
        (Control("s", "Position", along, "{:+.3f}", len(along) // 2),),
        frame,
        live,
    )
