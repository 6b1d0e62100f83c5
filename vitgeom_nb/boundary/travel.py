"""How far an image is from another label: the FGSM direction and the travel distance along it."""

from __future__ import annotations

from typing import Any

import torch
import xarray as xr

from .batching import each_batch
from .correlation import rank_correlation
from .crossing import CROSSED, Search, Start, Travel, beyond, moved, outcome_names, travel
from .measurement import Stopwatch, Variable, measurement
from .predictions import checked, class_words, confidence_of, labels_at
from .similarity import psnr
from .vision_model import VisionModel


def depart(model: VisionModel, pixels: torch.Tensor, labels: torch.Tensor, batch: int) -> Start:
    """`fgsm_direction` at points that need not lie in [0,1], and what the same forward passes say of them."""

    def start(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = x.detach().requires_grad_()
        logits = model.logits(x)
        right = logits.gather(1, y[:, None])[:, 0]
        others = logits.scatter(1, y[:, None], -torch.inf).logsumexp(1)
        direction = torch.autograd.grad((others - right).sum(), x)[0].sign()
        return direction, logits.argmax(1), logits.detach().double().softmax(1).amax(1)

    with torch.enable_grad():
        parts = zip(*each_batch(start, pixels, labels.to(pixels.device), size=batch), strict=True)
        return Start(pixels, *(torch.cat(part) for part in parts))


def walk(
    model: VisionModel, start: torch.Tensor, labels: torch.Tensor, search: Search, title: str
) -> tuple[torch.Tensor, Travel]:
    """FGSM directions at points that need not lie in [0,1], zero where the label is wrong already, and the travel."""
    from_there = depart(model, start, labels, search.batch)
    right = (from_there.seen == labels.to(start.device)).view(-1, 1, 1, 1)
    from_there = from_there._replace(direction=from_there.direction * right)
    return from_there.direction, travel(model, from_there, labels, search, title)


def fgsm_direction(model: VisionModel, images: Any, labels: Any = None, batch: int | None = None) -> torch.Tensor:
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
    batch
        Images at once, halved when they do not fit; what the device is quickest with unless told.

    Returns
    -------
    torch.Tensor
        `(B,3,H,W)` of -1 and 1: root-mean-square 1 per pixel. A pixel whose gradient is exactly zero stays 0.

    Raises
    ------
    ImageError, LabelError, ModelError
        If the images are not what the model takes, a label is not a class, or there is no head.

    References
    ----------
    Goodfellow et al., arXiv 1412.6572; [kim2024], section on travel distance.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    >>> net[1].weight.data = torch.stack([torch.ones(12), -torch.ones(12)])
    >>> model = vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=2, logits=lambda m, x: m(x))
    >>> vg.fgsm_direction(model, torch.rand(1, 3, 2, 2), torch.tensor([0])).unique()
    tensor([-1.])
    """
    pixels, labels = checked(model, images, labels)
    return depart(model, pixels, labels, model.batch_size(batch)).direction


def fgsm_step(
    model: VisionModel, images: Any, labels: Any = None, epsilon: float = 0.007, clamp: bool = False
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
        Size of the step, root-mean-square per pixel.
    clamp
        Whether x' is clamped to [0,1].

    Returns
    -------
    xarray.Dataset
        `picture(image, stage, channel, y, x)` for the stages `"image"`, `"direction"` (of -1 and 1) and `"moved"`;
        what the network says of each, the direction fed to it as (d + 1) / 2: `seen(image, stage)`, its
        `seen_name` and `confidence`; `psnr(image)` in dB.

    Raises
    ------
    ImageError, LabelError, ModelError
        If the images are not what the model takes, a label is not a class, or there is no head.

    References
    ----------
    Goodfellow et al., arXiv 1412.6572, figure 1.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    >>> model = vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=2, logits=lambda m, x: m(x))
    >>> step = vg.fgsm_step(model, torch.full((1, 3, 2, 2), 0.5), torch.tensor([0]), epsilon=0.1)
    >>> round(float(step.psnr[0]), 3)
    20.0
    """
    clock = Stopwatch()
    pixels, labels = checked(model, images, labels)
    batch = model.batch_size()
    direction = depart(model, pixels, labels, batch).direction
    there = moved(pixels, direction, torch.full((len(pixels),), epsilon), clamp)
    stages = torch.stack([pixels, direction, there], 1)
    shown = torch.stack([pixels, (direction + 1) / 2, there], 1).flatten(0, 1)
    seen = labels_at(model, shown, batch).view(-1, 3)
    over = ["image", "stage"]
    variables = {
        "picture": Variable([*over, "channel", "y", "x"], stages.float(), "1", "pixel value"),
        "seen": Variable(over, seen, "1", "label the network gives"),
        "seen_name": Variable(over, class_words(model, seen), "1", "name of the label the network gives"),
        "confidence": Variable(over, confidence_of(model, shown, batch).view(-1, 3), "1", "confidence"),
        "label": Variable(["image"], labels, "1", "class to leave"),
        "psnr": Variable(["image"], psnr(pixels, there), "dB", "peak signal-to-noise ratio of the change"),
    }
    coords = {"stage": Variable(["stage"], ["image", "direction", "moved"], "1", "what the picture shows")}
    return measurement(variables, coords=coords, model=model, seconds=clock.seconds, epsilon=epsilon, clamp=clamp)


