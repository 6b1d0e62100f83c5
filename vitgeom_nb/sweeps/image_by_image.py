"""Measurements as a sweep takes them, where the public function gives no dataset, or not all that a run should say."""

from __future__ import annotations

from typing import Any

import torch
import xarray as xr

from ..core.image_similarity import psnr, ssim
from ..core.measurement import Stopwatch, Variable, measurement
from ..equivalence.matching import match
from ..networks.vision_model import VisionModel


def predictions(model: VisionModel, images: Any, labels: Any = None) -> xr.Dataset:
    """What a classifier says of labelled images.

    Parameters
    ----------
    model, images, labels
        A network with a head, `(B,3,H,W)` in [0,1], and their classes, unless the images carry them.

    Returns
    -------
    xarray.Dataset
        Over `image`: `logits(image, class)`, `label`, `predicted`, `correct`, and `confidence`, the largest softmax
        probability.

    Raises
    ------
    ImageError, LabelError, ModelError
        If the images are not what the model takes, labels are missing or not classes, or there is no head.
    """
    watch = Stopwatch()
    pixels, known = model.pixels_and_labels(images, labels)
    logits = model.logits_in_batches(pixels).cpu()
    said = logits.argmax(1)
    per_image = ("image",)
    variables = {
        "logits": Variable(("image", "class"), logits, "1", "logit"),
        "label": Variable(per_image, known, "1", "class of the image"),
        "predicted": Variable(per_image, said, "1", "class that the network says"),
        "correct": Variable(per_image, said == known, "1", "whether it is the right one"),
        "confidence": Variable(per_image, logits.double().softmax(1).amax(1), "1", "largest probability"),
    }
    return measurement(variables, model=model, seconds=watch.seconds)


def matches(
    model: VisionModel,
    source: Any,
    target: Any,
    *,
    method: str = "minimum-change",
    cosine: float = 0.999,
    residual: float = 0.1,
    max_evaluations: int = 1000,
    lr: float | None = None,
) -> xr.Dataset:
    """`match`, and how much the match looks like its target.

    Returns
    -------
    xarray.Dataset
        That of `match`, with `psnr_target(pair)` [dB] and `ssim_target(pair)` of the match against the target, and
        `psnr_pair` [dB] and `ssim_pair` of the source against it.
    """
    found = match(
        model, source, target, method=method, cosine=cosine, residual=residual, max_evaluations=max_evaluations, lr=lr
    )
    at, before, after = (torch.from_numpy(found[name].values) for name in ("target", "source", "matched"))
    for name, image, words in (("target", after, "match"), ("pair", before, "source")):
        for key, measured, units in (("psnr", psnr, "dB"), ("ssim", ssim, "1")):
            text = f"{key.upper()} of the {words} against its target"
            found[f"{key}_{name}"] = ("pair",), measured(image, at).cpu().numpy(), {"units": units, "long_name": text}
    return found
