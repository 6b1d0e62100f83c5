"""Decoding by a pool of workers, a little ahead of whoever uses the images; damaged ones are found, not fatal."""

from __future__ import annotations

import io
import itertools
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image, UnidentifiedImageError

from ..core.pictures import to_rgb
from ..errors import ArgumentError
from .encoded_images import Encoded, Span

PREFETCHED = 2
"""Parts that are decoded ahead of the one in use."""

Transform = Callable[[Image.Image], torch.Tensor]


class Damaged(NamedTuple):
    """An image that cannot be decoded, and why."""

    name: str
    reason: str


class Part(NamedTuple):
    """What became of some of the images: positions and tensors of the whole ones, and the others."""

    kept: list[int]
    tensors: list[torch.Tensor]
    damaged: list[Damaged]


def decode(encoded: Encoded) -> Image.Image:
    """An image in memory, upright in RGB, from where it is stored."""
    if encoded is None:
        raise ValueError("there are no bytes")
    if isinstance(encoded, Span):
        with encoded.path.open("rb") as file:
            file.seek(encoded.offset)
            encoded = file.read(encoded.size)
    image: Image.Image
    with Image.open(encoded if isinstance(encoded, Path) else io.BytesIO(encoded)) as image:
        image.load()
        return to_rgb(image)


def _attempt(encoded: Encoded, transform: Transform) -> torch.Tensor | Exception:
    """The tensor of an image, or what its decoding raised. What `transform` raises is no fault of the image."""
    try:
        image = decode(encoded)
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises a dozen types over damaged files
        return error
    return transform(image)


def _quietly(encoded: Encoded, transform: Transform) -> torch.Tensor | Exception:
    """`_attempt` where warnings are errors: Pillow warns of damaged metadata, beside which the image may be whole."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _attempt(encoded, transform)


def _check(pixels: object, shape: torch.Size | None, name: str) -> torch.Size:
    """The shape of what `transform` made of an image, which must be that of the others."""
    if not isinstance(pixels, torch.Tensor) or pixels.ndim != 3 or len(pixels) != 3:
        got = tuple(pixels.shape) if isinstance(pixels, torch.Tensor) else type(pixels).__name__
        raise ArgumentError(f"transform must return a (3, H, W) tensor, not {got} as for {name}.")
    if pixels.dtype != torch.uint8 and not pixels.is_floating_point():
        raise ArgumentError(f"transform must return uint8 or floats in [0, 1], not {pixels.dtype} as for {name}.")
    if shape is not None and pixels.shape != shape:
        both = f"{tuple(shape)} for the first and {tuple(pixels.shape)} for {name}"
        raise ArgumentError(f"transform must give all images one size, not {both}; let it crop or resize to a square.")
    return pixels.shape


def floats(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """`(B,3,H,W)` float32 in [0,1]."""
    return torch.stack([t.float() / 255 if t.dtype == torch.uint8 else t.detach().float() for t in tensors])


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a kind that Pillow knows"
    return str(error).split("\n")[0].rstrip(".") or type(error).__name__


def decoded_parts(
    parts: Iterator[Sequence[int]],
    read: Callable[[Sequence[int]], list[Encoded]],
    names: Sequence[str],
    transform: Transform,
    workers: int | None = None,
) -> Iterator[Part]:
    """Images at some positions, part by part; `PREFETCHED` parts are decoded ahead by `workers` threads.

    Threads are enough: Pillow lets others run while it decodes and resizes.

    Raises
    ------
    ArgumentError
        If `transform` does not give `(3,H,W)` tensors of one shape, in uint8 or floats.
    """
    shape: torch.Size | None = None
    pending: deque[tuple[Sequence[int], list[Encoded], list[Future]]] = deque()
    pool = ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1), thread_name_prefix="decode")
    try:
        while True:
            for part in itertools.islice(parts, PREFETCHED + 1 - len(pending)):
                stored = read(part)
                pending.append((part, stored, [pool.submit(_attempt, encoded, transform) for encoded in stored]))
            if not pending:
                return
            made = Part([], [], [])
            for i, encoded, future in zip(*pending.popleft(), strict=True):
                outcome = future.result()
                if isinstance(outcome, Warning):
                    outcome = _quietly(encoded, transform)
                if isinstance(outcome, Exception):
                    made.damaged.append(Damaged(names[i], _reason(outcome)))
                else:
                    shape = _check(outcome, shape, names[i])
                    made.kept.append(i)
                    made.tensors.append(outcome)
            yield made
    finally:
        pool.shutdown(cancel_futures=True)
