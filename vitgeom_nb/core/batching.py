"""Batches that fit: what does not is halved and retried."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from ..errors import keeping
from .progress import tqdm

Part = TypeVar("Part")

# words of allocators as torch passes them on: of processors, of CUDA, of cuBLAS, cuSOLVER, cuFFT and cuDNN
_NO_MEMORY = re.compile("allocate memory|not enough memory|out of memory|_ALLOC(ATION)?_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that a batch was too large for the memory there is."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None


def each_batch(
    function: Callable[..., Part], *tensors: torch.Tensor, size: int, progress: str | None = None
) -> Iterator[Part]:
    """`function` of slices of `tensors` along their first dimension, one after the other.

    A slice that runs out of memory is halved and retried, down to single rows; the smaller size is kept from there.
    """
    total, start = len(tensors[0]), 0
    with tqdm(total=total, desc=progress, disable=progress is None, leave=False) as bar:
        while start < total:
            try:
                part = function(*(t[start : start + size] for t in tensors))
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or size == 1:
                    raise
                size = max(1, min(size, total - start) // 2)
                continue
            yield part
            bar.update(min(size, total - start))
            start += size


def kept_in_batches(function: Callable[..., torch.Tensor], *tensors: torch.Tensor, size: int) -> torch.Tensor:
    """`in_batches`, where rows are images: those finished come with whatever ends it early."""
    parts: list[torch.Tensor] = []
    with keeping(lambda: torch.cat(parts), lambda: sum(map(len, parts)), len(tensors[0]), "images"):
        for part in each_batch(function, *tensors, size=size):
            parts.append(part)
    return torch.cat(parts)


def in_batches(
    function: Callable[..., torch.Tensor],
    *tensors: torch.Tensor,
    size: int,
    progress: str | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Concatenate `function` over slices of `tensors` along their first dimension.

    A slice that runs out of memory is halved and retried, down to single rows; what was computed is kept.

    Parameters
    ----------
    function
        Takes one slice of each tensor, returns a tensor of as many rows.
    tensors
        All of the same length.
    size
        Rows a slice at first.
    progress
        Title of a progress bar; none unless given.
    out
        Where to write the result, if it exists already: what was finished is there when a later slice fails or
        someone interrupts.
    """
    start = 0
    for part in each_batch(function, *tensors, size=size, progress=progress):
        if out is None:
            if len(part) == len(tensors[0]):
                return part
            out = part.new_empty(len(tensors[0]), *part.shape[1:])
        out[start : start + len(part)] = part
        start += len(part)
    return function(*tensors) if out is None else out
