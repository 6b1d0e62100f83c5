"""Explorers of equivalent images: the way to a match, and the walk along a fibre."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ..fibre import fibre_at
from ..homotopy import homotopy_at
from ..vision_model import VisionModel
from .compared import Measurements, Models, Network, choice, chosen, computing, networks
from .core import Control, Explorer, Panel, Setting, View
from .drawing import Chart, box, picture, signed, stripes

CLASSES = 5  # rows of the chart of probabilities
BLUE, GREY = "#0072B2", "#767676"


def decibels(value: float) -> str:
    """A PSNR; that of equal pictures is infinite."""
    return "∞ dB" if np.isinf(value) else f"{value:.1f} dB"


class Probabilities:
    """A chart of the classes that matter along a path: one row each, a bar that moves."""

    def __init__(self, probability: np.ndarray, names: np.ndarray) -> None:
        order = np.argsort(-probability.max(axis=0))
        self.rows = order[:CLASSES]
        self.names = names
        self.top = min(1.0, 1.08 * float(probability.max()))

        def draw(axes: Axes) -> None:
            axes.set(xlim=(0, self.top), ylim=(len(self.rows) - 0.4, -0.6), xlabel="probability")
            axes.set_yticks(range(len(self.rows)), [str(names[k])[:18] for k in self.rows])
            axes.grid(axis="y", visible=False)

        self.chart = Chart(draw, height=210)

    def panel(self, probability: np.ndarray, where: str) -> Panel:
        """The chart at one point of the path."""
        overlay = ""
        for row, k in enumerate(self.rows):
            p = float(min(probability[k], self.top))
            colour = BLUE if k == probability.argmax() else GREY
            overlay += box(self.chart.at(0, row - 0.32), self.chart.at(p, row + 0.32), colour)
        said = ", ".join(f"{self.names[k]} {probability[k]:.1%}" for k in self.rows[:3])
        return Panel("Label probabilities", self.chart.picture, f"Bars of probability {where}: {said}.", overlay)


def homotopy(measurements: Measurements, models: Models = None, pair: int = 0) -> Explorer:
    """Slide an image toward its match, while its embedding goes straight to that of the target.

    Parameters
    ----------
    measurements
        What `vg.homotopy` returned, one or one a network.
    models
        The networks measured, for a kernel to compute between the frames.
    pair
        Which pair.

    Returns
    -------
    Explorer
    """
    each = networks(measurements, models)
    scales = {
        label: float(np.quantile(np.abs(n.data.path.values[pair] - n.data.path.values[pair, 0]), 0.998))
        for label, n in each.items()
    }
    charts = {
        label: Probabilities(n.data.probability.values[pair], n.data.name.values)
        for label, n in each.items()
        if "probability" in n.data
    }

    def view(network: Network, data: xr.Dataset, k: int) -> View:
        one, label, scale = data.isel(pair=pair, s=k), network.label, scales[network.label]
        start = network.data.path.values[pair, 0]
        s, cosine, quality = float(one.s), float(one.cosine), decibels(float(one.psnr))
        where = f"at s = {s:.2f} on {label}"
        factor = 0.5 / max(scale, 1e-12)
        panels = [
            Panel(
                "The picture",
                picture(one.path),
                f"The picture {where}: cosine {cosine:.3f} to the target, PSNR {quality} to the source.",
            ),
            Panel(
                f"Its change, x {factor:.2g}",
                picture(signed(one.path - start, scale)),
                f"The change of the picture {where}, amplified {factor:.2g} times about mid-grey.",
            ),
            Panel("The target", picture(one.target), "The target picture, whose embedding the path leads to."),
        ]
        readout = {
            "cosine to target": f"{cosine:.4f}",
            "PSNR to source": quality,
            "off the straight line": f"{float(one.residual):.1e}",
        }
        if label in charts:
            p = one.probability.values
            panels.append(charts[label].panel(p, where))
            readout |= {"label": str(network.data.name.values[p.argmax()]), "its probability": f"{p.max():.1%}"}
        return View(tuple(panels), readout)

    def frame(setting: Setting) -> View:
        network = chosen(each, setting)
        return view(network, network.data, list(network.data.s.values).index(setting["s"]))

    def live(network: Network, model: VisionModel, setting: Setting) -> View:
        return view(network, homotopy_at(model, network.data, setting["s"]), 0)

    stops = tuple(next(iter(each.values())).data.s.values.tolist())
    return Explorer(
        "From the source to its match",
        "Slide s, the share of the way that the embedding has gone from the source's to the target's, and compare how "
        "far the picture has gone.",
        (*choice(each), Control("s", "Share of the way s", stops, "{:.2f}", len(stops) // 2)),
        frame,
        computing(each, live),
    )


def fibre_walk(measurements: Measurements, models: Models = None, image: int = 0) -> Explorer:
    """Slide an image along its fibre: the picture changes, its embedding does not.

    Parameters
    ----------
    measurements
        What `vg.fibre_walk` returned, one or one a network.
    models
        The networks measured, for a kernel to compute between the steps.
    image
        Which walk.

    Returns
    -------
    Explorer
    """
    each = networks(measurements, models)

    def view(network: Network, data: xr.Dataset, k: int) -> View:
        one, whole = data.isel(image=image, step=k), network.data.isel(image=image)
        low, high = np.quantile(np.concatenate([whole.embedding, whole.straight_embedding]), (0.01, 0.99))
        step, drift, straight = float(one.step), float(one.drift), float(one.straight_drift)
        covered = 1 - float(one.distance / whole.distance[0])
        where = f"at step {step:.3g} on {network.label}"
        bars = stripes([whole.embedding.values[0], one.embedding.values, one.straight_embedding.values], low, high)
        panels = (
            Panel(
                "Along the fibre",
                picture(one.path),
                f"The picture {where}, {covered:.0%} of the way in pixels to the other one.",
            ),
            Panel("Walked toward", picture(one.toward), "The picture that the walk goes toward."),
            Panel(
                "Embeddings as stripes: at the start; along the fibre; of the straight blend",
                bars,
                f"Three rows of grey stripes {where}: the first two are the same up to a drift of {drift:.1e}, "
                f"the third, of the straight blend, has drifted by {straight:.1e}.",
            ),
        )
        readout = {
            "way covered": f"{covered:.0%}",
            "drift along the fibre": f"{drift:.1e}",
            "drift of the blend": f"{straight:.1e}",
            "cosine to the start": f"{float(one.cosine):.6f}",
            "PSNR to the start": decibels(float(one.psnr_start)),
        }
        return View(panels, readout)

    def frame(setting: Setting) -> View:
        network = chosen(each, setting)
        return view(network, network.data, list(network.data.step.values).index(setting["step"]))

    def live(network: Network, model: VisionModel, setting: Setting) -> View:
        return view(network, fibre_at(model, network.data, setting["step"]), 0)

    stops = tuple(next(iter(each.values())).data.step.values.tolist())
    return Explorer(
        "Along a fibre",
        "Slide along the walk. The picture moves toward another one, and the second row of stripes, its embedding, "
        "stays like the first; the third, that of the plain blend of the two pictures, does not.",
        (*choice(each), Control("step", "Step", stops, "{:.3g}", len(stops) // 2)),
        frame,
        computing(each, live),
    )
