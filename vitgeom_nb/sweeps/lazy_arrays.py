"""Variables of a run that are read from its shards, or computed from others, when someone asks for their values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from ..errors import DataError
from . import shards

HELD = 2**27  # bytes of shards in memory, of one dataset


class Stored(NamedTuple):
    """A shard that holds results: its file, what it says of itself, and how many images it has."""

    path: Path
    about: dict[str, Any]
    images: int


class Shards:
    """The shards of a dataset as they are read: each once for all variables, as far as they fit the memory for that."""

    def __init__(self, stored: Sequence[Stored]) -> None:
        self.stored = stored
        self.ends = np.cumsum([one.images for one in stored])
        self._lock = threading.Lock()
        self._held: OrderedDict[int, xr.Dataset] = OrderedDict()
        self._bytes = 0

    def read(self, number: int) -> xr.Dataset:
        """The shard of a number, from the memory or its file."""
        with self._lock:
            if number not in self._held:
                path, about, _ = self.stored[number]
                found = self._held[number] = shards.read(path, about)
                self._bytes += found.nbytes
                while self._bytes > HELD and len(self._held) > 1:
                    self._bytes -= self._held.popitem(last=False)[1].nbytes
            self._held.move_to_end(number)
            return self._held[number]


class ShardedArray(BackendArray):
    """One variable over all shards, which are read one at a time and only where its index leads.

    The first axis is that of images, or pairs.
    """

    def __init__(self, files: Shards, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.files, self.name, self.shape, self.dtype = files, name, shape, dtype

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        rows = np.atleast_1d(np.arange(self.shape[0])[key[0]])
        rest = key[1:]
        whole = tuple(len(np.atleast_1d(np.arange(size)[k])) for size, k in zip(self.shape[1:], rest, strict=True))
        out = np.empty((len(rows), *whole), dtype=self.dtype)
        which = np.searchsorted(self.files.ends, rows, side="right")
        for number in np.unique(which):
            at = which == number
            first = self.files.ends[number] - self.files.stored[number].images
            values = self._values(number)[rows[at] - first]
            for axis, k in enumerate(rest, start=1):
                values = np.take(values, np.atleast_1d(np.arange(self.shape[axis])[k]), axis=axis)
            out[at] = values
        single = [axis for axis, k in enumerate(key) if isinstance(k, (int, np.integer))]
        return out.squeeze(tuple(single)) if single else out

    def _values(self, number: int) -> np.ndarray:
        path, _, count = self.files.stored[number]
        found = self.files.read(number)
        values = found[self.name].values if self.name in found.variables else np.empty(0)
        if values.shape != (count, *self.shape[1:]):
            raise DataError(f"{path} has another {self.name} than the run it stands in; delete it.")
        return values


class ComputedArray(BackendArray):
    """One variable of a dataset that is computed as a whole, once, when a value of it is first asked for."""

    def __init__(self, made: Callable[[], xr.Dataset], name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.made, self.name, self.shape, self.dtype = made, name, shape, dtype

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        values = self.made().variables[self.name].values.astype(self.dtype)
        for axis, k in enumerate(key):
            values = np.take(values, np.atleast_1d(np.arange(self.shape[axis])[k]), axis=axis)
        single = [axis for axis, k in enumerate(key) if isinstance(k, (int, np.integer))]
        return values.squeeze(tuple(single)) if single else values


def once(function: Callable[[], xr.Dataset]) -> Callable[[], xr.Dataset]:
    """A function that computes at its first call, and remembers."""
    lock = threading.Lock()
    known: list[xr.Dataset] = []

    def asked() -> xr.Dataset:
        with lock:
            if not known:
                known.append(function())
            return known[0]

    return asked


def lazily(dims: Sequence[str], array: BackendArray, attrs: dict[str, Any]) -> xr.Variable:
    """A variable whose values are kept once they have been asked for."""
    kept: Any = indexing.MemoryCachedArray(indexing.LazilyIndexedArray(array))
    return xr.Variable(dims, indexing.CopyOnWriteArray(kept), attrs)
