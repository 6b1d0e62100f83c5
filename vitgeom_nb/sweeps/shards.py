"""A shard: what was measured of a block of images, and why some could not be, in one file that never changes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..core import netcdf
from ..core.whole_files import write_whole
from ..errors import DataError
from .measures import Measure
from .plan import inside

FAILED, REASON, FAILURE = "sweep_failed", "sweep_reason", "sweep_failure"  # no measure has variables of these names
LIMIT = 2**34  # bytes of a shard
KEPT: tuple[str, ...] = (
    "function",
    "model",
    "layer",
    "read",
    "weights",
    "preprocessing",
    "repository",
    "revision",
    "device",
    "dtype",
)
KEPT += ("package", "torch", "parameters", "seed")


def piece(found: Any, measure: Measure, numbers: Sequence[int]) -> xr.Dataset:
    """What a sweep keeps of what a measure returned for the images of these numbers.

    Raises
    ------
    DataError
        If it is no dataset, and no arrays, over as many images.
    """
    if isinstance(found, Mapping) and not isinstance(found, xr.Dataset):
        found = _dataset(found, measure)
    unit = measure.unit
    if isinstance(found, xr.Dataset) and unit not in found.dims and len(numbers) == measure.together == 1:
        found = found.expand_dims(unit)  # as of a path of one image
    if not isinstance(found, xr.Dataset) or found.sizes.get(unit) != len(numbers):
        got = dict(found.sizes) if isinstance(found, xr.Dataset) else type(found).__name__
        raise DataError(f"{measure.name} returned {got!s:.100} for {len(numbers)} {unit}s; it must say one of each.")
    names = [name for name in found.data_vars if measure.keep is None or name in measure.keep]
    names = [name for name in names if not set(found[name].dims) & set(measure.without)]
    one_by_one = measure.together == 1
    kept = {
        name: (found[name] if unit in found[name].dims else found[name].expand_dims(unit)).variable
        for name in names
        if unit in found[name].dims or one_by_one
    }
    dims = {dim for variable in kept.values() for dim in variable.dims} - {unit}
    coords = {
        name: coord.variable
        for name, coord in found.coords.items()
        if name != unit and (set(coord.dims) <= dims or (unit in coord.dims and set(coord.dims) <= {unit, *dims}))
    }
    order = {name: variable.transpose(unit, ...) for name, variable in kept.items()}
    number = (unit,), np.asarray(numbers, dtype=np.int64), {"units": "1", "long_name": f"number of the {unit}"}
    return xr.Dataset(order, {unit: number, **coords}, dict(found.attrs))


def _dataset(found: Mapping[str, Any], measure: Measure) -> xr.Dataset:
    variables = {}
    for name, values in found.items():
        array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
        if not array.ndim:
            raise DataError(f"{measure.name} returned one number as {name}; it must say one of each {measure.unit}.")
        dims = (measure.unit, *(f"{name}_{axis}" for axis in range(1, array.ndim)))
        variables[str(name)] = dims, array, {"units": "1", "long_name": str(name)}
    return xr.Dataset(variables)


def joined(pieces: Sequence[xr.Dataset], unit: str) -> xr.Dataset:
    """Pieces of the same variables one after the other, in the order of their numbers.

    Raises
    ------
    DataError
        If they differ in anything but their images.
    """
    first = pieces[0]
    for other in pieces[1:]:
        if set(other.variables) != set(first.variables) or any(
            other.sizes[dim] != size for dim, size in first.sizes.items() if dim != unit
        ):
            raise DataError("The measure returned other variables or sizes for some images than for others.")
    variables = {}
    for name, variable in first.variables.items():
        if unit in variable.dims:
            axis = variable.dims.index(unit)
            data = np.concatenate([one.variables[name].values for one in pieces], axis=axis)
            variables[name] = xr.Variable(variable.dims, data, variable.attrs)
        else:
            variables[name] = variable
    coords = {name: variables[name] for name in first.coords}
    data_vars = {name: variables[name] for name in first.data_vars}
    return xr.Dataset(data_vars, coords, first.attrs).sortby(unit)


def shard(
    pieces: Sequence[xr.Dataset], failures: Mapping[int, str], unit: str, about: Mapping[str, Any], seconds: float
) -> xr.Dataset:
    """The dataset of a shard: what was measured over `unit`, and over `FAILURE` the numbers of the others and why."""
    out = joined(pieces, unit) if pieces else xr.Dataset()
    known = json.loads(out.attrs.get("parameters", "{}"))
    known.pop("images", None)  # of one call
    attrs = {name: out.attrs[name] for name in KEPT if name in out.attrs}
    attrs |= {"parameters": json.dumps(known, sort_keys=True), "shard": json.dumps(dict(about), sort_keys=True)}
    out.attrs = attrs | {"unit": unit, "seconds": round(seconds, 3)}
    numbers = sorted(failures)
    out[FAILED] = (FAILURE,), np.asarray(numbers, np.int64), {"units": "1", "long_name": f"{unit} that failed"}
    words = np.array([failures[i] for i in numbers] or [""], dtype=str)[: len(numbers)]
    out[REASON] = (FAILURE,), words, {"units": "1", "long_name": "why it failed"}
    return out


def write(path: Path, dataset: xr.Dataset) -> None:
    """Write a shard whole; a folder that is not there yet is made.

    Raises
    ------
    DataError
        If there is no permission or no space.
    """
    data = netcdf.sealed(dataset)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{path.parent} cannot be made ({error.strerror}); free space, or choose another.") from None
    write_whole(path, *data)


def read(path: Path, about: Mapping[str, Any]) -> xr.Dataset:
    """A shard, if it is whole and what its place says.

    Raises
    ------
    DataError
        If it is missing, damaged, a link, leads to other files, or belongs elsewhere.
    """
    inside(path)
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - len(netcdf.SEAL) - 64))
            if not file.read().startswith(netcdf.SEAL):
                raise DataError(f"{path} is damaged; delete it, and the same sweep measures it again.")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); the same sweep measures it again.") from None
    try:
        found = netcdf.read(path, LIMIT)
    except DataError as error:
        if "damaged" in str(error):
            raise DataError(f"{path} is damaged; delete it, and the same sweep measures it again.") from None
        raise
    try:
        own = json.loads(found.attrs.get("shard", "{}"))
    except (TypeError, ValueError):
        own = None
    if own != dict(about):
        raise DataError(f"{path} belongs to another run or place; delete it.")
    return found


def results(found: xr.Dataset) -> xr.Dataset:
    """What was measured, without the list of what failed."""
    return found.drop_vars([name for name in (FAILED, REASON) if name in found.variables])


def failures(found: xr.Dataset) -> dict[int, str]:
    """Number of each image that failed -> why."""
    if FAILED not in found or REASON not in found:
        return {}
    return {int(i): str(why) for i, why in zip(found[FAILED].values, found[REASON].values, strict=True)}