def travel_distance(
    model: VisionModel,
    images: Any,
    labels: Any = None,
    epsilon_max: float = 0.1,
    grid: int = 100,
    tolerance: float = 1e-4,
    clamp: bool = False,
    pictures: bool = False,
    resamples: int = 1000,
    seed: int = 0,
    batch: int | None = None,
) -> xr.Dataset:
    r"""Travel distance to the decision boundary: how far to go along the FGSM direction until the label changes.

    .. math:: \epsilon^*(x, y) = \min \{ \epsilon \ge 0 : \arg\max_j z_j(x + \epsilon d) \ne y \}

    d is the `fgsm_direction` at x and stays fixed on the way. The label is read at `grid` equally spaced epsilon
    up to `epsilon_max`, then the first bracket is bisected. A wrong region thinner than `epsilon_max / grid` can
    be missed; a finer grid shows whether it was. Batches mix images and steps, so where two classes meet to within
    rounding, the label may depend on what else is in a batch.

    Parameters
    ----------
    model
        A model with a classifier head.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns.
    labels
        The classes to leave, `(B,)`. Without them, the labels that `images` carry; `own_labels(model, images)`
        are the model's.
    epsilon_max, grid, tolerance
        End of the search and width of the final bracket, root-mean-square per pixel, and number of grid steps.
    clamp
        Whether the moved image is clamped to [0,1]. Without it `epsilon` is exactly the size of the change.
    pictures
        Whether to keep the images themselves.
    resamples, seed
        Bootstrap samples behind the interval of the rank correlation, and their seed.
    batch
        Images at once, halved when they do not fit; what the device is quickest with unless told.

    Returns
    -------
    xarray.Dataset
        Over `image`: `epsilon` in rms per pixel, NaN unless crossed; `outcome`: `"crossed"`, `"already wrong"`
        (at epsilon = 0) or `"never wrong"` (up to `epsilon_max`); `confidence` at x; `psnr` of the change in dB;
        `label`, and `label_reached` where the way ended; `evaluations`, the forward passes that an image took: one
        at x with its gradient, one a step of the grid, up to a quarter more where few images leave room in a batch,
        and one a halving. Scalars: `rank_correlation` (Spearman) of confidence and
        distance over the images that start right, those never wrong ranked beyond all others, and its 95 % interval
        `rank_correlation_low`, `rank_correlation_high`. With `pictures`, `picture(image, stage, channel, y, x)`:
        the image and the moved one (the image itself unless crossed).

    Raises
    ------
    ImageError, LabelError, ModelError
        If the images are not what the model takes, labels are missing or not classes, or there is no head.
    ArgumentError
        If `epsilon_max`, `grid` or `tolerance` leaves nothing to search.

    References
    ----------
    [kim2024], section on travel distance to the decision boundary.

    Examples
    --------
    A linear classifier, whose distance is its margin over the 1-norm of the weight difference:

    >>> import torch, vitgeom_nb as vg
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    >>> net[1].weight.data, net[1].bias.data = torch.stack([torch.ones(12), -torch.ones(12)]), torch.zeros(2)
    >>> model = vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=2, logits=lambda m, x: m(x))
    >>> way = vg.travel_distance(model, torch.full((1, 3, 2, 2), 0.05), torch.tensor([0]))
    >>> round(float(way.epsilon[0]), 3), str(way.outcome.values[0])
    (0.05, 'crossed')
    """
    clock = Stopwatch()
    search = Search.make(epsilon_max, grid, tolerance, clamp, model.batch_size(batch))
    pixels, labels = checked(model, images, labels)
    direction, way = walk(model, pixels, labels, search, "travel distance")
    there = moved(pixels, direction, torch.nan_to_num(way.epsilon), clamp)
    crossed = way.outcome == CROSSED
    quality = torch.where(crossed, psnr(pixels, there), torch.nan)
    outcome = outcome_names(way.outcome)
    rank = rank_correlation(way.confidence, beyond(way.epsilon, outcome), resamples, seed)
    variables = {
        "epsilon": Variable(["image"], way.epsilon, "rms per pixel", "travel distance"),
        "outcome": Variable(["image"], outcome, "1", "outcome of the search"),
        "confidence": Variable(["image"], way.confidence, "1", "confidence at the image"),
        "psnr": Variable(["image"], quality, "dB", "peak signal-to-noise ratio of the change"),
        "label": Variable(["image"], labels, "1", "class to leave"),
        "label_reached": Variable(["image"], way.reached, "1", "class where the way ended"),
        "evaluations": Variable(["image"], way.evaluations, "1", "forward passes"),
        **rank_variables("rank_correlation", rank, "confidence and travel distance"),
    }
    coords: dict[str, Any] = {}
    if pictures:
        stages = torch.stack([pixels, there], 1).float()
        variables["picture"] = Variable(["image", "stage", "channel", "y", "x"], stages, "1", "pixel value")
        coords["stage"] = Variable(["stage"], ["image", "moved"], "1", "what the picture shows")
    settings = {"epsilon_max": epsilon_max, "grid": grid, "tolerance": tolerance, "clamp": clamp, "images": len(pixels)}
    return measurement(variables, coords=coords, model=model, seed=seed, seconds=clock.seconds, **settings)


def rank_variables(name: str, values: tuple[float, float, float], of: str) -> dict[str, Variable]:
    """A rank correlation and the ends of its interval as scalars of a measurement."""
    names = {
        name: f"rank correlation of {of}",
        f"{name}_low": f"lower end of the 95 % interval of the rank correlation of {of}",
        f"{name}_high": f"upper end of the 95 % interval of the rank correlation of {of}",
    }
    return {key: Variable([], v, "1", words) for (key, words), v in zip(names.items(), values, strict=True)}
