"""The checks of labels: whole numbers, one an image, of the classes that a model knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..errors import LabelError


def check_labels(labels: Any, count: int, classes: int) -> torch.Tensor:
    """`labels` as a `(count,)` int64 tensor with values in `[0, classes)`.

    Raises
    ------
    LabelError
        If there are none, too few or too many, or one is not a class.
    """
    if labels is None:
        raise LabelError("These images have no labels; pass labels=..., or the model's own: model.labels(images).")
    labels = one_each(labels, count)
    if count and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        raise LabelError(
            f"Labels go from {int(labels.min())} to {int(labels.max())}, but the model has {classes} classes "
            f"(0 to {classes - 1})."
        )
    return labels


def whole_labels(labels: Any, shape: str = "") -> torch.Tensor:
    """`labels` as an int64 tensor on the host; `shape` is what a sentence says of the one they should have.

    Raises
    ------
    LabelError
        If they are not whole numbers.
    """
    try:
        numbers = torch.as_tensor(labels).detach().cpu()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise LabelError(f"Labels must be whole numbers{shape}, not {type(labels).__name__}.") from None
    if numbers.is_floating_point() or numbers.is_complex() or numbers.dtype == torch.bool:
        raise LabelError(f"Labels must be whole numbers{shape}, not {numbers.dtype} of {tuple(numbers.shape)}.")
    return numbers.long()


def one_each(labels: Any, count: int) -> torch.Tensor:
    """`labels` as a `(count,)` int64 tensor on the host.

    Raises
    ------
    LabelError
        If they are not whole numbers, or too few or too many.
    """
    numbers = whole_labels(labels, " of shape (B,)")
    if numbers.ndim != 1:
        raise LabelError(f"Labels must be whole numbers of shape (B,), not {numbers.dtype} of {tuple(numbers.shape)}.")
    if len(numbers) != count:
        raise LabelError(f"There are {len(numbers)} labels for {count} images; pass one for each.")
    return numbers


def check_class_names(images: Any, classes: Sequence[str] | None, name: str) -> None:
    """Stop labels that number the classes of another data set than those of the model `name`, as far as both are named.

    Two lists are of the same classes if they are as long and half of the names or more agree up to synonyms.

    Raises
    ------
    LabelError
        If they are not.
    """
    theirs = getattr(images, "class_names", None)
    if theirs is None or classes is None:
        return
    same = sum(_first(a) == _first(b) for a, b in zip(theirs, classes, strict=False))
    if len(theirs) != len(classes) or 2 * same < len(classes):
        raise LabelError(
            f"The labels of these images number {len(theirs)} classes ({theirs[0]}, ...), and {name} knows "
            f"{len(classes)} others ({classes[0]}, ...); pass labels=model.labels(images), or images of its classes."
        )


def _first(name: str) -> str:
    return str(name).split(",")[0].strip().replace("_", " ").casefold()
