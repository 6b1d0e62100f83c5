"""Measurements side by side, and the two explorers of them: of the network chosen, and of all networks at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr

from ..errors import ArgumentError
from ..figures.style import by_network
from ..networks.vision_model import VisionModel
from .display import Display
from .explorer import Compute, Control, Setting, View

Measurements = xr.Dataset | Iterable[xr.Dataset]
Models = VisionModel | Sequence[VisionModel] | None


class Network(NamedTuple):
    """A measurement, how its network is drawn, and the network itself where it is at hand."""

    data: xr.Dataset
    label: str
    colour: str
    marker: str
    model: VisionModel | None


def networks(measurements: Measurements, models: Models) -> dict[str, Network]:
    """Label -> network, in order.

    Raises
    ------
    ArgumentError
        If the models are not those that were measured, or two measurements are of one network.
    """
    each = by_network(measurements)
    measured = [data.attrs["model"] for data, *_ in each]
    given = [models] if isinstance(models, VisionModel) else list(models or [])
    if given and [m.name for m in given] != measured:
        raise ArgumentError(
            f"The measurements are of {', '.join(measured)}; pass these models, in this order, not "
            f"{', '.join(m.name for m in given)}."
        )
    labels = [label for _, label, *_ in each]
    if twice := next((label for label in labels if labels.count(label) > 1), None):
        raise ArgumentError(f"Two of the measurements are of {twice}; an explorer shows one a network.")
    return {drawn[1]: Network(*drawn, given[i] if given else None) for i, drawn in enumerate(each)}


def networks_on_images(measurements: Measurements, models: Models, images: Any) -> dict[str, Network]:
    """As `networks`, where computing takes the models and the images.

    Raises
    ------
    ArgumentError
        If the models come without the images or are not those that were measured.
    """
    if (models is None) != (images is None):
        raise ArgumentError("Pass models and images together, or neither.")
    return networks(measurements, models)


def names(each: dict[str, Network]) -> tuple[str, ...]:
    """What the networks themselves are called; a label may be longer."""
    return tuple(network.data.attrs["model"] for network in each.values())


def stops(each: dict[str, Network], name: str) -> tuple[Any, ...]:
    """The values of a coordinate, for a control.

    Raises
    ------
    ArgumentError
        If the measurements do not share them.
    """
    first, *others = each.values()
    values = first.data[name].values.ravel()
    for other in others:
        if not _equal(values, other.data[name].values.ravel()):
            raise ArgumentError(
                f"The measurements of {first.label} and {other.label} differ in {name}; compare networks at the same "
                "values of it."
            )
    return tuple(values.tolist())


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether values are the same; numbers up to the rounding of float32."""
    if a.shape != b.shape or not np.issubdtype(a.dtype, np.number):
        return np.array_equal(a, b)
    return np.allclose(a, b, rtol=1e-5, atol=1e-12)


def index(network: Network, name: str, value: float) -> int:
    """Number of a stop among the values of its coordinate."""
    return int(np.abs(network.data[name].values.ravel() - value).argmin())


def tensors(data: xr.Dataset, model: VisionModel, *names: str) -> list[torch.Tensor]:
    """Variables of a measurement, where and how the model computes."""
    return [torch.from_numpy(data[name].values).to(model.device, model.dtype) for name in names]


def explorer_of_one(
    subject: str,
    title: str,
    caption: str,
    each: dict[str, Network],
    controls: Sequence[Control],
    frame: Callable[[Network, Setting], View],
    live: Callable[[Network, VisionModel, Setting], View],
) -> Display:
    """An explorer of the network chosen, by a control of its own where there are several.

    `frame` is its view from the measurement, `live` its view computed with the model.
    """

    def chosen(setting: Setting) -> Network:
        return each[setting["network"]] if "network" in setting else next(iter(each.values()))

    def recorded(setting: Setting) -> View:
        return frame(chosen(setting), setting)

    def compute(setting: Setting, before: Callable[[], None]) -> View:
        network = chosen(setting)
        return live(network, _watched(network, before), setting)

    choice = [Control("network", "Network", tuple(each))] if len(each) > 1 else []
    compute_any = _with_models(each, compute)
    return Display(title, caption, (*choice, *controls), recorded, compute_any, subject=subject, networks=names(each))


def explorer_of_all(
    subject: str,
    title: str,
    caption: str,
    each: dict[str, Network],
    controls: Sequence[Control],
    view: Callable[[Setting, dict[str, float]], View],
    recorded: Callable[[Network, Setting], float],
    live: Callable[[Network, VisionModel, Setting], float],
) -> Display:
    """An explorer of all networks at once: `view` shows one value a network, by its label.

    `recorded` is the value from the measurement, `live` the value computed with the model.
    """

    def frame(setting: Setting) -> View:
        return view(setting, {label: recorded(network, setting) for label, network in each.items()})

    def compute(setting: Setting, before: Callable[[], None]) -> View:
        return view(setting, {label: live(n, _watched(n, before), setting) for label, n in each.items()})

    compute_any = _with_models(each, compute)
    return Display(title, caption, tuple(controls), frame, compute_any, subject=subject, networks=names(each))


def _watched(network: Network, before: Callable[[], None]) -> VisionModel:
    assert network.model is not None
    return network.model.watched(before)


def _with_models(each: dict[str, Network], compute: Compute) -> Compute | None:
    """`compute` where every network is at hand."""
    return None if any(network.model is None for network in each.values()) else compute
