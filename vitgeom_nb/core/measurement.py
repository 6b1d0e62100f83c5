"""The measurement: an `xarray.Dataset` with units, long names and provenance, and its NetCDF file."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr

from .errors import DataError


class Variable(NamedTuple):
    """One variable of a measurement: named dimensions, values, units, and what an axis label would say."""

    dims: Sequence[str]
    values: Any
    units: str
    long_name: str


class Stopwatch:
    """Seconds since its making, read by `measurement`."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Time passed so far."""
        return time.perf_counter() - self._start


def package_version() -> str:
    """The installed version of this package."""
    try:
        return version("vitgeom-nb")
    except PackageNotFoundError:  # a checkout that was never installed
        return "unknown"


def _array(values: Any) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values)


def measurement(
    variables: Mapping[str, Variable],
    *,
    coords: Mapping[str, Variable | Sequence[Any]] | None = None,
    model: Any = None,
    seed: int | None = None,
    seconds: float | None = None,
    **parameters: Any,
) -> xr.Dataset:
    """Assemble a measurement: values with units, and in `attrs` what made them.

    Parameters
    ----------
    variables
        Name -> `Variable`. Tensors are detached and moved to the host.
    coords
        Name -> `Variable`, or a plain sequence for a coordinate along the dimension of that name.
    model
        A `VisionModel`; its name, weights digest, device and dtype are recorded.
    seed, seconds
        The seed of everything random, and the time the measurement took.
    **parameters
        Whatever else the numbers depend on; recorded as JSON.

    Returns
    -------
    xarray.Dataset
        Attributes: `model`, `weights` (their SHA-256), `repository` and `revision` they come from, `package`,
        `parameters`, `seed`, `device`, `dtype`, `seconds`.
    """
    data = {
        name: (tuple(v.dims), _array(v.values), {"units": v.units, "long_name": v.long_name})
        for name, v in variables.items()
    }
    axes: dict[str, Any] = {}
    for name, coord in (coords or {}).items():
        if isinstance(coord, Variable):
            attributes = {"units": coord.units, "long_name": coord.long_name}
            axes[name] = (tuple(coord.dims), _array(coord.values), attributes)
        else:
            axes[name] = ((name,), _array(coord), {"units": "1", "long_name": name})
    source: Mapping[str, str] = getattr(model, "source", {})
    attrs = {
        "model": getattr(model, "name", "none"),
        "weights": getattr(model, "digest", None) or "none",
        "repository": source.get("repository", "none"),
        "revision": source.get("revision", "none"),
        "device": str(getattr(model, "device", "none")),
        "dtype": str(getattr(model, "dtype", "none")).removeprefix("torch."),
        "package": f"vitgeom-nb {package_version()}",
        "torch": str(torch.__version__),
        "parameters": json.dumps(parameters, sort_keys=True, default=str),
        "seed": -1 if seed is None else seed,
        "seconds": float("nan") if seconds is None else round(seconds, 3),
    }
    return xr.Dataset(data, coords=axes, attrs=attrs)


def save_measurement(dataset: xr.Dataset, path: str | Path) -> Path:
    """Write a measurement to a NetCDF file; `open_measurement` gives the identical Dataset back."""
    path = Path(path)
    dataset.to_netcdf(path, engine="h5netcdf")
    return path


def open_measurement(path: str | Path) -> xr.Dataset:
    """Read a measurement that `save_measurement` wrote, into memory.

    Raises
    ------
    DataError
        If the file is not there or is not a NetCDF file.
    """
    try:
        with xr.open_dataset(path, engine="h5netcdf") as dataset:
            return dataset.load()
    except FileNotFoundError:
        raise DataError(f"There is no file {path}; save_measurement(dataset, path) makes one.") from None
    except OSError:
        raise DataError(f"{path} is not a NetCDF file that save_measurement() wrote, or it is damaged.") from None
