"""The direction of the fast gradient sign method, and one step along it."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import xarray as xr

from ..core.arguments import checked
from ..core.batching import each_batch, kept_in_batches
from ..core.image_similarity import psnr
from ..core.measurement import Stopwatch, Variable, measurement
from ..errors import keeping
from ..networks.vision_model import VisionModel
from .label_search import Start, moved


def depart(model: VisionModel, pixels: torch.Tensor, labels: torch.Tensor) -> Start:
    """`fgsm_direction` at points that need not lie in [0,1], and what the same forward passes say of them."""

    image = torch.arange(len(pixels), device=pixels.device)
    parts = each_batch(partial(_start, model), pixels, labels.to(pixels.device), image, size=model.batch_size)
    return Start(pixels, *(torch.cat(part) for part in zip(*parts, strict=True)))


def _start(
    model: VisionModel, x: torch.Tensor, y: torch.Tensor, image: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Directions, labels and confidences of a batch of the images of these numbers."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        logits = model.logits(x)
        model.finite(logits.detach(), "logits", first=image)
        right = logits.gather(1, y[:, None])[:, 0]
        others = logits.scatter(1, y[:, None], -torch.inf).logsumexp(1)
        gradient = model.finite(torch.autograd.grad((others - right).sum(), x)[0], "gradient", first=image)
    return gradient.sign(), logits.argmax(1), logits.detach().double().softmax(1).amax(1)


@checked
def fgsm_direction(model: VisionModel, images: Any, labels: Any = None) -> torch.Tensor:
    r"""Sign of the input gradient of cross-entropy, the direction of the fast gradient sign method.

    .. math:: d = \mathrm{sign}\, \nabla_x \bigl[ -\log \mathrm{softmax}(z(x))_y \bigr]
                = \mathrm{sign}\, \nabla_x \bigl[ \log \textstyle\sum_{j \ne y} e^{z_j(x)} - z_y(x) \bigr]

    The two gradients differ by the positive factor 1 - softmax(z)_y; the second does not vanish where confidence
    rounds to 1, so that is the one computed.

    Parameters
    ----------
    model
        A model with a classifier head.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns.
    labels
        The classes to move away from, `(B,)`. Without them, the labels that `images` carry.

    Returns
    -------
    torch.Tensor
        `(B,3,H,W)` of -1 and 1, and of 0 where a gradient is exactly zero: its largest entry is 1, and so is its root
        mean square where no entry is 0.

    Raises
    ------
    ImageError, LabelError, ModelError
        If the images are not what the model takes, a label is not a class, or there is no head.
    Interrupted
        If someone stops it; `finished` then has the first images.

    References
    ----------
    Goodfellow et al., arXiv 1412.6572; [kim2024], section on travel distance.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    >>> net[1].weight.data = torch.stack([torch.ones(12), -torch.ones(12)])
    >>> model = vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=2, embed=lambda m, x: m(x), logits=lambda m, x: m(x))
    >>> vg.fgsm_direction(model, torch.rand(1, 3, 2, 2), torch.tensor([0])).unique()
    tensor([-1.])
    """
    pixels, labels = model.pixels_and_labels(images, labels)
    labels, image = labels.to(pixels.device), torch.arange(len(pixels), device=pixels.device)
    return kept_in_batches(lambda *some: _start(model, *some)[0], pixels, labels, image, size=model.batch_size)


@checked
def fgsm_step(
    model: VisionModel,
    images: Any,
    labels: Any = None,
    *,
    epsilon: float = 0.007,
    clamp: bool = False,
) -> xr.Dataset:
    r"""One step of the fast gradient sign method: the image, the sign of the gradient, and their sum.

    .. math:: x' = x + \epsilon\, \mathrm{sign}\, \nabla_x L(x, y)

    Parameters
    ----------
    model
        A model with a classifier head.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns.
    labels
        The classes to move away from, `(B,)`. Without them, the labels that `images` carry.
    epsilon
        Size of the step: the change of every pixel whose gradient is not exactly zero (the maximum norm).
    clamp
        Whether x' is clamped to [0,1].

    Returns
    -------
    xarray.Dataset
        `pixels(image, channel, y, x)`, `direction` (of -1, 0 and 1) and `moved`, their sum; what the network says of
        each `stage`, `"image"`, `"direction"` and `"moved"`, the direction fed to it as (d + 1) / 2:
        `seen(image, stage)`, its `seen_name` and `confidence`; `psnr(image)` in dB, of the change that was made.

    Raises
    ------
    ImageError, LabelError, ModelError
        If the images are not what the model takes, a label is not a class, or there is no head.
    Interrupted
        If someone stops it; `finished` then has the first images.

    References
    ----------
    Goodfellow et al., arXiv 1412.6572, figure 1.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    >>> model = vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=2, embed=lambda m, x: m(x), logits=lambda m, x: m(x))
    >>> step = vg.fgsm_step(model, torch.full((1, 3, 2, 2), 0.5), torch.tensor([0]), epsilon=0.1)
    >>> round(float(step.psnr[0]), 3)
    20.0
    """
    clock = Stopwatch()
    pixels, labels = model.pixels_and_labels(images, labels)
    directions: list[torch.Tensor] = []
    said: list[torch.Tensor] = []

    def shown(x: torch.Tensor, y: torch.Tensor, image: torch.Tensor) -> None:
        direction = _start(model, x, y, image)[0]
        there = moved(x, direction, torch.full((len(x),), epsilon), clamp)
        stages = torch.stack([x, (direction + 1) / 2, there], 1).flatten(0, 1)
        logits = model.logits_in_batches(stages, first=image.repeat_interleave(3)).cpu().double().unflatten(0, (-1, 3))
        directions.append(direction)
        said.append(logits)

    def result() -> xr.Dataset:
        direction, logits = torch.cat(directions), torch.cat(said)
        x = pixels[: len(logits)]
        there = moved(x, direction, torch.full((len(x),), epsilon), clamp)
        seen = logits.argmax(-1)
        over, picture = ["image", "stage"], ["image", "channel", "y", "x"]
        variables = {
            "pixels": Variable(picture, x, "pixel", "the image, pixels in [0, 1]"),
            "direction": Variable(picture, direction, "1", "sign of the gradient"),
            "moved": Variable(picture, there, "pixel", "the moved image"),
            "seen": Variable(over, seen, "1", "label the network gives"),
            "seen_name": Variable(over, model.class_name(seen), "1", "name of the label the network gives"),
            "confidence": Variable(over, logits.softmax(-1).amax(-1), "1", "confidence"),
            "label": Variable(["image"], labels[: len(x)], "1", "class to leave"),
            "psnr": Variable(["image"], psnr(x, there), "dB", "peak signal-to-noise ratio of the change"),
        }
        coords = {"stage": Variable(["stage"], ["image", "direction", "moved"], "1", "what the picture shows")}
        return measurement(variables, coords=coords, model=model, seconds=clock.seconds, epsilon=epsilon, clamp=clamp)

    with keeping(result, lambda: sum(map(len, said)), len(pixels), "images"):
        image = torch.arange(len(pixels), device=pixels.device)
        for _ in each_batch(shown, pixels, labels.to(pixels.device), image, size=model.batch_size):
            pass
    return result()
