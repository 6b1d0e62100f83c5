"""Measurements as a sweep takes them, where the public function gives no dataset, or not all that a run should say."""

from __future__ import annotations

from typing import Any

import xarray as xr

from ..core.measurement import Stopwatch, Variable, measurement
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
