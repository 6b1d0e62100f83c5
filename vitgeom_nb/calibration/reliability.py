"""Reliability: confidence against accuracy in bins, and calibration errors with intervals."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr

from ..core.arguments import checked
from ..core.measurement import Stopwatch, Variable, measurement
from ..errors import ArgumentError, kept_as
from ..networks.vision_model import VisionModel
from ..statistics.bootstrap import absolute_sums
from ..statistics.intervals import mean_interval, wilson
from .logits import labelled_logits
from .predictions import Predictions


class Bins(NamedTuple):
    """Per bin: number of images, accuracy and mean confidence (NaN where empty), and the bin of each image."""

    size: torch.Tensor
    accuracy: torch.Tensor
    confidence: torch.Tensor
    which: torch.Tensor


def bin_edges(bins: int) -> torch.Tensor:
    """The `bins + 1` edges k / bins, each the double nearest to its fraction."""
    if bins < 1:
        raise ArgumentError(f"bins is {bins}; ask for at least one.")
    return torch.arange(bins + 1, dtype=torch.float64) / bins


def in_bins(confidence: torch.Tensor, correct: torch.Tensor, bins: int) -> Bins:
    """Sort images into equal-width bins of confidence, (k/bins, (k+1)/bins]; exactly 1 falls in the last."""
    index = (torch.searchsorted(bin_edges(bins), confidence.double().contiguous()) - 1).clamp(0, bins - 1)
    count = torch.bincount(index, minlength=bins)
    mean_of = [torch.bincount(index, v.double(), minlength=bins) / count for v in (correct, confidence)]
    return Bins(count, mean_of[0], mean_of[1], index)


@checked
def reliability(
    model: VisionModel | Predictions | None = None,
    images: Any = None,
    labels: Any = None,
    *,
    logits: torch.Tensor | Any = None,
    bins: int = 15,
    temperature: float = 1.0,
    resamples: int = 1000,
    seed: int = 0,
    name: str | None = None,
) -> xr.Dataset:
    r"""Confidence against accuracy in equal-width bins, and the calibration errors.

    .. math:: \mathrm{ECE} = \sum_b \tfrac{n_b}{N} |\mathrm{acc}_b - \mathrm{conf}_b|, \qquad
              \mathrm{sECE} = \sum_b \tfrac{n_b}{N} (\mathrm{acc}_b - \mathrm{conf}_b)

    Confidence is the largest softmax probability. Bins are closed on the right, and a confidence of exactly 1
    belongs to the last. The signed error is accuracy minus mean confidence whatever the bins: positive is
    under-confident, negative over-confident.

    Parameters
    ----------
    model
        A `VisionModel`, which then needs `images`, or what `predict` or `recorded_predictions` returns.
    images
        `(N,3,H,W)` in [0,1], or what `samples()` or `labelled()` returns; only with a `VisionModel`.
    labels
        The right classes, `(N,)`. Without them, those that the images or the predictions carry.
    logits
        `(N,C)`, in place of a model, with `labels`.
    bins
        How many bins.
    temperature
        Logits are divided by it before the softmax.
    resamples, seed
        Bootstrap samples over images, behind the 95 % interval of the expected error, and their seed.
    name
        What figures call these logits; the model's own name unless told.

    Returns
    -------
    xarray.Dataset
        Over `bin`, with `lower_edge` and `upper_edge`: `count`, `accuracy` with Wilson's 95 % interval `accuracy_low`,
        `accuracy_high`, and `confidence` (NaN in an empty bin). Scalars `ece`, `ece_low`, `ece_high`, `sece` with
        Student's interval `sece_low`, `sece_high`, `top1`, `mean_confidence`. Every one is a fraction.

    Raises
    ------
    ArgumentError
        If there is not exactly one of a model, predictions and logits, if logits have NaN or the wrong shape, or if
        `bins`, `temperature` or `resamples` is not positive.
    ImageError, LabelError, ModelError
        If the images are not what the model takes, labels are missing, of the wrong length or not classes, or the model
        has no classifier head.

    Notes
    -----
    [kim2024], section on calibration.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> table = vg.reliability(logits=logits, labels=torch.tensor([0, 1, 1, 1]), bins=10)
    >>> round(float(table.ece), 3), round(float(table.sece), 3)
    (0.325, -0.056)
    """
    clock = Stopwatch()
    if not temperature > 0:
        raise ArgumentError(f"temperature is {temperature}; it divides the logits and must be positive.")
    options: dict[str, Any] = {"bins": bins, "temperature": temperature, "resamples": resamples, "seed": seed}
    with kept_as(lambda some: reliability(some, name=name, **options)):
        seen = labelled_logits(model, images, labels, logits)
    confidence = (seen.logits / temperature).softmax(1).amax(1)
    correct = (seen.logits.argmax(1) == seen.labels).double()
    table = in_bins(confidence, correct, bins)
    gap = correct - confidence
    ece = absolute_sums(gap.numpy(), table.which.numpy(), bins, resamples, seed)
    accuracy = wilson(table.accuracy * table.size, table.size)
    dataset = measurement(
        {
            "count": Variable(["bin"], table.size, "1", "number of images"),
            **accuracy.variables("accuracy", "1", "accuracy", ["bin"]),
            "confidence": Variable(["bin"], table.confidence, "1", "mean confidence"),
            **ece._replace(high=np.minimum(ece.high, 1.0)).variables("ece", "1", "expected calibration error"),
            **mean_interval(gap).variables("sece", "1", "signed calibration error, accuracy minus mean confidence"),
            "top1": Variable([], float(correct.mean()), "1", "accuracy"),
            "mean_confidence": Variable([], float(confidence.mean()), "1", "mean confidence"),
        },
        coords={
            "lower_edge": Variable(["bin"], bin_edges(bins)[:-1], "1", "lower edge of the bin (excluded)"),
            "upper_edge": Variable(["bin"], bin_edges(bins)[1:], "1", "upper edge of the bin (included)"),
        },
        model=seen.model,
        seed=seed,
        seconds=clock.seconds,
        images=len(gap),
        skipped=seen.skipped,
        bins=bins,
        temperature=temperature,
        resamples=resamples,
    )
    if name is not None:
        dataset.attrs["model"] = name
    return dataset
