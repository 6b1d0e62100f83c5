"""What is run for the evidence of a tier, on which networks, and what is kept of it."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from ..core.arguments import checked
from ..errors import ArgumentError
from ..networks.tables import models
from ..settings import TIERS

LEVELS = np.linspace(0, 1, 101)


class Planned(NamedTuple):
    """One measurement of the evidence: how it is made, of how many images or pairs of what, and what is kept."""

    name: str
    """Of its file, and what the claims read."""
    measure: str
    data: str
    """Data set and split: `tiny-imagenet:valid`."""
    seed: int
    images: int
    """How many; 0 for a measurement of pairs."""
    pairs: int
    parameters: dict[str, Any]
    keep: tuple[str, ...]
    quantiles: tuple[str, ...]
    together: bool
    """Whether all images must be one block, since they are compared with each other."""
    rounded: bool = False
    """Whether numbers are kept to 16 bits."""

    @property
    def size(self) -> int:
        """How many images or pairs."""
        return self.images or self.pairs

    @property
    def identity(self) -> dict[str, Any]:
        """What a recorded file is held against: all that its numbers depend on beside the network, and what is kept."""
        keys = ("measure", "data", "seed", "images", "pairs", "parameters", "keep", "quantiles")
        return {key: getattr(self, key) for key in keys}


@cache
def _read() -> dict[str, Any]:
    return tomllib.loads((files(__package__) / "evidence.toml").read_text(encoding="utf-8"))


def _tier(name: str) -> dict[str, Any]:
    known = _read()["tier"]
    if name not in known:
        raise ArgumentError(f"There is no evidence of a tier {name!r}; choose one of {', '.join(known)}.")
    return known[name]


def networks_of(tier: str) -> list[str]:
    """The networks that the evidence of a tier is about.

    Raises
    ------
    ArgumentError
        If there is no such tier.
    """
    return [str(name) for table in _tier(tier)["networks"] for name in models(table).index]


@checked
def evidence(tier: str = "embedded") -> tuple[Planned, ...]:
    """The measurements that the evidence of a tier consists of.

    Parameters
    ----------
    tier
        `"embedded"`, `"paper"`, `"controls"`, or `"pretrained"`, a published network on the photographs that ship.

    Returns
    -------
    tuple of Planned
        Each with `name`, `measure`, `data`, `seed`, `images` or `pairs`, `parameters`, and what is kept; what decides
        most for the least time comes first.

    Raises
    ------
    ArgumentError
        If there is no such tier.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> sizes = {planned.name: planned.images or planned.pairs for planned in vg.claims.evidence()}
    >>> sizes["travel_distance"], sizes["match"]
    (5000, 100)
    """
    about = _tier(tier)
    return tuple(
        Planned(
            name=entry["name"],
            measure=entry.get("measure", entry["name"]),
            data=about["data"],
            seed=about["seed"],
            images=entry.get("images", 0),
            pairs=entry.get("pairs", 0),
            parameters=dict(entry.get("parameters", {})),
            keep=tuple(entry["keep"]),
            quantiles=tuple(entry.get("quantiles", ())),
            together=entry.get("together", False),
            rounded=entry.get("rounded", False),
        )
        for entry in _read()["measure"]
        if tier in entry.get("tiers", TIERS)
    )


@checked
def reduced(measurement: xr.Dataset, name: str, tier: str = "embedded") -> xr.Dataset:
    """What is kept of a measurement of the evidence: variables in single precision, quantiles of large arrays.

    Where the list says so numbers are rounded to 16 significant bits: a relative error of 2^-16, 1.5e-5, at most.

    Parameters
    ----------
    measurement
        The whole measurement.
    name
        Its name in the evidence.
    tier
        Whose evidence, as for `evidence`.

    Returns
    -------
    xarray.Dataset
        With all attributes; `<variable>_quantile(image, quantile)` holds 101 quantiles of what an image has of a
        variable that is too large, over all its other dimensions, NaN left out.

    Raises
    ------
    ArgumentError
        If the evidence has no measurement of that name, or this one lacks what is to be kept.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5), torch.nn.Tanh())
    >>> model = vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=4, dtype=torch.float64)
    >>> bend = vg.direction_change(model, torch.full((2, 3, 4, 4), 0.5), directions=3, steps=5)
    >>> dict(vg.claims.reduced(bend, "direction_change_published").sizes)
    {'image': 2, 'quantile': 101}
    """
    found = {planned.name: planned for planned in evidence(tier)}.get(name)
    if found is None:
        raise ArgumentError(f"There is no measurement {name!r} in the evidence of the {tier} tier.")
    return kept_of(measurement, found)


def kept_of(measurement: xr.Dataset, planned: Planned) -> xr.Dataset:
    """What is kept of a measurement of the evidence, as `reduced` says it.

    Raises
    ------
    ArgumentError
        If the measurement lacks what is to be kept.
    """
    lacks = [key for key in (*planned.keep, *planned.quantiles) if key not in measurement.variables]
    if lacks:
        words = " and no ".join(lacks)
        raise ArgumentError(f"This measurement cannot be {planned.name} of the evidence: it has no {words}.")
    out = measurement[list(planned.keep)]
    out = out.assign({key: out[key].copy(data=_short(out[key].values, planned.rounded)) for key in out.data_vars})
    for key in planned.quantiles:
        values = measurement[key].transpose("image", ...)
        flat = values.values.reshape(values.sizes["image"], -1)
        attributes = values.attrs | {"long_name": f"quantiles of the {values.attrs['long_name']}"}
        out[f"{key}_quantile"] = (
            ("image", "quantile"),
            _short(np.nanquantile(flat, LEVELS, axis=1).T, planned.rounded),
            attributes,
        )
        out["quantile"] = (("quantile",), LEVELS, {"units": "1", "long_name": "share of the values below"})
        out = out.set_coords("quantile")
        if "image" in measurement.coords:
            out = out.assign_coords(image=measurement["image"])
    out.attrs = dict(measurement.attrs)
    return out


def _short(values: np.ndarray, rounded: bool) -> np.ndarray:
    """Numbers in single precision, whole ones in the shortest signed integers, anything else as it is.

    The last byte of a rounded number, of 16 bits, is zero and takes no room in a compressed file.
    """
    if values.dtype in (np.float64, np.float32):
        single = np.ascontiguousarray(values, np.float32)
        if not rounded:
            return single
        bits = single.view(np.uint32)
        shorter = ((bits + np.uint32(0x80)) & np.uint32(0xFFFFFF00)).view(np.float32)
        return np.where(np.isfinite(single) & np.isfinite(shorter), shorter, single)
    if values.dtype.kind not in "iu" or not values.size:
        return values
    least, most = int(values.min()), int(values.max())
    fitting = (bits for bits in (16, 32) if -(2 ** (bits - 1)) <= least and most < 2 ** (bits - 1))
    return values.astype(f"int{next(fitting, 64)}")
