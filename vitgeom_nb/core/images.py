"""A batch of images with what is known about them, and the checks of what a reader passes in."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image

from ..errors import ArgumentError, ImageError
from .labels import one_each
from .pictures import to_rgb

Size = int | tuple[int, int]
"""Height and width of images in pixels, or one number for both."""

Prepare = Callable[[Image.Image], torch.Tensor]
"""What makes a tensor `(3,H,W)` in [0,1] of a picture."""

LARGEST = 2**13
"""The most pixels that a side may have: a batch of larger images fills no memory by a slip of the keys."""


@runtime_checkable
class ImageModel(Protocol):
    """What a data set asks of a model that shall see its images: name, size, and its own way to prepare pictures."""

    name: str
    size: tuple[int, int]

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """A picture of any size as `(3,H,W)` in [0,1]."""


@dataclass(frozen=True)
class Images:
    """A batch of images: `pixels` `(B,3,H,W)` float32 in [0,1], and what is known about them.

    `labels` is a `(B,)` integer tensor, or None where nobody labelled them; `class_names[labels[i]]` names one.
    `skipped` names the images that should be among them but cannot be decoded.

    Raises
    ------
    ImageError
        If `pixels` is no tensor `(B,3,H,W)`, or there is not one name an image.
    LabelError
        If labels are not whole numbers, one an image.
    ArgumentError
        If names, source or licence are no text.
    """

    pixels: torch.Tensor
    names: list[str]
    source: str
    licence: str
    labels: torch.Tensor | None = None
    class_names: list[str] | None = None
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.pixels, torch.Tensor) or self.pixels.ndim != 4:
            got = tuple(self.pixels.shape) if isinstance(self.pixels, torch.Tensor) else type(self.pixels).__name__
            raise ImageError(f"The pixels of Images are a tensor (B, 3, H, W), not {got}.")
        for field in ("source", "licence"):
            if not isinstance(getattr(self, field), str):
                raise ArgumentError(f"The {field} of Images is text, not {type(getattr(self, field)).__name__}.")
        for field in ("names", "class_names"):
            names = getattr(self, field)
            if names is None and field == "class_names":
                continue
            if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
                raise ArgumentError(f"The {field} of Images are a list of texts.")
            object.__setattr__(self, field, list(map(printable, names)))
        if len(self.names) != len(self.pixels):
            raise ImageError(f"There are {len(self.names)} names for {len(self.pixels)} images; pass one for each.")
        if self.labels is not None:
            object.__setattr__(self, "labels", one_each(self.labels, len(self.pixels)))

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int | slice | Sequence[int] | torch.Tensor) -> Images:
        """Some of the images, still as a batch: an integer gives a batch of one.

        Raises
        ------
        ArgumentError
            If the index is neither a whole number nor a slice, nor a sequence of whole numbers or of truth values.
        IndexError
            If there is no such image.
        """
        chosen = positions(index, len(self))
        return replace(
            self,
            pixels=self.pixels[chosen],
            names=[self.names[i] for i in chosen.tolist()],
            labels=None if self.labels is None else self.labels[chosen],
        )

    def __repr__(self) -> str:
        return f"Images({len(self)} x {tuple(self.pixels.shape[1:])}, {self.source})"


def positions(index: Any, count: int) -> torch.Tensor:
    """Numbers `(K,)` of those of `count` images that an index means: a whole number means one.

    Raises
    ------
    ArgumentError
        If it is neither a whole number nor a slice, nor a sequence of whole numbers or of one truth value an image.
    IndexError
        If there is no such image.
    """
    every = list(range(count))
    try:
        if isinstance(index, slice):
            return torch.tensor(every[index], dtype=torch.long)
        whole = torch.as_tensor([operator.index(index)] if _is_whole(index) else index).cpu()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        whole = torch.tensor(0.0)
    if whole.ndim == 1 and not len(whole):
        return whole.long()
    if whole.ndim == 1 and whole.dtype == torch.bool and len(whole) == count:
        return whole.nonzero()[:, 0]
    if whole.ndim != 1 or whole.is_floating_point() or whole.is_complex() or whole.dtype == torch.bool:
        raise ArgumentError(
            f"Images are chosen by a whole number, a slice, or a list of whole numbers or of {count} truth values, "
            f"not by {index!r}."
            if isinstance(index, (str, float, type(None)))
            else f"Images are chosen by a whole number, a slice, or a list of whole numbers or of {count} truth values."
        )
    if bool(((whole < -count) | (whole >= count)).any()):
        raise IndexError(f"There are {count} images, from 0 to {count - 1}, and none at {whole.tolist()[:5]}.")
    return whole.long() % count


def _is_whole(value: Any) -> bool:
    return hasattr(value, "__index__") and getattr(value, "ndim", 0) == 0 and not isinstance(value, bool)


def printable(name: str) -> str:
    """A name that can be written: what no text may hold, as file names do on some systems, becomes its escape."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def height_and_width(size: Size) -> tuple[int, int]:
    """Height and width of images of a `size`: one number stands for both.

    Raises
    ------
    ArgumentError
        If it is neither a positive whole number of at most `LARGEST` nor a pair of them.
    """
    sides = tuple(size) if isinstance(size, Sequence) else (size, size)
    if len(sides) != 2 or not all(
        isinstance(side, Integral) and not isinstance(side, bool) and 0 < side <= LARGEST for side in sides
    ):
        said = size if sides == (size, size) and isinstance(size, (str, float)) else type(size).__name__
        said = repr(size) if all(isinstance(side, int) and abs(side) < 2**64 for side in sides) else said
        raise ArgumentError(
            f"size is {said}; pass the side of square images, of at least one pixel and at most {LARGEST}, or "
            "(height, width)."
        )
    return int(sides[0]), int(sides[1])


