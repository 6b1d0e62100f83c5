"""What a network says all along the FGSM path of an image, from the image itself and after a random jump."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import xarray as xr

from .batching import in_batches
from .boundary import walk
from .crossing import Search, moved, outcome_names
from .errors import ArgumentError
from .jump import PATHS, jump_noise
from .measurement import Stopwatch, Variable, measurement
from .predictions import checked, class_words
from .vision_model import VisionModel

EPSILONS = tuple(k / 1000 for k in range(21))


def fgsm_path(
    model: VisionModel,
    images: Any,
    labels: Any = None,
    epsilons: Sequence[float] = EPSILONS,
    size: float = 0.05,
    seed: int = 0,
    epsilon_max: float = 0.1,
    grid: int = 100,
    tolerance: float = 1e-4,
    batch: int | None = None,
) -> xr.Dataset:
    r"""Class probabilities along the FGSM path of each image, with and without a random jump before it.

    .. math:: p(\epsilon) = \mathrm{softmax}\, z(x + \epsilon d), \qquad
              p_r(\epsilon) = \mathrm{softmax}\, z(x + r u + \epsilon d_r)

    Directions, jump and crossings are those of `random_jump`: the same seed gives the same ones.

    Parameters
    ----------
    model
        A model with a classifier head.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns.
    labels
        The classes to leave, `(B,)`. Without them, the labels that `images` carry.
    epsilons
        Where on the path to look, rms per pixel, increasing from 0 or more.
    size, seed
        Of the jump, rms per pixel.
    epsilon_max, grid, tolerance, batch
        Of the search for the crossing, as for `travel_distance`.

    Returns
    -------
    xarray.Dataset
        Over `path` (`"direct"`, `"jumped"`): `probability(image, path, step, class)`, `origin(image, path, channel, y,
        x)` and `direction`, from which the picture at each `epsilon(step)` is `origin + epsilon direction`, not
        clamped; `crossing(image, path)` in rms per pixel, NaN unless `outcome(image, path)` is `"crossed"`;
        `label(image)` and `name(class)`.

    Raises
    ------
    ImageError, LabelError, ModelError
        If the images are not what the model takes, labels are missing or not classes, or there is no head.
    ArgumentError
        If epsilons are not increasing, a size is not positive, or the search has nothing to search.

    References
    ----------
    [kim2024], section on the random jump.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    >>> net[1].weight.data, net[1].bias.data = torch.stack([torch.ones(12), -torch.ones(12)]), torch.zeros(2)
    >>> model = vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=2, logits=lambda m, x: m(x))
    >>> path = vg.fgsm_path(model, torch.full((1, 3, 2, 2), 0.05), torch.tensor([0]), epsilons=(0, 0.05, 0.1))
    >>> [round(float(p), 2) for p in path.probability[0, 0, :, 0]]  # the logits meet where epsilon is 0.05
    [0.77, 0.5, 0.23]
    """
    clock = Stopwatch()
    search = Search.make(epsilon_max, grid, tolerance, False, model.batch_size(batch))
    at = torch.as_tensor(epsilons, dtype=torch.float64)
    if at.ndim != 1 or not len(at) or not bool((at >= 0).all() & at.isfinite().all() & (at.diff() > 0).all()):
        raise ArgumentError("epsilons must be finite and increasing from 0 or more, such as (0, 0.01, 0.02).")
    if not size > 0:
        raise ArgumentError(f"size is {size}; a jump has a positive one.")
    pixels, labels = checked(model, images, labels)
    landed = moved(pixels, jump_noise(pixels, seed), torch.full((len(pixels),), size), False)
    origins, directions, ways, said = torch.stack([pixels, landed], 1), [], [], []
    for start in (pixels, landed):
        direction, way = walk(model, start, labels, search, "FGSM path")
        points = start[:, None] + at.to(start).view(1, -1, 1, 1, 1) * direction[:, None]
        with torch.no_grad():
            p = in_batches(lambda x: model.logits(x).double().softmax(1), points.flatten(0, 1), size=search.batch)
        said.append(p.unflatten(0, points.shape[:2]))
        directions.append(direction)
        ways.append(way)
    over, picture = ("image", "path"), ("channel", "y", "x")
    outcome = torch.stack([way.outcome for way in ways], 1)
    crossing = torch.stack([way.epsilon for way in ways], 1)
    every = torch.arange(said[0].shape[-1])
    return measurement(
        {
            "probability": Variable((*over, "step", "class"), torch.stack(said, 1), "1", "softmax probability"),
            "origin": Variable((*over, *picture), origins, "1", "where the path starts, pixel values"),
            "direction": Variable((*over, *picture), torch.stack(directions, 1), "1", "sign of the gradient"),
            "crossing": Variable(over, crossing, "rms per pixel", "travel distance"),
            "outcome": Variable(over, outcome_names(outcome), "1", "outcome of the search"),
            "label": Variable(("image",), labels, "1", "class to leave"),
            "name": Variable(("class",), class_words(model, every), "1", "name of the class"),
        },
        coords={
            "path": Variable(("path",), list(PATHS), "1", "where the way starts"),
            "epsilon": Variable(("step",), at, "rms per pixel", "distance along the path"),
        },
        model=model,
        seed=seed,
        seconds=clock.seconds,
        size=size,
        epsilon_max=epsilon_max,
        grid=grid,
        tolerance=tolerance,
    )
