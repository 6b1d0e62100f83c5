"""Which picture shows a single step along the sign of the gradient best, and what happened to it, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr


def telling(steps: xr.Dataset, classes: Sequence[str]) -> int:
    """The image that a measurement of `fgsm_step` is best shown on, by the true class of each image.

    Of those that start right and end wrong, the one the network is surest of; without any, of those that start right,
    then of those whose label changes.
    """
    fooled = (steps.seen.sel(stage="moved") != steps.label).values
    right = _right(steps, classes)
    groups = (fooled & right, right, fooled, np.ones_like(right))
    candidates = next(np.flatnonzero(group) for group in groups if group.any())
    return int(candidates[steps.confidence.sel(stage="image").values[candidates].argmax()])


def in_words(steps: xr.Dataset, classes: Sequence[str], image: int) -> str:
    """How many labels the step changes, and what becomes of one image."""
    fooled = (steps.seen.sel(stage="moved") != steps.label).values
    if not _right(steps, classes)[image]:
        said = "which the network gets wrong already"
    elif fooled[image]:
        said = "the one that the network is surest of among those it gets right and the step makes wrong"
    else:
        said = "which the network gets right, and the step does not change that"
    size = f"{float(steps.psnr[image]):.2f} dB"
    return (
        f"This one step changes the label of {fooled.sum()} of {len(fooled)} images, at {size}. "
        f"Shown is a picture of the class “{classes[image]}”, {said}."
    )


def _right(steps: xr.Dataset, classes: Sequence[str]) -> np.ndarray:
    return np.asarray(steps.seen_name.sel(stage="image").values == np.asarray(classes, dtype=object))
