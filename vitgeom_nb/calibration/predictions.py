"""What a classifier says of images: logits, labels, confidence, names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..core.arguments import checked
from ..core.labels import check_class_names, check_labels
from ..core.progress import tqdm
from ..core.provenance import Origin, known
from ..core.whole_files import reading
from ..data.labelled import labelled
from ..data.registry import has_labelled
from ..data.samples import samples
from ..errors import DataError, LabelError, ModelError, keeping
from ..networks.embedded import FAMILIES, MEAN, REPAIR, STD, card, zoo_file
from ..networks.loading import load
from ..networks.vision_model import VisionModel


@dataclass(frozen=True)
class Predictions:
    """Logits `(N,C)` of a network, the labels `(N,)`, where they come from, and how many damaged images lack.

    `model` is what is known of the network, and `images` of what it saw; measurements of these predictions record both.
    """

    logits: torch.Tensor
    labels: torch.Tensor
    source: str
    skipped: int = 0
    model: Origin = field(default_factory=Origin)
    images: Mapping[str, Any] = field(default_factory=dict)


@checked
def recorded_predictions(name: str) -> Predictions:
    """Logits of an embedded model on the 10,000 Tiny-ImageNet validation images, written when it was trained.

    Raises
    ------
    ModelError
        If there is no embedded model of that name.
    DataError
        If the file of its predictions is missing or damaged.
    """
    if name not in FAMILIES:
        raise ModelError(f"There are no recorded predictions of {name!r}; there are {', '.join(FAMILIES)}.")
    path = zoo_file(f"{name}.predictions.npz")
    with reading(path, DataError, REPAIR), path.open("rb") as file, np.load(file) as stored:
        logits, labels = stored["logits"].astype(np.float32), stored["labels"].astype(np.int64)
    info = card(name)
    kept = {"mean": list(MEAN), "std": list(STD), "size": [info["input_size"]] * 2}
    origin = {"repository": "vitgeom_nb/networks/embedded", "revision": info["date"], "file": path.name}
    return Predictions(
        torch.from_numpy(logits),
        torch.from_numpy(labels),
        f"predictions recorded with the embedded model {name}",
        model=Origin(name, "embedding", "all", info["sha256"], kept, origin, dtype="float32", float32_products="ieee"),
        images={"source": f"the {len(labels)} validation images of Tiny-ImageNet"},
    )


@checked
def predict(model: VisionModel, images: Any) -> Predictions:
    """Logits of a model on labelled images, a batch at a time.

    Parameters
    ----------
    model
        A model with a classifier head.
    images
        What `samples()` or `labelled()` returns, with labels of the model's classes. Those of `labelled()` are decoded
        as they are needed; damaged ones are left out and counted.

    Raises
    ------
    ImageError, LabelError, ModelError
        If the images are not what the model takes, have no labels, or it has no classifier head.
    """
    if not hasattr(images, "labels") or callable(images.labels):
        model.pixels(images)
        raise LabelError("predict() takes images with labels, as samples() or labelled() return them.")
    check_class_names(images, model.classes, model.name)
    parts: list[torch.Tensor] = []
    labels: list[torch.Tensor] = []
    skipped, size = 0, model.batch_size
    some_at_a_time = (images[start : start + size] for start in range(0, max(1, len(images)), size))
    batches = images.batches(size) if hasattr(images, "batches") else some_at_a_time

    def result() -> Predictions:
        logits, truth = torch.cat(parts), torch.cat(labels)
        return Predictions(logits, truth, images.source, skipped, Origin.of(model), known(images))

    with (
        keeping(result, lambda: sum(map(len, labels)), len(images), "images"),
        tqdm(total=len(images), desc=f"{model.name} looks", unit=" images", leave=False) as bar,
    ):
        for some in batches:
            logits = model.logits_in_batches(model.pixels(some), first=sum(map(len, labels))).cpu()
            label = check_labels(some.labels, *logits.shape)
            parts.append(logits)
            labels.append(label)
            skipped += len(some.skipped)
            bar.update(len(some))
    return result()


@checked
def validation_predictions(name: str, n: int = 5000, seed: int = 0) -> Predictions:
    """Logits of a network on its validation images, and their labels.

    Those of an embedded network were recorded when its training ended, on all 10,000 images of Tiny-ImageNet. A
    published one is run on `n` of ImageNet's 50,000, drawn with `seed` and prepared as its checkpoint says; where
    ImageNet is not here, on the 20 samples.

    Raises
    ------
    ModelError
        If there is no model of that name, or it has no classifier.
    """
    if name in FAMILIES:
        return recorded_predictions(name)
    model = load(name)
    if not has_labelled("imagenet", "valid"):
        return predict(model, samples("imagenet", size=model.size))
    return predict(model, labelled("imagenet", "valid", n, transform=model.preprocess, seed=seed))
