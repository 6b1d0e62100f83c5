"""Batches that fit: what does not is halved and retried."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import torch

from .progress import tqdm

Part = TypeVar("Part")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that a batch was too large for the memory there is."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


def free_memory(device: torch.device) -> int:
    """Bytes that a computation on `device` may still take, as far as the system tells."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):  # not Linux: half of what is built in is a fair guess
        available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    try:  # a container may allow less than the machine has
        group = Path("/sys/fs/cgroup")
        limit, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return min(available, int(limit) - int(used)) if limit.isdigit() else available
    except OSError:
        return available


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
