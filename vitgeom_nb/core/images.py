"""A batch of images with what is known about them, and the checks of what a reader passes in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from .errors import LabelError


@dataclass(frozen=True)
class Images:
    """A batch of images: `pixels` `(B,3,H,W)` float32 in [0,1], and what is known about them.

    `labels` is a `(B,)` integer tensor, or None where nobody labelled them; `class_names[labels[i]]` names one.
    `skipped` names the images that should be among them but cannot be decoded.
    """

    pixels: torch.Tensor
    names: list[str]
    source: str
    licence: str
    labels: torch.Tensor | None = None
    class_names: list[str] | None = None
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int | slice | list[int] | torch.Tensor) -> Images:
        """Some of the images, still as a batch: an integer gives a batch of one."""
        chosen = torch.arange(len(self))[[index] if isinstance(index, int) else index]
        return replace(
            self,
            pixels=self.pixels[chosen],
            names=[self.names[i] for i in chosen.tolist()],
            labels=None if self.labels is None else self.labels[chosen],
        )

    def __repr__(self) -> str:
        return f"Images({len(self)} x {tuple(self.pixels.shape[1:])}, {self.source})"


def to_bytes(image: Image.Image, size: int) -> torch.Tensor:
    """`(3,size,size)` uint8: short side resized in 8 bits with bicubic filtering, centre cropped."""
    image = image if image.mode == "RGB" else image.convert("RGB")
    width, height = image.size
    scale = size / min(width, height)
    width, height = max(size, round(width * scale)), max(size, round(height * scale))
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    array = np.asarray(image.crop((left, top, left + size, top + size)))
    return torch.from_numpy(array.copy()).permute(2, 0, 1)


def check_labels(labels: Any, count: int, classes: int) -> torch.Tensor:
    """`labels` as a `(count,)` int64 tensor with values in `[0, classes)`.

    Raises
    ------
    LabelError
        If there are none, too few or too many, or one is not a class.
    """
    if labels is None:
        raise LabelError("These images have no labels; pass labels=..., or the model's own: logits(x).argmax(1).")
    labels = torch.as_tensor(labels).detach().cpu()
    if labels.is_floating_point() or labels.ndim != 1:
        raise LabelError(f"Labels must be whole numbers of shape (B,), not {labels.dtype} of {tuple(labels.shape)}.")
    if len(labels) != count:
        raise LabelError(f"There are {len(labels)} labels for {count} images; pass one for each.")
    if count and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        raise LabelError(
            f"Labels go from {int(labels.min())} to {int(labels.max())}, but the model has {classes} classes "
            f"(0 to {classes - 1})."
        )
    return labels.long()
