"""The one door for what calibration judges: a model and images, predictions, or bare logits."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from ..core.images import Images
from ..core.labels import check_labels
from ..core.provenance import Origin
from ..errors import ArgumentError
from ..networks.vision_model import VisionModel
from .predictions import Predictions, predict


class LabelledLogits(NamedTuple):
    """Logits `(N,C)` in float64 and labels `(N,)`, on the host; the model if there is one, and damaged images."""

    logits: torch.Tensor
    labels: torch.Tensor
    model: VisionModel | Origin | None
    skipped: int


def labelled_logits(
    model: VisionModel | Predictions | None, images: Any, labels: Any, logits: torch.Tensor | Any
) -> LabelledLogits:
    """Checked logits and labels, from a model with images, from predictions, or from `logits`: one of the three.

    Labels are those given, else those that the images or the predictions carry.

    Raises
    ------
    ArgumentError
        If there is none of the three or more than one, or the logits are not finite numbers of shape `(N,C)`.
    ImageError, LabelError, ModelError
        If the images are not what the model takes, labels are missing, of the wrong length or not classes, or the model
        has no classifier head.
    """
    if (model is None) == (logits is None):
        raise ArgumentError("Pass either a model with images, or what predict() returns, or logits=... with labels=...")
    if images is not None and not isinstance(model, VisionModel):
        raise ArgumentError("Images go with a model; predictions and logits have their images behind them.")
    skipped, own = 0, None
    if isinstance(model, VisionModel):
        if images is None:
            raise ArgumentError(f"Pass the images that {model.name} shall look at, too.")
        if labels is not None or not hasattr(images, "batches"):
            pixels, labels = model.pixels_and_labels(images, labels)
            images = Images(pixels, [""] * len(pixels), "", "", labels, skipped=getattr(images, "skipped", ()))
        return labelled_logits(predict(model, images), None, None, None)._replace(model=model)
    elif isinstance(model, Predictions):
        logits, skipped, own = model.logits, model.skipped, model.model
        labels = model.labels if labels is None else labels
    logits = check_logits(logits)
    return LabelledLogits(logits, check_labels(labels, *logits.shape), own, skipped)


def check_logits(logits: Any) -> torch.Tensor:
    """`logits` as an `(N,C)` float64 tensor on the host, every entry finite.

    Raises
    ------
    ArgumentError
        If they are not numbers of that shape, there are none, or some are NaN or infinite.
    """
    try:
        logits = torch.as_tensor(logits).detach().cpu()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise ArgumentError(f"Logits must be floats of shape (N, C), not {type(logits).__name__}.") from None
    if logits.ndim != 2 or logits.shape[1] < 2 or not logits.is_floating_point():
        raise ArgumentError(
            f"Logits must be floats of shape (N, C) with at least two classes, not {logits.dtype} of "
            f"{tuple(logits.shape)}."
        )
    if len(logits) == 0:
        raise ArgumentError("There are no logits; pass those of at least one image.")
    if not bool(torch.isfinite(logits).all()):
        raise ArgumentError("Logits contain NaN or infinite values; leave out the images that cause them.")
    logits = logits.double()
    softened = bool(((logits > 0) & (logits < 1)).any())  # rows of noughts and a one are no softmax of anything
    if softened and bool((logits >= 0).all()) and bool(((logits.sum(1) - 1).abs() < 1e-3).all()):
        raise ArgumentError("The rows of logits sum to one: these are probabilities; pass their logarithms.")
    return logits
