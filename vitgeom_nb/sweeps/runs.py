"""A run as someone reads it: network -> measure -> one dataset, whose values come from shards when asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .. import settings
from ..core.arguments import checked
from ..core.images import printable
from ..core.measurement import Variable
from ..errors import ArgumentError, DataError
from . import shards
from .lazy_arrays import ComputedArray, ShardedArray, Shards, Stored, lazily, once
from .plan import SHARD, Listing, inside, read_document
from .summaries import SUMMARIES
from .zarr_stores import opened, packed_groups

MOST = 10**9  # images


class Networks(Mapping[str, Any]):
    """A mapping that is known at once, of what is opened when it is asked for."""

    def __init__(self, places: Mapping[str, Any], what: str) -> None:
        self._places, self._what = dict(places), what
        self._open: dict[str, Any] = {}

    def _opened(self, key: str) -> Any:
        raise NotImplementedError

    def __getitem__(self, key: str) -> Any:
        if key not in self._places:
            there = ", ".join(self._places) or "none yet"
            raise KeyError(f"There is no {self._what} {key!r} in this run; there are {there}.")
        if key not in self._open:
            self._open[key] = self._opened(key)
        return self._open[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class Run(Networks):
    """What a sweep has measured so far: `run[network][measure]` is one dataset over `image`, or over `pair`.

    Values are read from the shards when they are asked for. The coordinate `image` (or `pair`) is the number of the
    image in the data set; those that are not measured yet, or failed, are not there.

    Attributes
    ----------
    path
        Folder of the run, or its packed store.
    attrs
        `package`, `seed`, and `data`: name, number and digest of the images.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if (path / "zarr.json").exists():
            self.attrs, places = packed_groups(path)
        else:
            self.attrs = read_document(path / "run.json", format=int, package=str, seed=int, data=dict)
            places = _places(path)
        super().__init__(places, "network")

    def _opened(self, key: str) -> OfNetwork:
        return OfNetwork(self._places[key], self.attrs)

    def failed(self) -> dict[str, dict[int, str]]:
        """`"network measure"` -> number of an image -> why it could not be measured, as the shards say."""
        found = {f"{name} {label}": self[name].failures(label) for name in self for label in self[name]}
        return {name: failures for name, failures in found.items() if failures}

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {', '.join(self) or 'no network yet'})"


class OfNetwork(Networks):
    """What is measured of one network: label -> dataset."""

    def __init__(self, places: Mapping[str, Any], attrs: Mapping[str, Any]) -> None:
        super().__init__(places, "measure")
        self._attrs = attrs

    def _opened(self, key: str) -> xr.Dataset:
        place = self._places[key]
        packed = not isinstance(place, Folder)
        measure = place[1].get("measure") if packed else place.document["measure"]
        return with_summary(self.measured(key), measure, int(self._attrs["seed"]))

    def measured(self, key: str) -> xr.Dataset:
        """What was measured image by image, without the statistics of all of them."""
        place = self._places[key]
        return place.dataset(self._attrs) if isinstance(place, Folder) else opened(*place)

    def seconds(self, key: str) -> float:
        """How long the measuring took, of all shards together; NaN where a packed run does not say."""
        place = self._places[key]
        return place.seconds() if isinstance(place, Folder) else float("nan")

    def failures(self, key: str) -> dict[int, str]:
        """Number of each image that failed -> why."""
        place = self._places[key]
        return place.failures() if isinstance(place, Folder) else dict(place[1].get("failed", {}))


class Folder:
    """The shards of one measure of one network."""

    def __init__(self, path: Path, weights: str, document: dict[str, Any]) -> None:
        self.path, self.document = path, document
        self.about = {"label": document["label"], "identity": document["identity"], "weights": weights}

    def stored(self) -> Iterator[tuple[Path, dict[str, Any], int, int]]:
        """File, what it says of itself, images and failed images of each shard, in the order of their images."""
        listing = Listing(self.path, self.document["images"], self.document["block"])
        for number, there in enumerate(listing.there):
            if there:
                start, stop = listing.bounds(number)
                path = self.path / listing.name(number)
                if path.stat().st_size < stop - start - listing.failed(number):
                    raise DataError(f"{path} is damaged; delete it, and the same sweep measures it again.")
                about = {**self.about, "start": start, "stop": stop}
                yield path, about, stop - start - listing.failed(number), listing.failed(number)

    def seconds(self) -> float:
        """How long the measuring took, of all shards together."""
        return sum(float(shards.read(path, about).attrs.get("seconds", 0.0)) for path, about, *_ in self.stored())

    def failures(self) -> dict[int, str]:
        """Number of each image that failed -> why."""
        out: dict[int, str] = {}
        for path, about, _, failed in self.stored():
            if failed:
                out |= shards.failures(shards.read(path, about))
        return out

    def dataset(self, attrs: Mapping[str, Any]) -> xr.Dataset:
        """All that was measured."""
        unit, numbers, stored = self.document["unit"], [], []
        for path, about, count, failed in self.stored():
            if not count:
                continue
            here = np.arange(about["start"], about["stop"])
            if failed:
                here = np.setdiff1d(here, list(shards.failures(shards.read(path, about))))
            if len(here) != count:
                raise DataError(f"{path} is damaged; delete it, and the same sweep measures it again.")
            numbers.append(here)
            stored.append(Stored(path, about, count))
        if not stored:
            return xr.Dataset(attrs=_provenance(attrs, self.document, {}))
        first = shards.results(shards.read(stored[0].path, stored[0].about))
        total, files = sum(one.images for one in stored), Shards(stored)
        variables: dict[Any, xr.Variable] = {}
        for name, variable in first.variables.items():
            if unit not in variable.dims or name == unit:
                variables[name] = variable
                continue
            shape = (total, *variable.shape[1:])
            dtype = variable.dtype if variable.dtype.kind in "biufc" else np.dtype(object)
            variables[name] = lazily(
                tuple(map(str, variable.dims)), ShardedArray(files, str(name), shape, dtype), variable.attrs
            )
        variables[unit] = xr.Variable((unit,), np.concatenate(numbers), first[unit].attrs)
        coords = {name: variables.pop(name) for name in list(first.coords)}
        return xr.Dataset(variables, coords, _provenance(attrs, self.document, first.attrs))


