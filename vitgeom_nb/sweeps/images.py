"""The images of a sweep: by name, from a file of your own, or as they are; some of them, and why others are not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..core.images import Images, as_tensor, printable
from ..data.labelled import labelled
from ..data.samples import samples
from ..data.streaming import LabelledImages
from ..errors import ArgumentError, DataError
from .files import function_of_file, is_in_file

SPLITS = ("train", "valid", "val", "validation", "test")
_DATA = "name a data set and its split (tiny-imagenet:valid), a folder, samples:imagenet, or file.py:function"


@dataclass(frozen=True)
class About:
    """What tells one set of images from another: its name, how many there are, and a digest.

    It is of their names and labels; where someone brings pixels, of these too.
    """

    name: str
    images: int
    sha256: str


def open_images(data: Any, model: Any = None, seed: int | None = None) -> Any:
    """Images by the text that names them, as `model` takes them; what is no text is given back.

    With a seed those of a data set or a folder come in a random order; others keep their own.

    Raises
    ------
    DataError, ArgumentError
        If there are none of that name.
    """
    if not isinstance(data, str):
        return data
    if is_in_file(data):
        found = function_of_file(data)
        return found() if callable(found) else found
    if data.startswith("samples:"):
        return samples(data.removeprefix("samples:"), model=model)
    name, _, split = data.rpartition(":")
    if name and split in SPLITS:
        return labelled(name, split, model=model, seed=seed)
    return labelled(data, model=model, seed=seed)


def about(data: Any) -> About:
    """What is known of all images, without decoding one.

    Raises
    ------
    DataError, ArgumentError
        If there are none, or they are nothing that a sweep takes.
    """
    held = open_images(data)
    sha = hashlib.sha256()
    if isinstance(held, torch.Tensor) or not hasattr(held, "names"):
        held = plain(held)
    if isinstance(held, Images) and not isinstance(data, str):  # their names may say nothing of them
        sha.update(as_tensor(held).float().cpu().contiguous().numpy().tobytes())
    count = len(held)
    if not count:
        raise DataError("There are no images to measure.")
    for i in range(count):
        sha.update(held.names[i].encode("utf-8", "backslashreplace") + b"\n")
    if held.labels is not None:
        sha.update(torch.as_tensor(held.labels).long().numpy().tobytes())
    name = data if isinstance(data, str) else getattr(held, "source", "images of a caller")
    return About(printable(name), count, sha.hexdigest())


def plain(held: Any) -> Images:
    """Images that come as pixels alone."""
    try:
        pixels = as_tensor(held)
    except Exception:
        raise ArgumentError(f"data is a value of type {type(held).__name__}; {_DATA}.") from None
    if pixels.ndim != 4:
        raise ArgumentError(f"Images must have shape (B, 3, H, W), not {tuple(pixels.shape)}.")
    return Images(pixels, [str(i) for i in range(len(pixels))], "images of a caller", "as their owner says")


def some(held: Any, chosen: Sequence[int]) -> tuple[Images | None, list[int], dict[int, str]]:
    """The whole ones among the images at some positions, where they are, and why the others cannot be had."""
    if isinstance(held, LabelledImages):
        pixels, kept, damaged = held.gathered(chosen)
        missing = [i for i in chosen if i not in set(kept)]
        wrong = {i: f"it cannot be decoded: {one.reason}" for i, one in zip(missing, damaged, strict=True)}
        found = held._images(pixels, kept, []) if kept else None
        return found, kept, wrong
    if not hasattr(held, "names"):
        held = plain(held)
    return held[list(chosen)], list(chosen), {}


def partner(seed: int, index: int, images: int) -> int:
    """Number of another image than `index` among `images`, by the seed and the number alone."""
    digest = hashlib.sha256(f"{seed}:{index}".encode()).digest()
    other = int.from_bytes(digest[:8], "big") % (images - 1)
    return other + (other >= index)
