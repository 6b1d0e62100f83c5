"""How like the embeddings of one class are, beside those of different classes, image by image."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
import xarray as xr

from ..core.arguments import checked
from ..core.labels import check_labels
from ..core.measurement import Stopwatch, Variable, measurement
from ..errors import ArgumentError
from ..networks.vision_model import VisionModel

AT_ONCE = 512  # images compared with all others at a time: bounds the memory
MOST_CLASSES = 1_000_000  # labels need not be classes that the network knows: its head is not asked


@checked
def class_cosines(model: VisionModel, images: Any, labels: Any = None) -> xr.Dataset:
    r"""Cosines of the embedding of each image to those of its own class, and to those of other classes.

    .. math:: w_i = \operatorname{mean}_{j \ne i,\, y_j = y_i} c_{ij}, \qquad
              b_i = \operatorname{mean}_{y_j \ne y_i} c_{ij}, \qquad
              o_i = \operatorname{mean}_{j \ne i,\, y_j = y_i} [ c_{ij} < m_i ], \quad
              m_i = \operatorname{median}_{y_k \ne y_i} c_{ik},

    with `c_ij` the cosine of the embeddings of images i and j. The share `o_i` asks how often an image of the own class
    lies farther than the middle one of the others: 0 where a class stands apart, 1/2 where embeddings know no classes.
    All images are compared with all others, so the numbers belong to this set of images.

    Parameters
    ----------
    model
        The network.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns: several images of each of several classes.
    labels
        The classes, `(B,)`. Without them, the labels that `images` carry.

    Returns
    -------
    xarray.Dataset
        Over `image`: `within`, the mean cosine to the other images of its class, and `within_lowest`, the lowest (both
        NaN for the only image of a class); `between`, the mean cosine to images of other classes, and `between_median`;
        `overtaken`, o; `label`, and `companions`, how many other images of its class there are.

    Raises
    ------
    ImageError, LabelError
        If the images are not what the model takes, or labels are missing or not as many.
    ArgumentError
        If all images are of one class, or no class has two.

    References
    ----------
    [salman2024], semantically related images with unlike embeddings; the share is ours.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2, bias=False))
    >>> net[1].weight.data = torch.zeros(2, 12)
    >>> net[1].weight.data[0, 0], net[1].weight.data[1, 1] = 1, 1  # the first two pixels
    >>> model = vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=2)
    >>> images = torch.zeros(3, 3, 2, 2)
    >>> images[0, 0, 0, 0] = images[1, 0, 0, 0] = images[2, 0, 0, 1] = 1.0
    >>> cosines = vg.class_cosines(model, images, torch.tensor([0, 0, 1]))
    >>> cosines.within.values[:2].tolist(), cosines.between.values[:2].tolist()
    ([1.0, 1.0], [0.0, 0.0])
    """
    watch = Stopwatch()
    pixels = model.pixels(images)
    own = check_labels(getattr(images, "labels", None) if labels is None else labels, len(pixels), MOST_CLASSES)
    counts = torch.bincount(own)
    if int((counts > 0).sum()) < 2 or int(counts.max()) < 2:
        raise ArgumentError("class_cosines compares classes: pass images of at least two, and two images of one.")
    z = F.normalize(model.embed_in_batches(pixels).double().cpu(), dim=1)
    parts = [
        _compared(z[start : start + AT_ONCE] @ z.T, own[start : start + AT_ONCE], own, start)
        for start in range(0, len(z), AT_ONCE)
    ]
    found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    words = {
        "within": "mean cosine to other images of the class",
        "within_lowest": "lowest cosine to another image of the class",
        "between": "mean cosine to images of other classes",
        "between_median": "median cosine to images of other classes",
        "overtaken": "share of images of the class that are less like than the middle one of the others",
    }
    variables = {name: Variable(["image"], found[name], "1", text) for name, text in words.items()}
    variables["label"] = Variable(["image"], own, "1", "class of the image")
    variables["companions"] = Variable(["image"], counts[own] - 1, "1", "other images of the class")
    return measurement(variables, model=model, seconds=watch.seconds, images=len(z))


def _compared(cosine: torch.Tensor, mine: torch.Tensor, own: torch.Tensor, start: int) -> dict[str, torch.Tensor]:
    """What images `start`, ... contribute, from their cosines `(b,B)` to all images."""
    same = mine[:, None] == own[None]
    other = ~same
    same[torch.arange(len(mine)), start + torch.arange(len(mine))] = False  # an image is no companion of its own
    inside, outside = cosine.where(same, torch.nan), cosine.where(other, torch.nan)
    middle = outside.nanquantile(0.5, dim=1)
    below = (cosine < middle[:, None]).double().where(same, torch.nan)
    lowest = cosine.where(same, torch.inf).amin(1)
    return {
        "within": inside.nanmean(1),
        "within_lowest": lowest.where(lowest.isfinite(), torch.nan),
        "between": outside.nanmean(1),
        "between_median": middle,
        "overtaken": below.nanmean(1),
    }
