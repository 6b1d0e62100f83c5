"""Batches that fit: what does not is halved and retried."""

from __future__ import annotations

from collections.abc import Callable

import torch

from .progress import tqdm


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that a batch was too large for the memory there is."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


def in_batches(
    function: Callable[..., torch.Tensor], *tensors: torch.Tensor, size: int = 128, progress: str | None = None
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
    """
    total, start, parts = len(tensors[0]), 0, []
    with tqdm(total=total, desc=progress, disable=progress is None, leave=False) as bar:
        while start < total:
            try:
                part = function(*(t[start : start + size] for t in tensors))
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or size == 1:
                    raise
                size = max(1, size // 2)
                continue
            parts.append(part)
            bar.update(min(size, total - start))
            start += size
    return torch.cat(parts)
