"""How the embedding turns while the image moves along a straight line: direction change and curvature."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr

from .batching import in_batches
from .errors import ArgumentError
from .lines import Lines, embeddings_along, in_dtype, turning_angle
from .measurement import Stopwatch, Variable, measurement
from .models import VisionModel

FLOOR_POINTS = 9  # on one line of each image; rounding hardly depends on where on the line
NOISY = 0.2  # rounding that is this part of an angle moves it by about two per cent, for the two add in quadrature


def direction_change(
    model: VisionModel,
    images: Any,
    directions: int | torch.Tensor = 1000,
    steps: int = 50,
    epsilon: float = 0.05,
    seed: int = 0,
    batch: int = 256,
) -> xr.Dataset:
    r"""Angles at which the embedding turns while the image takes equal steps along a straight line.

    .. math:: x_k = x + \tfrac{k}{N}\,\epsilon\, d, \qquad
              \theta_k = \angle\bigl(f(x_{k+1}) - f(x_k),\ f(x_k) - f(x_{k-1})\bigr), \qquad k = 1, \dots, N-1

    for random directions d of root-mean-square 1 per pixel, the same ones for every image. Images are not clipped
    to [0,1] along the way: a clipped line is not straight.

    Parameters
    ----------
    model
        What embeds; the angles are computed in its precision.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns.
    directions
        How many random directions, or the directions themselves as `(B,M,3,H,W)` (`(1,M,3,H,W)` to share them);
        those are scaled to root-mean-square 1.
    steps
        N, the number of equal steps; there are N - 1 angles.
    epsilon
        Length of the whole way, root-mean-square per pixel.
    seed
        Seed of the random directions.
    batch
        Images embedded at once, halved when they do not fit.

    Returns
    -------
    xarray.Dataset
        `angle(image, direction, step)` in rad, from 0 (straight) to pi; NaN where the embedding stands still.
        `noise_floor(image)` in rad: the angle that rounding alone would give a straight line, measured at the
        beginning of the first line of each image against the same network in float64. The coordinate `distance(step)`
        is the rms change at x_k. The attribute `precision` says whether the angles mean something at this step.

    Raises
    ------
    ArgumentError
        If there are fewer than two steps, no directions, or `epsilon` is not positive.
    ImageError
        If the images are not what the model takes.

    References
    ----------
    [kim2024], the section on the curved representation space.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5), torch.nn.Tanh())
    >>> model = vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=4, dtype=torch.float64)
    >>> bend = vg.direction_change(model, torch.full((2, 3, 4, 4), 0.5), directions=3, steps=5)
    >>> dict(bend["angle"].sizes)
    {'image': 2, 'direction': 3, 'step': 4}
    """
    watch = Stopwatch()
    if steps < 2:
        raise ArgumentError(f"steps is {steps}; an angle needs at least two.")
    if not (np.isfinite(epsilon) and epsilon > 0):
        raise ArgumentError(f"epsilon is {epsilon}; the way must have a positive length.")
    lines = Lines.make(model, images, directions, seed)
    distances = torch.arange(steps + 1, dtype=torch.float64) * (epsilon / steps)

    def angles(image: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        moves = embeddings_along(model, *lines.start(image, direction), distances, batch).diff(dim=1)
        return turning_angle(moves[:, 1:], moves[:, :-1])

    angle = in_batches(angles, *lines.each(), size=max(1, batch // (steps + 1)), progress="direction change")
    angle = angle.unflatten(0, lines.shape)
    floor = noise_floor(model, lines, distances[:FLOOR_POINTS], batch)
    result = measurement(
        {
            "angle": Variable(("image", "direction", "step"), angle, "rad", "direction change"),
            "noise_floor": Variable(("image",), floor, "rad", "direction change of a straight line by rounding"),
        },
        coords={
            "step": Variable(("step",), np.arange(1, steps), "1", "step k"),
            "distance": Variable(("step",), distances[1:-1], "1", "change of the image, rms per pixel"),
        },
        model=model,
        seed=seed,
        seconds=watch.seconds,
        directions=lines.shape[1],
        steps=steps,
        epsilon=epsilon,
        step_size=epsilon / steps,
    )
    result.attrs["precision"] = verdict_on_precision(floor, angle, result.attrs["dtype"])
    return result


def noise_floor(model: VisionModel, lines: Lines, distances: torch.Tensor, batch: int) -> torch.Tensor:
    r"""Angle in rad `(B,)` that rounding alone gives: the second difference of the rounding error over one step.

    The error is measured as float32 minus float64 along the first direction of each image, and scaled to the
    model's own precision.
    """
    first = lines.start(torch.arange(lines.shape[0]), torch.zeros(lines.shape[0], dtype=torch.long))
    single, double = (
        embeddings_along(in_dtype(model, dtype), *first, distances, batch).double()
        for dtype in (torch.float32, torch.float64)
    )
    error = (single - double).diff(n=2, dim=1).norm(dim=-1) / double.diff(dim=1)[:, 1:].norm(dim=-1)
    return error.square().mean(1).sqrt() * (torch.finfo(model.dtype).eps / torch.finfo(torch.float32).eps)


def verdict_on_precision(floor: torch.Tensor, angle: torch.Tensor, dtype: str) -> str:
    """One sentence: do the angles stand clear of what rounding alone would show?"""
    rounding, typical = (float(torch.nanmedian(torch.rad2deg(t))) for t in (floor, angle))
    numbers = f"rounding in {dtype} alone gives {rounding:.2g} degrees, the median angle is {typical:.2g} degrees"
    if rounding <= NOISY * typical:
        return f"ok: {numbers}."
    return f"lost: {numbers}; load the model with dtype=torch.float64 or take longer steps."
