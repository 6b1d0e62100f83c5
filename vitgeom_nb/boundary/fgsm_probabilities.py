"""What a network says all along the FGSM path of an image, from the image itself and after a random jump."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import xarray as xr

from ..core.arguments import checked
from ..core.measurement import Stopwatch, Variable, measurement
from ..errors import ArgumentError, keeping
from ..networks.vision_model import VisionModel
from .jumped_travel import PATHS, both_ways, ended, go_both
from .label_search import Search, outcome_names
from .travel import Way

LENGTHS = tuple(k / 1000 for k in range(21))


@checked
def fgsm_path(
    model: VisionModel,
    images: Any,
    labels: Any = None,
    *,
    lengths: Sequence[float] = LENGTHS,
    jump: float = 0.05,
    seed: int = 0,
    epsilon_max: float = 0.1,
    grid: int = 100,
    tolerance: float = 1e-4,
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
    lengths
        Where on the path to look, in pixel values, increasing from 0 or more.
    jump, seed
        Size of the jump, rms per pixel, and its seed.
    epsilon_max, grid, tolerance
        Of the search for the crossing, as for `travel_distance`.

    Returns
    -------
    xarray.Dataset
        `pixels(image, channel, y, x)`. Over `path` (`"direct"`, `"jumped"`): `probability(image, path, step, class)`,
        `start(image, path, channel, y, x)` and `direction`, from which the picture at each `epsilon(step)` is `start +
        epsilon direction`, not clamped; `crossing(image, path)` in pixel values, NaN unless `outcome(image, path)` is
        `"crossed"`; `label(image)` and `name(class)`.

    Raises
    ------
    ImageError, LabelError, ModelError
        If the images are not what the model takes, labels are missing or not classes, or there is no head.
    ArgumentError
        If lengths are not increasing, a size is not positive, or the search has nothing to search.
    Interrupted
        If someone stops it once an outcome is known; `finished` then has `"not finished"` for the other ways, and NaN
        for probabilities that were not computed.

    References
    ----------
    [kim2024], section on the random jump.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> from vitgeom_nb.foundations import sum_model
    >>> model = sum_model()
    >>> path = vg.fgsm_path(model, torch.full((1, 3, 2, 2), 0.05), torch.tensor([0]), lengths=(0, 0.05, 0.1))
    >>> [round(float(p), 2) for p in path.probability[0, 0, :, 0]]  # the logits meet where epsilon is 0.05
    [0.77, 0.5, 0.23]
    """
    clock = Stopwatch()
    search = Search.make(epsilon_max, grid, tolerance, False)
    at = torch.as_tensor(lengths, dtype=torch.float64)
    if at.ndim != 1 or not len(at) or not bool((at >= 0).all() & at.isfinite().all() & (at.diff() > 0).all()):
        raise ArgumentError("lengths must be finite and increasing from 0 or more, such as (0, 0.01, 0.02).")
    pixels, labels = model.pixels_and_labels(images, labels)
    ways = both_ways(pixels, search, jump, seed)
    classes = model.logits_in_batches(pixels[:1]).shape[1]
    said = torch.full((len(pixels), len(ways), len(at), classes), torch.nan, dtype=torch.float64)

    def result() -> xr.Dataset:
        return _told(
            model,
            ways,
            said,
            labels,
            at,
            clock,
            seed,
            jump=jump,
            epsilon_max=epsilon_max,
            grid=grid,
            tolerance=tolerance,
        )

    with keeping(result, lambda: ended(ways), len(pixels), "images"):
        go_both(ways, model, labels, search)
        some = max(1, model.batch_size // len(at))
        for first in range(0, len(pixels), some):
            for path, way in enumerate(ways):
                start, direction = (part[first : first + some, None] for part in way[:2])
                points = start + at.to(start).view(1, -1, 1, 1, 1) * direction
                image = torch.arange(first, first + len(points)).repeat_interleave(len(at))
                logits = model.logits_in_batches(points.flatten(0, 1), "the way of image", image).cpu().double()
                said[first : first + some, path] = logits.softmax(1).unflatten(0, points.shape[:2])
    return result()


def _told(
    model: VisionModel,
    ways: Sequence[Way],
    said: torch.Tensor,
    labels: torch.Tensor,
    at: torch.Tensor,
    clock: Stopwatch,
    seed: int,
    **settings: float,
) -> xr.Dataset:
    """The measurement of probabilities `(B,path,step,class)` along ways."""
    travels = [way.travel.on_host() for way in ways]
    starts, directions = (torch.stack(part, 1) for part in ([w.start for w in ways], [w.direction for w in ways]))
    over, picture = ("image", "path"), ("channel", "y", "x")
    outcome = torch.stack([travel.outcome for travel in travels], 1)
    crossing = torch.stack([travel.epsilon for travel in travels], 1)
    settings["tolerance"] = max(travel.tolerance(settings["tolerance"]) for travel in travels)
    every = torch.arange(said.shape[-1])
    return measurement(
        {
            "probability": Variable((*over, "step", "class"), said, "1", "softmax probability"),
            "pixels": Variable(("image", *picture), ways[0].start, "pixel", "the image, pixels in [0, 1]"),
            "start": Variable((*over, *picture), starts, "pixel", "where the path starts, pixel values"),
            "direction": Variable((*over, *picture), directions, "1", "sign of the gradient"),
            "crossing": Variable(over, crossing, "pixel", "travel distance"),
            "outcome": Variable(over, outcome_names(outcome), "1", "outcome of the search"),
            "label": Variable(("image",), labels, "1", "class to leave"),
            "name": Variable(("class",), model.class_name(every), "1", "name of the class"),
        },
        coords={
            "path": Variable(("path",), list(PATHS), "1", "where the way starts"),
            "epsilon": Variable(("step",), at, "pixel", "distance along the path"),
        },
        model=model,
        seed=seed,
        seconds=clock.seconds,
        **settings,
    )
