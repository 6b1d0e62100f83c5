"""NetCDF files: bytes that tell when they are damaged, and files of strangers that read nothing but themselves."""

from __future__ import annotations

import contextlib
import hashlib
import io
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from ..errors import DataError
from . import first_look
from .whole_files import check_regular

SEAL = b"\nvitgeom-nb sha256 "
_SEAL_SIZE = len(SEAL) + 64
FIRST_LOOK = 60.0
"""Seconds that opening a small file may take."""

_SLOW = 20e6  # bytes a second, of a disk that is slow
_READ: dict[tuple[Path, int, int, int, int], None] = {}  # files found whole, as they are until they change
_MOST = 1000


def sealed(dataset: xr.Dataset) -> tuple[memoryview, bytes]:
    """The bytes of a dataset's NetCDF file, and their digest, which goes to the end, where other readers do not look.

    Raises
    ------
    DataError
        If a NetCDF file cannot hold it.
    """
    for owner, attributes in (("the dataset", dataset.attrs), *((n, v.attrs) for n, v in dataset.variables.items())):
        for name, value in attributes.items():
            _check_attribute(owner, name, value)
    try:
        data = memoryview(dataset.to_netcdf(engine="h5netcdf"))
    except Exception as error:  # whatever xarray, h5netcdf, h5py and codecs raise
        reason = str(error).split("\n")[0].rstrip(".") or type(error).__name__
        raise DataError(f"A NetCDF file cannot hold this dataset ({reason}); drop or convert what is named.") from None
    return data, SEAL + hashlib.sha256(data).hexdigest().encode()


def _check_attribute(owner: Any, name: Any, value: Any) -> None:
    try:
        kept = np.asarray(value)
        str(name).encode(), str(value).encode()
    except ValueError:  # ragged, or text that is no text
        kept = np.empty(0)
    if not isinstance(name, str) or kept.dtype.kind not in "iufU" or not kept.size:
        raise DataError(
            f"A NetCDF file cannot hold the attribute {name!r} of {owner}, {value!r:.60}; make it text or numbers."
        )


def read(path: Path, limit: int) -> xr.Dataset:
    """The dataset in a NetCDF file whose arrays take no more than `limit` bytes.

    Raises
    ------
    DataError
        If it is not there, is damaged, is larger, or would have other files read.
    """
    state = check_regular(path)
    if state is None:
        raise DataError(f"There is no file {path}; save_measurement(dataset, path) makes one.")
    _check_size(path, state.st_size, limit)
    # what is damaged may keep HDF5 busy for ever or crash it; a seal says nothing of that, as anyone can compute one
    looked_at = path.absolute(), state.st_size, state.st_dev, state.st_ino, state.st_mtime_ns
    seconds = FIRST_LOOK + state.st_size / _SLOW
    if sys.executable and looked_at not in _READ and not first_look.survives(str(path.absolute()), limit, seconds):
        raise damaged(path)
    dataset = opened(path, limit)
    _READ[looked_at] = None
    for oldest in list(_READ)[:-_MOST]:
        _READ.pop(oldest, None)
    return dataset


def probe(path: str, limit: int) -> None:
    """Read a file as `read` does; in a child that nobody misses."""
    with contextlib.suppress(DataError):  # the parent will find out
        opened(Path(path), limit)


def damaged(path: Path) -> DataError:
    """The error for a file that is not one of ours."""
    return DataError(f"{path} is not a NetCDF file that save_measurement() wrote, or it is damaged.")


def opened(path: Path, limit: int) -> xr.Dataset:
    """What `read` gives, without a first look by a child.

    Raises
    ------
    DataError
        As `read` does.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions.") from None
    try:
        if data[-_SEAL_SIZE:].startswith(SEAL):
            data, digest = data[:-_SEAL_SIZE], data[-64:]
            if hashlib.sha256(data).hexdigest().encode() != digest:
                raise damaged(path)
        with h5py.File(io.BytesIO(data), "r") as file:
            _check_contents(path, file, limit)
        with xr.open_dataset(io.BytesIO(data), engine="h5netcdf") as dataset:
            return dataset.load()
    except DataError:
        raise
    except Exception:  # whatever h5py, h5netcdf, xarray and codecs raise
        raise damaged(path) from None


def _check_contents(path: Path, file: h5py.File, limit: int) -> None:
    """Refuse what leads out of the file, and sizes for which there is no memory, before anything of it is read."""
    total, links = 0, []
    file.visititems_links(lambda name, link: links.append((name, link)))  # what this calls must not raise
    for name, link in links:
        if isinstance(link, h5py.ExternalLink):
            raise DataError(f"{path} refers to another file ({link.filename!r:.80}); it is not read.")
        item = file.get(name) if isinstance(link, h5py.HardLink) else None
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise DataError(f"{path} keeps {name!r:.80} in other files; it is not read.")
            total += item.nbytes
    _check_size(path, total, limit)


def _check_size(path: Path, size: int, limit: int) -> None:
    if size > limit:
        sizes = f"{size / 1e9:,.1f} GB, and there is memory for {limit / 1e9:,.1f} GB"
        raise DataError(f"{path} holds {sizes}; open it on another machine.")
