"""What a worker does: hold a network, measure a block of images, write its shard."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from ..core.batching import is_out_of_memory
from ..core.progress import silent
from ..core.provenance import calling
from ..errors import ArgumentError, DataError, LabelError, ModelError, VitgeomError
from ..jacobians.chunks import untimed_rows
from ..networks.loading import load
from ..networks.vision_model import VisionModel
from ..settings import package_version
from . import images as pictures
from . import shards
from .entries import Entry
from .files import function_of_file, is_in_file
from .plan import Block, Network, shard_name

HELD = 2  # networks in memory: the one in use, and the one that shards of a lost worker come back to
_NETWORKS: OrderedDict[Any, Any] = OrderedDict()
_IMAGES: OrderedDict[Any, Any] = OrderedDict()
_ONE = threading.Lock()  # a device takes one shard at a time, however many threads a worker has


@dataclass(frozen=True)
class Source:
    """How a worker gets a network: by name, from a file of one's own, or, in one process, as it is."""

    model: Any
    device: str | None = None
    dtype: str = "float32"


@dataclass(frozen=True)
class Task:
    """A block of one entry for one network, and where its shard goes."""

    folder: str
    source: Source
    network: Network
    data: Any
    entry: Entry
    block: Block
    seed: int
    images: int
    about: Mapping[str, Any]
    package: str


@dataclass
class Outcome:
    """What became of a task; `stop` ends the run, `skip` the entry for this network, `lost` if its worker was."""

    measured: int = 0
    failed: dict[int, str] = field(default_factory=dict)
    stop: str | None = None
    skip: str | None = None
    seconds: float = 0.0
    lost: bool = False


def network(source: Source) -> VisionModel:
    """The network of a source, loaded once and held.

    Raises
    ------
    VitgeomError
        If it does not load.
    """
    if not isinstance(source.model, str):
        return source.model
    return _held(_NETWORKS, source, lambda: _loaded(source))


def _loaded(source: Source) -> VisionModel:
    dtype = getattr(torch, source.dtype)
    if not is_in_file(source.model):
        return load(source.model, device=source.device, dtype=dtype)
    found = function_of_file(source.model)
    model = found() if callable(found) and not isinstance(found, VisionModel) else found
    if not isinstance(model, VisionModel):
        raise ModelError(f"{source.model} gives a {type(model).__name__}; it must give a model of vg.load or vg.wrap.")
    return model.in_dtype(dtype)


def _held(held: OrderedDict[Any, Any], key: Any, make: Any) -> Any:
    if key not in held:
        while len(held) >= HELD:
            held.popitem(last=False)
        held[key] = make()
    held.move_to_end(key)
    return held[key]


def describe(source: Source) -> Network | str:
    """What tells a network from others, or one sentence why it does not load."""
    try:
        with _ONE, silent():
            model = network(source)
            return Network(
                model.name, model.digest, model.layer, model.read, str(model.dtype).split(".")[-1], model.has_logits
            )
    except Exception as error:  # libraries raise as many types as there are ways to fail
        return said(error)


def said(error: BaseException) -> str:
    """An exception in one line: a sentence of this package as it is, another with its type."""
    text = str(error).split("\n")[0].strip()[:500]
    return text if isinstance(error, VitgeomError) else f"{type(error).__name__}: {text}".rstrip(": ")


def measure_block(task: Task) -> Outcome:
    """Measure the images of a block and write their shard; what fails is told in the outcome, and never raised."""
    with _ONE, silent():
        start = time.perf_counter()
        outcome = _measured(task)
        outcome.seconds = time.perf_counter() - start
        return outcome


def _measured(task: Task) -> Outcome:
    block = task.block
    new = Block(block.start, block.stop, block.generation + (block.retry is not None))
    if (Path(task.folder) / shard_name(new, 0)).exists():  # by a worker that was lost before it could say so
        return Outcome(measured=block.images)
    try:
        if task.package != package_version():
            raise DataError(f"This worker has vitgeom-nb {package_version()}, and the run {task.package}.")
        model = network(task.source)
        if model.digest != task.network.weights:
            raise DataError(f"The weights of {task.network.name} on this worker are not those of the run.")
        held = _images_of(task, model)
    except Exception as error:
        return Outcome(failed=dict.fromkeys(_numbers(task.block), said(error)))
    began = time.perf_counter()
    measured = _Measured(task, model, held)
    measured.run()
    if measured.refused is not None:
        return Outcome(skip=measured.refused)
    return _stored(task, measured, time.perf_counter() - began)


def _images_of(task: Task, model: VisionModel) -> Any:
    if not isinstance(task.data, str):
        return task.data
    return _held(_IMAGES, (task.data, task.source), lambda: pictures.open_images(task.data, model))