def shown(size: Sequence[int]) -> str:
    """Height and width as they are written in a sentence."""
    return f"{size[0]} x {size[1]}"


def _picture(image: Image.Image) -> torch.Tensor:
    """A picture in its own size: `(3,H,W)` in [0,1]."""
    return torch.from_numpy(np.array(to_rgb(image))).permute(2, 0, 1).float() / 255


def to_bytes(image: Image.Image, size: Size) -> torch.Tensor:
    """`(3,H,W)` uint8: resized in 8 bits with bicubic filtering until it just covers H x W, centre cropped."""
    image = to_rgb(image)
    (width, height), (rows, columns) = image.size, height_and_width(size)
    scale = max(columns / width, rows / height)
    width, height = max(columns, round(width * scale)), max(rows, round(height * scale))
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - columns) // 2, (height - rows) // 2
    array = np.asarray(image.crop((left, top, left + columns, top + rows)))
    return torch.from_numpy(array.copy()).permute(2, 0, 1)


def as_tensor(images: Any, prepare: Prepare = _picture) -> torch.Tensor:
    """The tensor that images are, whatever holds them; neither their shape nor their range is checked.

    Takes a tensor, what `samples()` returns, a NumPy array `(H,W,3)` or `(B,H,W,3)` of bytes or of floats in [0,1], one
    that a measurement holds `(B,3,H,W)`, a PIL picture, or a list of such arrays, pictures and tensors `(3,H,W)`.
    `prepare` makes a tensor `(3,H,W)` of a picture.

    Raises
    ------
    ImageError
        If they are anything else, or those of a list have several shapes.
    """
    pixels = getattr(images, "pixels", images)
    if isinstance(pixels, torch.Tensor):
        if pixels.is_complex():
            raise ImageError(f"Images must be floats in [0, 1], not {pixels.dtype}.")
        return pixels
    if isinstance(pixels, Image.Image):
        pixels = [pixels]
    if isinstance(pixels, (list, tuple)):
        if not pixels:
            raise ImageError("There are no images in this batch; pass at least one.")
        each = [prepare(one) if isinstance(one, Image.Image) else as_tensor(one) for one in pixels]
        each = [one[0] if one.ndim == 4 and len(one) == 1 else one for one in each]
        if len({one.shape for one in each}) > 1:
            shapes = ", ".join(sorted({str(tuple(one.shape)) for one in each}))
            raise ImageError(f"The images of a list must have one shape, not {shapes}; resize them.")
        return torch.stack([one.to(each[0].dtype) for one in each])
    dims = pixels.dims if hasattr(pixels, "to_numpy") else ()  # of a variable of a measurement
    array = pixels.to_numpy() if dims else pixels
    if not isinstance(array, np.ndarray):
        raise ImageError(
            "Images must be a torch tensor, a NumPy array, PIL pictures or what samples() returns, not "
            f"{type(pixels).__name__}."
        )
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise ImageError(f"Images must be bytes or floats in [0, 1], not {array.dtype}; divide them by their maximum.")
    array = array[None] if array.ndim == 3 else array
    if array.ndim == 4 and array.shape[-1] == 3 and "channel" not in dims:
        array = array.transpose(0, 3, 1, 2)
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.float() / 255 if array.dtype == np.uint8 else tensor


def check_pixels(images: Any, size: tuple[int, int], name: str, prepare: Prepare = _picture) -> torch.Tensor:
    """`images` as a `(B,3,H,W)` tensor of floats in [0,1] without a graph, of the `size` that the model `name` takes.

    They are all that `as_tensor` takes.

    Raises
    ------
    ImageError
        If there are no images, or their shape, size, type or range is another.
    """
    pixels = as_tensor(images, prepare)
    if pixels.ndim != 4 or pixels.shape[1] != 3:
        raise ImageError(f"Images must have shape (B, 3, H, W), not {tuple(pixels.shape)}.")
    if len(pixels) == 0:
        raise ImageError("There are no images in this batch; pass at least one.")
    if tuple(pixels.shape[2:]) != size:
        raise ImageError(
            f"{name} takes {shown(size)} pixels, not {shown(pixels.shape[2:])}; samples(..., model=model) and "
            "labelled(..., model=model) bring images as a model takes them."
        )
    if not pixels.is_floating_point():
        raise ImageError(f"Images must be floats in [0, 1], not {pixels.dtype}; divide 8-bit pixels by 255.")
    if not bool(torch.isfinite(pixels).all()):
        raise ImageError("Images contain NaN or infinite pixels; remove or repair those images first.")
    low, high = (float(v) for v in pixels.detach().aminmax())
    if low < 0 or high > 1:
        raise ImageError(f"Pixels must lie in [0, 1]; these go from {low:.3g} to {high:.3g}.")
    return pixels.detach()
