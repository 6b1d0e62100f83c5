"""One Zarr v3 store of a finished run, for sharing, in chunks that are whole shards."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..core.arguments import checked
from ..errors import ArgumentError, DataError
from .runs import Run, open_run
from .zarr_stores import KEY, NEEDS


@checked
def pack_run(path: str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Write one Zarr v3 store of a run, for sharing; `open_run` and every reader of Zarr open it.

    A group a network, in it a group a measure. Each chunk is what one shard holds. The store is written beside its
    place and renamed.

    Parameters
    ----------
    path
        Folder of the run.
    out
        Name of the store, such as `run.zarr`; nothing may be there yet.

    Raises
    ------
    ArgumentError
        If Zarr or Dask are not installed, or something is at `out`.
    DataError
        If the run is damaged, lacks images that were asked for, or there is no space.
    """
    try:
        import dask
        import zarr
    except ImportError:
        raise ArgumentError(NEEDS) from None
    run, out = open_run(path), Path(out)
    if (run.path / "zarr.json").exists():
        raise ArgumentError(f"{path} is packed already.")
    if out.exists() or out.is_symlink():
        raise ArgumentError(f"There is something at {out}; choose another name.")
    part = out.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with dask.config.set(scheduler="synchronous"):
            root = zarr.create_group(part, zarr_format=3, attributes={KEY: {**run.attrs, "networks": _contents(run)}})
            for i, name in enumerate(run):
                root.create_group(f"n{i}", attributes={KEY: {"name": name}})
                for j, label in enumerate(run[name]):
                    _write(run, name, label, part, f"n{i}/m{j}")
        part.rename(out)
    except OSError as error:
        raise DataError(
            f"{out} cannot be written ({error.strerror or error}); free space, or choose another."
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out


def _contents(run: Run) -> list[dict[str, Any]]:
    """Network and labels of each group, with what its documents say and the images that failed."""
    out = []
    for name in run:
        places = run._places[name]
        measures = []
        for label, place in places.items():
            failed = {str(number): why for number, why in place.failures().items()}
            measures.append({"label": label, "measure": place.document["measure"], "failed": failed})
        out.append({"name": name, "measures": measures})
    return out


def _write(run: Run, name: str, label: str, store: Path, group: str) -> None:
    place = run._places[name][label]
    found = place.dataset(run.attrs)
    unit, block = place.document["unit"], place.document["block"]
    if unit not in found.dims:
        found.to_zarr(store, group=group, zarr_format=3, consolidated=False, mode="a")
        return
    there = xr.Dataset(
        {key: _plain(one, unit, block) for key, one in found.data_vars.items()},
        {key: _plain(one, unit, block) for key, one in found.coords.items() if key != unit},
        found.attrs,
    ).assign_coords({unit: found[unit]})
    encoding = {
        key: {"chunks": tuple(min(block, size) if dim == unit else size for dim, size in one.sizes.items())}
        for key, one in there.variables.items()
        if unit in one.dims and all(one.shape)
    }
    there.to_zarr(store, group=group, zarr_format=3, consolidated=False, mode="a", encoding=encoding)


def _plain(one: xr.DataArray, unit: str, block: int) -> xr.Variable:
    """A variable a chunk at a time, its texts as those of any length."""
    variable = one.variable.chunk({unit: block}) if unit in one.dims else one.variable
    variable = variable.astype(np.dtypes.StringDType()) if variable.dtype.kind in "UTO" else variable
    variable.encoding = {}
    return variable
