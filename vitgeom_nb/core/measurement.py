"""The measurement: an `xarray.Dataset` with units, long names and provenance, and its NetCDF file."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr

from ..errors import DataError
from ..settings import package_version
from . import netcdf
from .arguments import checked
from .memory import free_memory
from .modes import float32_products
from .provenance import made_by
from .whole_files import write_whole

UNITS = ("pixel", "embedding", "embedding^2", "embedding / pixel", "1 / embedding", "rad", "rad / pixel", "dB", "1")
"""All units of the package. A pixel value goes from 0 to 1; sizes of changes are in the same unit, `pixel`."""


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


def _array(values: Any) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        reduced = values.dtype in (torch.float16, torch.bfloat16)  # which neither NumPy nor NetCDF hold
        values = (values.float() if reduced else values).detach().cpu().numpy()
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
        A `VisionModel`, or the `Origin` of what it said; its name, layer and how that is read, weights digest, device
        and dtype are recorded.
    seed, seconds
        The seed of everything random, and the time the measurement took.
    **parameters
        Whatever else the numbers depend on; recorded as JSON.

    Returns
    -------
    xarray.Dataset
        Attributes: `function`, which made it, and its `inputs` as JSON: digests, names and source of images, digests of
        directions given; `model`, `layer`, `read`, `weights` (their SHA-256), `preprocessing` as JSON (`mean`, `std`,
        `size`), `repository` and `revision` they come from, `package`, `parameters`, `seed`, `device`, `dtype`,
        `float32_products`, how products of float32 were computed (`"ieee"`: in float32 itself), `seconds`.

    Raises
    ------
    ValueError
        If a unit is not one of `UNITS`.
    """
    for name, variable in (*variables.items(), *(coords or {}).items()):
        if isinstance(variable, Variable) and variable.units not in UNITS:
            raise ValueError(f"The unit of {name} is {variable.units!r}; choose one of {', '.join(UNITS)}.")
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
        **made_by(),
        "model": getattr(model, "name", "none"),
        "layer": getattr(model, "layer", "none"),
        "read": getattr(model, "read", "none"),
        "weights": getattr(model, "digest", None) or "none",
        "preprocessing": json.dumps(getattr(model, "preprocessing", {})),
        "repository": source.get("repository", "none"),
        "revision": source.get("revision", "none"),
        "device": str(getattr(model, "device", "none")),
        "dtype": str(getattr(model, "dtype", "none")).removeprefix("torch."),
        "float32_products": "none" if model is None else getattr(model, "float32_products", None) or float32_products(),
        "package": f"vitgeom-nb {package_version()}",
        "torch": str(torch.__version__),
        "parameters": json.dumps(parameters, sort_keys=True, default=str),
        "seed": -1 if seed is None else seed,
        "seconds": float("nan") if seconds is None else round(seconds, 3),
    }
    return xr.Dataset(data, coords=axes, attrs=attrs)


def parameters(dataset: xr.Dataset) -> dict[str, Any]:
    """The parameters that a measurement was made with, as `measurement` recorded them.

    Raises
    ------
    DataError
        If the dataset has none, because this package did not make it.

    Examples
    --------
    >>> parameters(measurement({}, radii=(0.1, 0.2)))
    {'radii': [0.1, 0.2]}
    """
    if "parameters" not in dataset.attrs:
        raise DataError("This dataset records no parameters; pass a measurement that vitgeom_nb made.")
    return json.loads(dataset.attrs["parameters"])


@checked
def save_measurement(dataset: xr.Dataset, path: str | Path) -> Path:
    """Write a measurement to a NetCDF file; `open_measurement` gives the identical Dataset back.

    The file is written beside its place and renamed: whatever ends that, an earlier file of that name stays as it was.

    Parameters
    ----------
    dataset
        What a measurement returned.
    path
        Name of the file, in a folder that exists.

    Raises
    ------
    DataError
        If a NetCDF file cannot hold the dataset, or there is no such folder, no permission or no space.
    """
    path = Path(path)
    write_whole(path, *netcdf.sealed(dataset))
    return path


@checked
def open_measurement(path: str | Path) -> xr.Dataset:
    """Read a measurement that `save_measurement` wrote, into memory.

    Parameters
    ----------
    path
        Name of the file. A file that refers to others is refused.

    Raises
    ------
    DataError
        If the file is not there, is not a NetCDF file, is damaged, refers to other files, or is larger than half of the
        memory that is free.
    """
    return netcdf.read(Path(path), free_memory(torch.device("cpu")) // 2)
