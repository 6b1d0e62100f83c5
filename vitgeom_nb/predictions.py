"""What a classifier says of images: labels, confidence, names."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .batching import in_batches
from .images import check_labels
from .models import VisionModel


def own_labels(model: VisionModel, images: Any, batch: int = 250) -> torch.Tensor:
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
        Images at once.

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
    return labels_at(model, model.pixels(images), batch)


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
