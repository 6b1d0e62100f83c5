"""What a classifier says of images: labels, confidence, names."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .batching import in_batches
from .data import Predictions, has_labelled, labelled, recorded_predictions, samples
from .images import check_labels
from .models import load
from .progress import tqdm
from .vision_model import VisionModel
from .zoo.architectures import ARCHITECTURES


@torch.no_grad()
def predict(model: VisionModel, images: Any, batch: int | None = None) -> Predictions:
    """Logits of a model on labelled images, a batch at a time.

    Parameters
    ----------
    model
        A model with a classifier head.
    images
        What `samples()` or `labelled()` returns, with labels of the model's classes. Those of `labelled()` are decoded
        as they are needed; damaged ones are left out and counted.
    batch
        Images at once, halved when they do not fit; what the device is quickest with unless told.

    Raises
    ------
    ImageError, LabelError, ModelError
        If the images are not what the model takes, have no labels, or it has no classifier head.
    """
    parts, labels, skipped, batch = [], [], 0, model.batch_size(batch)
    batches = images.batches(batch) if hasattr(images, "batches") else [images]
    with tqdm(total=len(images), desc=f"{model.name} looks", unit=" images", leave=False) as bar:
        for some in batches:
            logits = in_batches(model.logits, model.pixels(some), size=batch).cpu()
            parts.append(logits)
            labels.append(check_labels(some.labels, *logits.shape))
            skipped += len(some.skipped)
            bar.update(len(some))
    return Predictions(torch.cat(parts), torch.cat(labels), images.source, skipped)


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
    if name in ARCHITECTURES:
        return recorded_predictions(name)
    model = load(name)
    if not has_labelled("imagenet", "valid"):
        return predict(model, samples("imagenet", size=model.size))
    return predict(model, labelled("imagenet", "valid", n, transform=model.preprocess, seed=seed))


def own_labels(model: VisionModel, images: Any, batch: int | None = None) -> torch.Tensor:
    """The model's own label of every image, `argmax logits(x)`: `(B,)` on the host.

    With these in place of true labels no image is wrong at the start, and every distance is that to the boundary
    of the region the image lies in.

    Parameters
    ----------
    model
        A model with a classifier head.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns.
    batch
        Images at once, halved when they do not fit; what the device is quickest with unless told.

    Raises
    ------
    ImageError, ModelError
        If the images are not what the model takes, or it has no classifier head.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    >>> net[1].weight.data, net[1].bias.data = torch.stack([torch.ones(12), -torch.ones(12)]), torch.tensor([0.0, 9.0])
    >>> model = vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=2, logits=lambda m, x: m(x))
    >>> vg.own_labels(model, torch.stack([torch.zeros(3, 2, 2), torch.ones(3, 2, 2)]))
    tensor([1, 0])
    """
    return labels_at(model, model.pixels(images), model.batch_size(batch))


@torch.no_grad()
def labels_at(model: VisionModel, pixels: torch.Tensor, batch: int) -> torch.Tensor:
    """`argmax logits` `(B,)` on the host, of points that need not lie in [0,1]."""
    return in_batches(lambda x: model.logits(x).argmax(1), pixels, size=batch).cpu()


def checked(model: VisionModel, images: Any, labels: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels on the model's device, and the labels: those given, else those the images carry."""
    pixels = model.pixels(images)
    labels = getattr(images, "labels", None) if labels is None else labels
    with torch.no_grad():
        classes = model.logits(pixels[:1]).shape[1]
    return pixels, check_labels(labels, len(pixels), classes)


@torch.no_grad()
def confidence_of(model: VisionModel, pixels: torch.Tensor, batch: int) -> torch.Tensor:
    """Largest softmax probability `(B,)`, in float64 on the host."""
    return in_batches(lambda x: model.logits(x).double().softmax(1).amax(1), pixels, size=batch).cpu()


def class_words(model: VisionModel, labels: torch.Tensor) -> np.ndarray:
    """Names of labels of any shape, or their numbers where the model's classes have no names."""
    numbers = labels.cpu().numpy()
    return np.asarray(model.classes)[numbers] if model.classes else numbers.astype(str)
