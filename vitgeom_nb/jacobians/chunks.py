"""How many rows of a Jacobian to compute at a time: what fits in memory, and what a processor was quickest with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

import torch

from ..core.memory import free_memory
from ..networks.vision_model import VisionModel

CACHED = 2**25  # bytes that one cotangent may touch for a processor to gain from several at a time
TRIED = (1, 8, 16, 32)  # cotangents at a time that a processor is timed with, where there are rows enough
FEWEST = 8  # rows that are timed together: a single one is over before other work interferes
_SAVED: WeakKeyDictionary[VisionModel, int] = WeakKeyDictionary()
_FASTEST: dict[tuple[Any, ...], int] = {}
_TIMED: ContextVar[bool] = ContextVar("timed", default=True)


@contextmanager
def untimed_rows() -> Iterator[None]:
    """Inside, rows come in chunks that no clock chooses: two runs on one machine agree to the last bit."""
    token = _TIMED.set(False)
    try:
        yield
    finally:
        _TIMED.reset(token)


def chunk_that_fits(model: VisionModel) -> int:
    """Cotangents to pull back at a time: as many as should be of use, and as fit in half of the free memory.

    What a processor is quickest with is timed where there are rows enough; this is for fewer, and for accelerators.
    """
    # what leaves the caches of a processor gains nothing from company, while an accelerator wants many
    useful = 128 if model.device.type == "cuda" else min(64, max(8, 2**17 // math.prod(model.size)))
    if model.device.type == "cpu" and _saved(model) > CACHED:
        useful = 1
    return min(useful, _most(model))


def chunk_in_use(model: VisionModel, precision: torch.dtype | None = None) -> int:
    """Cotangents that `jacobian_blocks` takes at a time: what was fastest, once it was timed, and fits."""
    fastest = _FASTEST.get(_key(model, precision)) if _TIMED.get() else None
    return chunk_that_fits(model) if fastest is None else min(fastest, _most(model))


def chunks_to_time(model: VisionModel, precision: torch.dtype | None, rows: int) -> tuple[list[int], int]:
    """Cotangents at a time with which to compute the first of so many rows, and how often, with an eye on the clock.

    None where runs shall agree to the last bit, on accelerators, where it is known already, and where rows are few. Up
    to a quarter of many rows is spent on it: other work on the machine makes single times uncertain by a tenth.
    """
    if model.device.type != "cpu" or not _TIMED.get() or _key(model, precision) in _FASTEST:
        return [], 0
    trials = [size for size in TRIED if size <= _most(model)]
    once = sum(max(size, FEWEST) for size in trials)
    return (trials, min(5, max(2, rows // (4 * once)))) if 0 < 2 * once < rows else ([], 0)


def remember(model: VisionModel, precision: torch.dtype | None, seconds: dict[int, float]) -> int:
    """Take the size of the least `seconds` a row from here on, and return it."""
    fastest = _FASTEST[_key(model, precision)] = min(seconds, key=seconds.__getitem__)
    return fastest


def _key(model: VisionModel, precision: torch.dtype | None) -> tuple[Any, ...]:
    return model.digest, model.layer, model.read, str(model.device), model.dtype, model.size, precision


def _most(model: VisionModel) -> int:
    """Cotangents that fit in half of the free memory: each takes about twice what a forward pass saves."""
    return max(1, free_memory(model.device) // 2 // (2 * _saved(model) + 1))


def _saved(model: VisionModel) -> int:
    """Bytes that a forward pass of one image saves for its backward pass."""
    if model not in _SAVED:
        sizes: dict[int, int] = {}

        def weigh(tensor: torch.Tensor) -> torch.Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        grey = torch.full((1, 3, *model.size), 0.5, device=model.device, dtype=model.dtype)
        weights = {p.untyped_storage().data_ptr() for p in model.module.parameters()}
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(weigh, lambda t: t):
            model.embed(grey.requires_grad_())
        _SAVED[model] = sum(size for where, size in sizes.items() if where not in weights)
    return _SAVED[model]
