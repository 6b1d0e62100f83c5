"""NetCDF files: bytes that tell when they are damaged, and files of strangers that read nothing but themselves."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from ..errors import DataError
from .whole_files import check_regular

SEAL = b"\nvitgeom-nb sha256 "
_SEAL_SIZE = len(SEAL) + 64
_SLOW = 20e6  # bytes a second, of a disk that is slow
_PROBE = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]);"
    "from vitgeom_nb.core.netcdf import probe; probe(sys.argv[2], int(sys.argv[3]))"
)


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
    try:
        with path.open("rb") as file:
            file.seek(max(0, state.st_size - _SEAL_SIZE))
            has_seal = file.read().startswith(SEAL)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions.") from None
    # what is damaged may keep HDF5 busy for ever or crash it, so that a child takes the first look at what has no seal
    if not has_seal and sys.executable:
        command = [sys.executable, "-c", _PROBE, json.dumps(sys.path), str(path), str(limit)]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=60 + state.st_size / _SLOW)
        except subprocess.SubprocessError:
            raise damaged(path) from None
    return _opened(path, limit, has_seal)


def probe(path: str, limit: int) -> None:
    """Read a file as `read` does; in a child that nobody misses."""
    with contextlib.suppress(DataError):  # the parent will find out
        _opened(Path(path), limit, False)


def damaged(path: Path) -> DataError:
    """The error for a file that is not one of ours."""
    return DataError(f"{path} is not a NetCDF file that save_measurement() wrote, or it is damaged.")


def _opened(path: Path, limit: int, has_seal: bool) -> xr.Dataset:
    try:
        data = path.read_bytes()
        if has_seal:
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
