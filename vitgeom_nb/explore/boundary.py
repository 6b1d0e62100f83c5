"""Explorer of FGSM paths: slide epsilon, with and without the random jump, and see the label go."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes

from ..vision_model import VisionModel
from .compared import Measurements, Models, Network, choice, chosen, computing, networks
from .core import Control, Explorer, Panel, Setting, View
from .drawing import Chart, dot, line, picture
from .equivalent import Probabilities

WAYS = {"from the image": "direct", "after a random jump": "jumped"}
BLUE, ORANGE = "#0072B2", "#D55E00"


def fgsm_path(measurements: Measurements, models: Models = None, image: int = 0) -> Explorer:
    """Slide epsilon along the FGSM path of an image, from the image itself or after a random jump.

    Parameters
    ----------
    measurements
        What `vg.fgsm_path` returned, one or one a network.
    models
        The networks measured, for a kernel to compute at any epsilon.
    image
        Which image.

    Returns
    -------
    Explorer
    """
    each = networks(measurements, models)

    def chart_of(network: Network, way: str) -> Chart:
        one = network.data.isel(image=image).sel(path=way)
        right, other = _two(one.probability.values, int(one.label))
        crossing = float(one.crossing)

        def draw(axes: Axes) -> None:
            axes.plot(one.epsilon, right, color=BLUE, label="the label")
            axes.plot(one.epsilon, other, "--", color=ORANGE, label="the best other")
            if one.epsilon.values[0] <= crossing <= one.epsilon.values[-1]:
                axes.axvline(crossing, color="#444444", ls=":", lw=1.2, label="crossing")
            axes.set(xlabel="epsilon (rms per pixel)", ylabel="probability", ylim=(0, None))
            axes.margins(y=0.1)
            axes.legend(fontsize=8)

        return Chart(draw)

    charts = {(label, way): chart_of(network, way) for label, network in each.items() for way in WAYS.values()}
    bars = {
        label: Probabilities(n.data.probability.values[image].reshape(-1, n.data.sizes["class"]), n.data.name.values)
        for label, n in each.items()
    }

    def view(network: Network, start: str, epsilon: float, probability: np.ndarray) -> View:
        way = WAYS[start]
        one, chart = network.data.isel(image=image).sel(path=way), charts[network.label, way]
        names, label = network.data.name.values, int(one.label)
        right, other = (float(p[0]) for p in _two(probability[None], label))
        seen = int(probability.argmax())
        where = f"{start} at epsilon {epsilon:.4f} on {network.label}"
        crossing = f"{float(one.crossing):.4f}" if str(one.outcome.values) == "crossed" else str(one.outcome.values)
        over = line(chart.at(epsilon, 0), chart.at(epsilon, max(right, other)), dashed=True)
        over += dot(chart.at(epsilon, right), BLUE) + dot(chart.at(epsilon, other), ORANGE, "s")
        panels = (
            Panel(
                f"The picture, {start}",
                picture(one.origin.values + epsilon * one.direction.values),
                f"The picture {where}, labelled {names[seen]}.",
            ),
            Panel(
                f"Probability of {names[label]} and of the best other",
                chart.picture,
                f"Probability {where}: {names[label]} {right:.1%}, the best other {other:.1%}.",
                over,
            ),
            bars[network.label].panel(probability, where),
        )
        readout = {
            "label to leave": str(names[label]),
            "label here": str(names[seen]),
            "margin": f"{100 * (right - other):+.1f} points",
            "crosses at": crossing,
        }
        return View(panels, readout)

    def frame(setting: Setting) -> View:
        network, epsilon = chosen(each, setting), setting["epsilon"]
        one = network.data.isel(image=image).sel(path=WAYS[setting["start"]])
        return view(network, setting["start"], epsilon, one.probability.values[list(one.epsilon.values).index(epsilon)])

    def live(network: Network, model: VisionModel, setting: Setting) -> View:
        one = network.data.isel(image=image).sel(path=WAYS[setting["start"]])
        start, d = (
            torch.from_numpy(one[name].values).to(model.device, model.dtype) for name in ("origin", "direction")
        )
        with torch.no_grad():
            p = model.logits((start + setting["epsilon"] * d)[None])[0].double().softmax(0)
        return view(network, setting["start"], setting["epsilon"], p.cpu().numpy())

    stops = tuple(next(iter(each.values())).data.epsilon.values.tolist())
    return Explorer(
        "Along the FGSM path",
        "Slide epsilon until the label changes. The dotted line is where the search found the crossing; the other "
        "start has the path after a random jump.",
        (
            *choice(each),
            Control("start", "Start", tuple(WAYS)),
            Control("epsilon", "Epsilon", stops, "{:.4f}", len(stops) // 4),
        ),
        frame,
        computing(each, live),
    )


def _two(probability: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Probability of a label, and the largest of the others, along `(K,C)`."""
    others = np.delete(probability, label, axis=1)
    return probability[:, label], others.max(axis=1)
