"""Explorers of equivalent images: the way to a match, and the walk along a fibre."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..core.arguments import checked
from ..equivalence.embedding_line import homotopy_at
from ..equivalence.fibre_walk import fibre_at
from ..networks.vision_model import VisionModel
from .compared import Measurements, Models, Network, explorer_of_one, index, networks, stops
from .display import Display
from .drawing import Probabilities, picture, signed, stripes
from .explorer import Control, Panel, Setting, View


def decibels(value: float) -> str:
    """A PSNR; that of equal pictures is infinite."""
    return "∞ dB" if np.isinf(value) else f"{value:.1f} dB"


@checked(measurements=("path", "s", "residual", "target"))
def homotopy(measurements: Measurements, models: Models = None, pair: int = 0) -> Display:
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
    Display

    Raises
    ------
    ArgumentError
        If the measurements have other values of s.
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

    def frame(network: Network, setting: Setting) -> View:
        return view(network, network.data, index(network, "s", setting["s"]))

    def live(network: Network, model: VisionModel, setting: Setting) -> View:
        return view(network, homotopy_at(model, network.data, setting["s"]), 0)

    shares = stops(each, "s")
    return explorer_of_one(
        "match",
        "From the source to its match",
        "Slide s, the share of the way that the embedding has gone from the source's to the target's, and compare how "
        "far the picture has gone.",
        each,
        (Control("s", "Share of the way s", shares, "{:.2f}", len(shares) // 2),),
        frame,
        live,
    )


@checked(measurements=("path", "drift", "straight_embedding", "step"))
def fibre_walk(measurements: Measurements, models: Models = None, pair: int = 0) -> Display:
    """Slide an image along its fibre: the picture changes, its embedding does not.

    Parameters
    ----------
    measurements
        What `vg.fibre_walk` returned, one or one a network.
    models
        The networks measured, for a kernel to compute between the steps.
    pair
        Which walk.

    Returns
    -------
    Display

    Raises
    ------
    ArgumentError
        If the measurements have other steps.
    """
    each = networks(measurements, models)

    def view(network: Network, data: xr.Dataset, k: int) -> View:
        one, whole = data.isel(pair=pair, step=k), network.data.isel(pair=pair)
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
            Panel("Walked toward", picture(one.target), "The picture that the walk goes toward."),
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
            "PSNR to the start": decibels(float(one.psnr_source)),
        }
        return View(panels, readout)

    def frame(network: Network, setting: Setting) -> View:
        return view(network, network.data, index(network, "step", setting["step"]))

    def live(network: Network, model: VisionModel, setting: Setting) -> View:
        return view(network, fibre_at(model, network.data, setting["step"]), 0)

    steps = stops(each, "step")
    return explorer_of_one(
        "match",
        "Along a fibre",
        "Slide along the walk. The picture moves toward another one, and the second row of stripes, its embedding, "
        "stays like the first; the third, that of the plain blend of the two pictures, does not.",
        each,
        (Control("step", "Step", steps, "{:.3g}", len(steps) // 2),),
        frame,
        live,
    )
