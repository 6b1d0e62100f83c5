"""Packed runs as they are read: links, and codecs that could run code, are refused before anything is opened."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xarray as xr

from ..errors import ArgumentError, DataError
from .plan import LARGEST, inside

KEY = "vitgeom_nb"
CODECS = {"bytes", "zstd", "blosc", "gzip", "crc32c", "vlen-utf8", "transpose"}
NEEDS = "A packed run needs Zarr: pip install 'vitgeom-nb[sweep]'."


def packed_groups(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What a packed run says of itself, and network -> label -> (store, group) of its datasets.

    Raises
    ------
    DataError
        If it is none, is damaged, holds links, or codecs that this package does not write.
    """
    for one in _files(path):
        if one.name == "zarr.json":
            _check_metadata(one)
    try:
        attrs = json.loads((path / "zarr.json").read_bytes())["attributes"][KEY]
        networks = attrs.pop("networks")
        int(attrs["seed"]), dict(attrs["data"])
        places = {
            str(network["name"]): {
                str(one["label"]): ((path, f"n{i}/m{j}"), one) for j, one in enumerate(network["measures"])
            }
            for i, network in enumerate(networks)
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DataError(f"{path} is no packed run, or it is damaged; pack it again.") from None
    return attrs, places


def _files(path: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(path):
        for name in (*folders, *names):
            yield inside(Path(folder) / name)


def _check_metadata(path: Path) -> None:
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError
        found = json.loads(path.read_bytes())
        if found["zarr_format"] != 3 or found["node_type"] not in ("group", "array"):
            raise ValueError
        codecs = {codec["name"] for codec in found.get("codecs", [])}
        transformers = found.get("storage_transformers") or []
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise DataError(f"{path} cannot be read; pack the run again.") from None
    if not codecs <= CODECS or transformers:
        raise DataError(f"{path} asks for {', '.join(sorted(codecs - CODECS)) or 'a transformer'}; it is not read.")


def opened(place: tuple[Path, str], about: dict[str, Any]) -> xr.Dataset:
    """A dataset of a packed run.

    Raises
    ------
    ArgumentError, DataError
        If Zarr is not installed, or the store is damaged.
    """
    del about
    try:
        import zarr  # noqa: F401
    except ImportError:
        raise ArgumentError(NEEDS) from None
    store, group = place
    with contextlib.suppress(Exception):
        return xr.open_zarr(store, group=group, zarr_format=3, consolidated=False, chunks=None)
    raise DataError(f"{store} is damaged at {group}; pack the run again.")
