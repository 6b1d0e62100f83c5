"""Measurements side by side: one for each network, chosen by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import xarray as xr

from ..errors import ArgumentError
from ..figures.style import as_list, look
from ..vision_model import VisionModel
from .core import Compute, Control, Setting, View

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
        If the models are not those that were measured.
    """
    each = as_list(measurements)
    given = [models] if isinstance(models, VisionModel) else list(models or [])
    if given and [m.name for m in given] != [data.attrs["model"] for data in each]:
        raise ArgumentError(
            f"The measurements are of {', '.join(data.attrs['model'] for data in each)}; pass these models, in this "
            f"order, not {', '.join(m.name for m in given)}."
        )
    found = [Network(d, *look(d.attrs["model"], i), given[i] if given else None) for i, d in enumerate(each)]
    return {network.label: network for network in found}


def choice(each: dict[str, Network]) -> tuple[Control, ...]:
    """The control that chooses a network; none where there is one."""
    return (Control("network", "Network", tuple(each)),) if len(each) > 1 else ()


def chosen(each: dict[str, Network], setting: Setting) -> Network:
    """The network of a setting."""
    return each[setting["network"]] if "network" in setting else next(iter(each.values()))


def computing(each: dict[str, Network], view: Callable[[Network, VisionModel, Setting], View]) -> Compute | None:
    """A `Compute` that watches the chosen network, or nothing where there are no models."""
    if any(network.model is None for network in each.values()):
        return None

    def compute(setting: Setting, before: Callable[[], None]) -> View:
        network = chosen(each, setting)
        assert network.model is not None
        return view(network, network.model.watched(before), setting)

    return compute


def computing_all(
    each: dict[str, Network], view: Callable[[list[tuple[Network, VisionModel]], Setting], View]
) -> Compute | None:
    """A `Compute` that watches all networks, or nothing where there are no models."""
    models: list[Any] = [network.model for network in each.values()]
    if None in models:
        return None

    def compute(setting: Setting, before: Callable[[], None]) -> View:
        watched = [(n, m.watched(before)) for n, m in zip(each.values(), models, strict=True)]
        return view(watched, setting)

    return compute
