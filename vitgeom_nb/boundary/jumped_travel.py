"""The random jump: a small random step first, then FGSM from there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from ..bending.image_lines import embeddings_along, turning_angle
from ..core.arguments import checked
from ..core.batching import in_batches
from ..core.image_similarity import psnr
from ..core.measurement import Stopwatch, Variable, measurement
from ..core.random_directions import direction_of, image_keys, rms
from ..errors import ArgumentError, keeping
from ..networks.vision_model import VisionModel
from ..statistics.bootstrap import rank_correlation
from ..statistics.intervals import median_interval
from .label_search import ALREADY_WRONG, CROSSED, Search, Travel, beyond, moved, outcome_names
from .travel import Way

PATHS = ("direct", "jumped")
JUMP = -1  # number of the direction of a jump; those of lines count from 0


def jump_noise(pixels: torch.Tensor, seed: int) -> torch.Tensor:
    """One random direction an image, `(B,3,H,W)`, each of root-mean-square 1 per pixel, and none of its lines'.

    It depends on the seed and the image alone, not on the place in the batch.
    """
    drawn = [direction_of(key, JUMP, pixels[0], seed) for key in image_keys(pixels)]
    return torch.stack(drawn) * math.sqrt(pixels[0].numel())


def both_ways(pixels: torch.Tensor, search: Search, jump: float, seed: int) -> list[Way]:
    """The ways out from images `(B,3,H,W)` and from where a random jump lands them, in the order of `PATHS`.

    Raises
    ------
    ArgumentError
        If the jump has no positive size.
    """
    if not jump > 0:
        raise ArgumentError(f"jump is {jump}; it must have a positive size.")
    landed = moved(pixels, jump_noise(pixels, seed), torch.full((len(pixels),), jump), search.clamp)
    return [Way.begin(start) for start in (pixels, landed)]


def go_both(ways: Sequence[Way], model: VisionModel, labels: torch.Tensor, search: Search) -> None:
    """Go the ways of `both_ways`, one after the other."""
    for way, title in zip(ways, ("travel distance", "travel distance after the jump"), strict=True):
        way.go(model, labels, search, title)


def ended(ways: Sequence[Way]) -> int:
    """How many images have come to the end of one way at least."""
    return max(way.travel.done() for way in ways)


def early_bend(model: VisionModel, way: Way, images: torch.Tensor, steps: int, step: float) -> torch.Tensor:
    """Mean direction change in rad `(K,)` over the first `steps` steps of the ways of some `images` `(K,)`."""
    distances = torch.arange(steps + 1, dtype=torch.float64) * step

    def bend(image: torch.Tensor) -> torch.Tensor:
        moves = embeddings_along(model, way.start[image], way.direction[image], distances, image).diff(dim=1)
        return turning_angle(moves[:, 1:], moves[:, :-1]).mean(1)

    return in_batches(bend, images.to(way.start.device), size=max(1, model.batch_size // (steps + 1))).cpu()


@checked
def random_jump(
    model: VisionModel,
    images: Any,
    labels: Any = None,
    *,
    jump: float = 0.05,
    seed: int = 0,
    epsilon_max: float = 0.1,
    grid: int = 100,
    tolerance: float = 1e-4,
    clamp: bool = False,
    pictures: bool = False,
    early_steps: int = 5,
    early_step: float = 1e-3,
    resamples: int = 1000,
) -> xr.Dataset:
    r"""Travel distance from the image, and from a point a small random jump away from it.

    .. math:: x_r = x + r u, \qquad \mathrm{rms}(u) = 1, \qquad d_r = \mathrm{sign}\, \nabla_x L(x_r, y), \qquad
              \epsilon_r = \min \{ \epsilon : \arg\max_j z_j(x_r + \epsilon d_r) \ne y \}

    with a random u for every image. The jump alone changes an image by exactly r per pixel, which for r = 0.05 is
    a peak signal-to-noise ratio of 26.02 dB (before clamping).

    Parameters
    ----------
    model
        A model with a classifier head.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns.
    labels
        The classes to leave, `(B,)`. Without them, the labels that `images` carry.
    jump
        r, root-mean-square per pixel.
    seed
        Seed of the jumps and of the bootstrap behind the rank correlations. A jump depends on it and on the image, not
        on the batch.
    epsilon_max, grid, tolerance, clamp, pictures, resamples
        As for `travel_distance`. With `clamp` the jumped image is clamped too.
    early_steps, early_step
        How many steps of which size, in pixel values, the direction change at the beginning of each way is averaged
        over.

    Returns
    -------
    xarray.Dataset
        Over `image` and `path` (`"direct"`, `"jumped"`): `epsilon` from where the path starts, `outcome`,
        `label_reached` (its name: `name_reached`) as for `travel_distance`; `total`, the rms of the whole change, jump
        included, and its `psnr` in dB, NaN unless crossed or pushed over by the jump itself; `direction_change` in
        rad, NaN where the way starts wrong. Over `image`: `psnr_jump` in dB,
        `confidence`, `label` (its name: `name`); `change`, epsilon with the jump minus epsilon without, over the
        images that start right: one that the jump itself pushes over is at distance 0 there, one never wrong at
        infinity, and if it is never wrong on both ways the change is NaN; `bend_change`, the same of the direction
        change, NaN unless both have one. Scalars, each with the ends `_low`, `_high`
        of a 95 % interval: `median_change`; `median_bend_change`; for the direct path over the images that
        start right, `rank_correlation` (Spearman) of confidence and distance, and `bend_correlation` of direction
        change and distance.
        With `pictures`, `pixels(image, channel, y, x)`, `jumped`, the image after the jump, and
        `moved(image, path, channel, y, x)`, where each way ended.

    Raises
    ------
    ImageError, LabelError, ModelError
        If the images are not what the model takes, labels are missing or not classes, or there is no head.
    ArgumentError
        If a size is not positive or the search has nothing to search.
    Interrupted
        If someone stops it once an outcome is known; `finished` then has `"not finished"` for the other ways, as for
        `travel_distance`, and NaN for direction changes that were not measured.

    References
    ----------
    [kim2024], section on the random jump.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> from vitgeom_nb.foundations import sum_model
    >>> model = sum_model()
    >>> ways = vg.random_jump(model, torch.full((1, 3, 2, 2), 0.05), torch.tensor([0]))
    >>> round(float(ways.psnr_jump[0]), 2)
    26.02
    """
    clock = Stopwatch()
    search = Search.make(epsilon_max, grid, tolerance, clamp)
    if not early_step > 0:
        raise ArgumentError(f"early_step is {early_step}; it must have a positive size.")
    if early_steps < 2:
        raise ArgumentError(f"early_steps is {early_steps}; an angle needs at least two.")
    pixels, labels = model.pixels_and_labels(images, labels)
    ways = both_ways(pixels, search, jump, seed)
    landed = ways[1].start
    bends = [torch.full((len(pixels),), torch.nan, dtype=pixels.dtype) for _ in ways]

    def result() -> xr.Dataset:
        travels, ends = [way.travel.on_host() for way in ways], [way.end(search.clamp) for way in ways]
        both = Travel(*(torch.stack(parts, 1) for parts in zip(*travels, strict=True)))
        crossed = both.outcome == CROSSED
        pushed = (both.outcome == torch.tensor([-1, ALREADY_WRONG])) & (both.outcome[:, :1] != ALREADY_WRONG)
        arrived = crossed | pushed
        total = torch.stack([rms((end - pixels).double()).cpu() for end in ends], 1)
        quality = torch.stack([psnr(pixels, end) for end in ends], 1)
        outcome, bend = outcome_names(both.outcome), torch.stack(bends, 1)
        confidence, distance = travels[0].confidence, beyond(both.epsilon[:, 0], outcome[:, 0])
        with np.errstate(invalid="ignore"):  # of what is at infinity on both ways
            change = beyond(both.epsilon[:, 1], outcome[:, 1], already=0.0) - distance
        bend_change = bend.diff(dim=1)[:, 0].double()
        either = (confidence, bend[:, 0].double())
        by_confidence, by_bend = (rank_correlation(v, distance, resamples, seed) for v in either)
        over = ["image", "path"]
        variables = {
            "epsilon": Variable(over, both.epsilon, "pixel", "travel distance"),
            "outcome": Variable(over, outcome, "1", "outcome of the search"),
            "label_reached": Variable(over, both.reached, "1", "class where the way ended"),
            "name_reached": Variable(over, model.class_name(both.reached), "1", "its name"),
            "name": Variable(["image"], model.class_name(labels), "1", "name of the class to leave"),
            "total": Variable(over, torch.where(arrived, total, torch.nan), "pixel", "whole change of the image"),
            "psnr": Variable(over, torch.where(arrived, quality, torch.nan), "dB", "peak signal-to-noise ratio"),
            "direction_change": Variable(over, bend, "rad", "mean direction change at the beginning of the way"),
            "psnr_jump": Variable(
                ["image"], psnr(pixels, landed), "dB", "peak signal-to-noise ratio of the jump alone"
            ),
            "confidence": Variable(["image"], confidence, "1", "confidence at the image"),
            "label": Variable(["image"], labels, "1", "class to leave"),
            "change": Variable(["image"], change, "pixel", "change of the travel distance by the jump"),
            "bend_change": Variable(["image"], bend_change, "rad", "change of the direction change by the jump"),
            **median_interval(change).variables(
                "median_change", "pixel", "median change of the travel distance by the jump"
            ),
            **median_interval(bend_change).variables(
                "median_bend_change", "rad", "median change of the direction change by the jump"
            ),
            **by_confidence.variables("rank_correlation", "1", "rank correlation of confidence and travel distance"),
            **by_bend.variables("bend_correlation", "1", "rank correlation of direction change and travel distance"),
        }
        coords = {"path": Variable(["path"], list(PATHS), "1", "where the way starts")}
        if pictures:
            picture = ["channel", "y", "x"]
            variables["pixels"] = Variable(["image", *picture], pixels, "pixel", "the image, pixels in [0, 1]")
            variables["jumped"] = Variable(["image", *picture], landed, "pixel", "the image after the jump")
            variables["moved"] = Variable(
                [*over, *picture], torch.stack(ends, 1), "pixel", "the image where the way ended"
            )
        settings = {
            "jump": jump,
            "epsilon_max": epsilon_max,
            "grid": grid,
            "tolerance": both.tolerance(tolerance),
            "clamp": clamp,
        }
        settings |= {
            "images": len(pixels),
            "early_steps": early_steps,
            "early_step": early_step,
            "resamples": resamples,
        }
        return measurement(variables, coords=coords, model=model, seed=seed, seconds=clock.seconds, **settings)

    with keeping(result, lambda: ended(ways), len(pixels), "images"):
        go_both(ways, model, labels, search)
        for way, bend in zip(ways, bends, strict=True):
            right = (way.travel.outcome.cpu() != ALREADY_WRONG).nonzero()[:, 0]
            if len(right):
                bend[right] = early_bend(model, way, right, early_steps, early_step)
    return result()