def _provenance(attrs: Mapping[str, Any], document: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a dataset: those that all shards share, and the images it was made of."""
    known = {name: first[name] for name in shards.KEPT if name in first}
    data = attrs["data"]
    return {
        **known,
        "seed": document["seed"],
        "measure": document["measure"],
        "data": printable(str(data.get("name", "none"))),
        "data_sha256": str(data.get("sha256", "none")),
    }


def with_summary(found: xr.Dataset, measure: Any, seed: int) -> xr.Dataset:
    """The dataset with the statistics that its measure has, computed when one of them is asked for."""
    summary = SUMMARIES.get(measure)
    if summary is None or not set(summary.of) <= set(found.data_vars):
        return found
    found = found.rename({name: f"image_{name}" for name in summary.of if name in summary.gives})
    sizes = dict(found.sizes)
    coords = {}
    for name, coord in summary.coords.items():
        if isinstance(coord, Variable):
            coords[name] = tuple(coord.dims), coord.values, {"units": coord.units, "long_name": coord.long_name}
            sizes[coord.dims[0]] = len(coord.values)
        else:
            coords[name] = (name,), coord, {"units": "1", "long_name": name}
            sizes[name] = len(coord)

    def made() -> xr.Dataset:
        said = summary.function(found, seed)
        return xr.Dataset({name: (tuple(one.dims), np.asarray(one.values)) for name, one in said.items()})

    asked = once(made)
    new = {}
    for name, (dims, kind, units, words) in summary.gives.items():
        if not set(dims) <= set(sizes):
            return found
        attributes = {"units": units, "long_name": words}
        shape = tuple(sizes[dim] for dim in dims)
        new[name] = lazily(dims, ComputedArray(asked, name, shape, np.dtype(kind)), attributes)
    return found.assign_coords(coords).assign(new)


def _places(path: Path) -> dict[str, dict[str, Folder]]:
    """Network -> label -> folder, of all that the documents of a run name."""
    out: dict[str, dict[str, Folder]] = {}
    for folder in sorted(inside(path / "networks").glob("*")):
        if not inside(folder).is_dir():
            continue
        if not (folder / "network.json").exists() and not any(folder.glob("*/*")):
            continue  # a sweep is about to begin with it
        network = read_document(folder / "network.json", name=str, weights=str)
        name = printable(network["name"])[:200]
        labels = {}
        for document in sorted(folder.glob("*/measure.json")):
            inside(document.parent)
            found = read_document(
                document, label=str, measure=str, identity=str, unit=str, block=int, images=int, seed=int
            )
            if not (0 < found["block"] <= MOST and 0 < found["images"] <= MOST and found["unit"] in ("image", "pair")):
                raise DataError(f"{document} says what cannot be; a sweep with --out writes it anew.")
            if any(SHARD.fullmatch(one.name) for one in document.parent.iterdir()):
                if found["label"] in labels:
                    raise DataError(f"{folder} holds {found['label']!s:.80} twice; delete one of its folders.")
                labels[found["label"]] = Folder(document.parent, network["weights"], found)
        if labels:
            if name in out:
                raise DataError(f"{path} holds the network {name} twice; delete one of its folders.")
            out[name] = labels
    return out


@checked
def open_run(path: str | os.PathLike[str] | None = None) -> Run:
    """Open what a sweep has measured so far, or a packed run; values are read when they are asked for.

    Parameters
    ----------
    path
        Folder that `sweep` wrote, or what `pack_run` made of it; the one that `VITGEOM_RUN` names unless told. Nothing
        in it is executed, and nothing outside it is read.

    Returns
    -------
    Run
        Network -> measure -> dataset over `image` or `pair`.

    Raises
    ------
    DataError
        If it is no run, damaged, or holds links.
    ArgumentError
        If there is neither a path nor `VITGEOM_RUN`.

    Examples
    --------
    >>> import tempfile, vitgeom_nb as vg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = vg.sweep(["vit"], data="samples:cifar10", measures=["singular_spectrum"], out=folder, n=2)
    ...     run = vg.open_run(folder)
    ...     list(run), list(run["vit"]), run["vit"]["singular_spectrum"].sizes["image"]
    (['vit'], ['singular_spectrum'], 2)
    """
    found = settings.run_folder() if path is None else Path(path).expanduser()
    if found is None:
        raise ArgumentError("Name the folder of a run, or set VITGEOM_RUN to it.")
    if not found.is_dir():
        raise DataError(f"There is no run {found}; vg.sweep(..., out=...) makes one.")
    return Run(found)
