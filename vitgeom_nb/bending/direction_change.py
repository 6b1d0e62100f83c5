"""How the embedding turns while the image moves along a straight line, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr

from ..core.arguments import checked
from ..core.batching import in_batches
from ..core.measurement import Stopwatch, Variable, measurement
from ..errors import ArgumentError, keeping
from ..networks.vision_model import VisionModel
from .image_lines import Lines, embeddings_along, rounding_along, turning_angle

FLOOR_POINTS = 5  # on one line of each image, in both precisions: they give what sixty give to about a quarter
NOISY = 0.2  # rounding that is this part of an angle moves it by about two per cent, for the two add in quadrature


@checked
def direction_change(
    model: VisionModel,
    images: Any,
    *,
    directions: int = 1000,
    along: torch.Tensor | None = None,
    steps: int = 50,
    epsilon: float = 0.05,
    seed: int = 0,
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
        How many random directions.
    along
        Directions of one's own instead, `(B,M,3,H,W)` or `(1,M,3,H,W)` to share them; scaled to root-mean-square 1.
    steps
        N, the number of equal steps; there are N - 1 angles.
    epsilon
        Length of the whole way, root-mean-square per pixel.
    seed
        Seed of the random directions.

    Returns
    -------
    xarray.Dataset
        `angle(image, direction, step)` in rad, from 0 (straight) to pi; NaN where the embedding stands still.
        `noise_floor(image, direction)` in rad: the angle that rounding alone would give a straight line. The
        rounding error is measured at the beginning of the first line of each image, against the same network in
        float64. The coordinate `distance(step)` is the rms change of the image at x_k. The attribute `precision`
        says whether the angles mean something at this step.

    Raises
    ------
    ArgumentError
        If there are fewer than two steps, no directions, or `epsilon` is not positive.
    ImageError
        If the images are not what the model takes.
    Interrupted
        If someone stops it after the first lines; `finished` then has NaN for the others.

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
    lines = Lines.make(model, images, directions, along, seed)
    distances = torch.arange(steps + 1, dtype=torch.float64) * (epsilon / steps)

    def angles(image: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        moves = embeddings_along(model, *lines.start(image, direction), distances, image).diff(dim=1)
        length = moves.norm(dim=-1).median(dim=1, keepdim=True).values
        return torch.cat([turning_angle(moves[:, 1:], moves[:, :-1]), length], dim=1)

    turns = rounding_along(model, lines, distances[:FLOOR_POINTS]).diff(n=2, dim=1)  # of what would be straight
    each = lines.each()
    found = torch.full((len(each[0]), steps), torch.nan, device=model.device, dtype=model.dtype)

    def result() -> xr.Dataset:
        angle, length = found.unflatten(0, lines.shape).split([steps - 1, 1], dim=-1)
        floor = turns.norm(dim=-1).square().mean(1).sqrt()[:, None] / length[..., 0]
        out = measurement(
            {
                "angle": Variable(("image", "direction", "step"), angle, "rad", "direction change"),
                "noise_floor": Variable(
                    ("image", "direction"), floor, "rad", "direction change of a straight line by rounding"
                ),
            },
            coords={
                "step": Variable(("step",), np.arange(1, steps), "1", "step k"),
                "distance": Variable(("step",), distances[1:-1], "pixel", "change of the image, rms per pixel"),
            },
            model=model,
            seed=seed,
            seconds=watch.seconds,
            directions=lines.shape[1],
            steps=steps,
            epsilon=epsilon,
            step_size=epsilon / steps,
        )
        out.attrs["precision"] = verdict_on_precision(floor, angle, out.attrs["dtype"])
        return out

    def done() -> int:
        return int((~found[:, -1].isnan()).sum())

    with keeping(result, done, len(found), "lines"):
        in_batches(angles, *each, size=max(1, model.batch_size // (steps + 1)), progress="direction change", out=found)
    return result()


def verdict_on_precision(floor: torch.Tensor, angle: torch.Tensor, dtype: str) -> str:
    """One sentence: do the angles stand clear of what rounding alone would show?"""
    rounding, typical = (float(torch.nanmedian(torch.rad2deg(t))) for t in (floor, angle))
    numbers = f"rounding in {dtype} alone gives {rounding:.2g} degrees, the median angle is {typical:.2g} degrees"
    if rounding <= NOISY * typical:
        return f"ok: {numbers}."
    return f"lost: {numbers}; load the model with dtype=torch.float64 or take longer steps."