def _numbers(block: Block) -> Sequence[int]:
    return range(block.start, block.stop) if block.retry is None else block.retry


class _Measured:
    """The pieces of a block, and the numbers of what failed with the reasons."""

    def __init__(self, task: Task, model: VisionModel, held: Any) -> None:
        self.task, self.model, self.held = task, model, held
        self.pieces: list[xr.Dataset] = []
        self.failed: dict[int, str] = {}
        self.refused: str | None = None

    def run(self) -> None:
        numbers = list(_numbers(self.task.block))
        # what is tried again goes alone: its neighbours have their shard
        together = self.task.entry.measure.together if self.task.block.retry is None else 1
        refusals: set[str] = set()
        for first in range(0, len(numbers), together):
            refusals |= self._attempt(numbers[first : first + together])
        if not self.pieces and len(numbers) > 1 and len(refusals) == 1 and len(set(self.failed.values())) == 1:
            self.refused = refusals.pop()  # no image is at fault

    def _attempt(self, numbers: Sequence[int]) -> set[str]:
        """Measure some images together, or one by one where that fails; the messages of refused arguments."""
        refusals: set[str] = set()
        try:
            images, kept, wrong = pictures.some(self.held, numbers)
            self.failed |= wrong
            if kept:
                self.pieces.append(self._call(images, kept))
        except Exception as error:
            if len(numbers) > 1:
                return set().union(*(self._attempt([number]) for number in numbers))
            words = "there is no memory for it" if is_out_of_memory(error) else said(error)
            self.failed[numbers[0]] = words
            if isinstance(error, (ArgumentError, LabelError)):
                refusals.add(words)
        return refusals

    def _call(self, images: Any, numbers: Sequence[int]) -> xr.Dataset:
        task, measure = self.task, self.task.entry.measure
        function = measure.load()
        takes = _parameters(function)
        options = {**measure.fixed, **task.entry.parameters}
        if "seed" in takes:
            options["seed"] = task.seed
        if task.entry.labels == "own" and "labels" in takes:
            options["labels"] = self.model.labels(images)
        positional = [self.model, images]
        if measure.unit == "pair" or measure.partner is not None:
            others = self._partners(numbers)
            if measure.partner is not None:
                options[measure.partner] = others
            else:
                positional.append(others)
        with (
            untimed_rows(),
            calling(measure.name, {}),
        ):  # one of your own may have no door
            found = function(*positional, **options)
        return shards.piece(found, measure, numbers)

    def _partners(self, numbers: Sequence[int]) -> Any:
        chosen = [pictures.partner(self.task.seed, number, self.task.images) for number in numbers]
        order = sorted(set(chosen))
        found, kept, wrong = pictures.some(self.held, order)
        if wrong:
            number, why = next(iter(wrong.items()))
            raise DataError(f"Image {number}, which is its target: {why}.")
        assert found is not None
        return found[[kept.index(number) for number in chosen]]


def _parameters(function: Any) -> set[str]:
    import inspect

    return set(inspect.signature(function).parameters)


def _stored(task: Task, measured: _Measured, seconds: float) -> Outcome:
    """Write the shard: with a retry, what the earlier one has and what is new."""
    unit, block, folder = task.entry.measure.unit, task.block, Path(task.folder)
    failed = measured.failed
    pieces = measured.pieces
    about = {**task.about, "start": block.start, "stop": block.stop}
    count = sum(one.sizes[unit] for one in pieces)
    try:
        if block.retry is not None:
            if not pieces:  # nothing to add
                return Outcome(failed=failed)
            before = shards.read(
                folder / shard_name(Block(block.start, block.stop, block.generation), len(block.retry)), about
            )
            if unit in before.dims:
                old = shards.results(before)
                pieces = [old, *(one.assign_attrs(old.attrs) for one in pieces)]
            seconds += float(before.attrs.get("seconds", 0.0))
            block = Block(block.start, block.stop, block.generation + 1)
        elif block.generation and any(folder.glob(f"{block.start:010d}-{block.stop:010d}.*.{len(failed)}.nc")):
            return Outcome(failed=failed)  # as much as before
        made = shards.shard(pieces, failed, unit, about, seconds)
    except Exception as error:
        return Outcome(failed=dict.fromkeys(_numbers(task.block), said(error)))
    try:
        shards.write(folder / shard_name(block, len(failed)), made)
    except DataError as error:
        if "cannot hold" in str(error):  # what the measure returned is at fault, not the disk
            return Outcome(failed=dict.fromkeys(_numbers(task.block), said(error)))
        return Outcome(stop=str(error))
    return Outcome(measured=count, failed=failed)
