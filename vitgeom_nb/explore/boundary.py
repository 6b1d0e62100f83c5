"""Explorer of FGSM paths: slide epsilon, with and without the random jump, and see the label go."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ..core.arguments import checked
from ..networks.vision_model import VisionModel
from .compared import Measurements, Models, Network, explorer_of_one, index, networks, stops, tensors
from .display import Display
from .drawing import Chart, Probabilities, dot, line, picture
from .explorer import Control, Panel, Setting, View

WAYS = {"from the image": "direct", "after a random jump": "jumped"}
BLUE, ORANGE = "#0072B2", "#D55E00"


@checked(measurements=("probability", "path", "epsilon", "direction"))
def fgsm_path(measurements: Measurements, models: Models = None, image: int = 0) -> Display:
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
    Display

    Raises
    ------
    ArgumentError
        If the measurements have other values of epsilon.
    """
    each = networks(measurements, models)
    epsilons = stops(each, "epsilon")

    def path(network: Network, start: str) -> xr.Dataset:
        return network.data.isel(image=image).sel(path=WAYS[start])

    def chart_of(network: Network, start: str) -> Chart:
        one = path(network, start)
        right, other = _two(one.probability.values, int(one.label))
        crossing = float(one.crossing)

        def draw(axes: Axes) -> None:
            axes.plot(one.epsilon, right, color=BLUE, label="the label")
            axes.plot(one.epsilon, other, "--", color=ORANGE, label="the best other")
            if one.epsilon.values[0] <= crossing <= one.epsilon.values[-1]:
                axes.axvline(crossing, color="#444444", ls=":", lw=1.2, label="crossing")
            axes.set(xlabel="epsilon (pixel)", ylabel="probability", ylim=(0, None))
            axes.margins(y=0.1)
            axes.locator_params(axis="x", nbins=5)
            axes.legend(fontsize=8)

        return Chart(draw)

    charts = {(label, start): chart_of(network, start) for label, network in each.items() for start in WAYS}
    bars = {
        label: Probabilities(n.data.probability.values[image].reshape(-1, n.data.sizes["class"]), n.data.name.values)
        for label, n in each.items()
    }

    def view(network: Network, start: str, epsilon: float, probability: np.ndarray) -> View:
        one, chart = path(network, start), charts[network.label, start]
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
                picture(one.start.values + epsilon * one.direction.values),
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

    def frame(network: Network, setting: Setting) -> View:
        start, epsilon = setting["start"], setting["epsilon"]
        said = path(network, start).probability.values[index(network, "epsilon", epsilon)]
        return view(network, start, epsilon, said)

    def live(network: Network, model: VisionModel, setting: Setting) -> View:
        start, d = tensors(path(network, setting["start"]), model, "start", "direction")
        p = model.logits_in_batches((start + setting["epsilon"] * d)[None])[0].double().softmax(0)
        return view(network, setting["start"], setting["epsilon"], p.cpu().numpy())

    return explorer_of_one(
        "boundary",
        "Along the FGSM path",
        "Slide epsilon until the label changes. The dotted line is where the search found the crossing; the other "
        "start has the path after a random jump.",
        each,
        (
            Control("start", "Start", tuple(WAYS)),
            Control("epsilon", "Epsilon", epsilons, "{:.4f}", len(epsilons) // 4),
        ),
        frame,
        live,
    )


def _two(probability: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Probability of a label, and the largest of the others, along `(K,C)`."""
    others = np.delete(probability, label, axis=1)
    return probability[:, label], others.max(axis=1)
