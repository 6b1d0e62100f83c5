"""How the embedding turns while the image moves along a straight line: direction change and curvature."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr

from .batching import in_batches
from .derivatives import all_derivatives
from .errors import ArgumentError, keeping
from .lines import Lines, embeddings_along, turning_angle
from .measurement import Stopwatch, Variable, measurement
from .vision_model import VisionModel

FLOOR_POINTS = 5  # on one line of each image, in both precisions: they give what sixty give to about a quarter
NOISY = 0.2  # rounding that is this part of an angle moves it by about two per cent, for the two add in quadrature


def direction_change(
    model: VisionModel,
    images: Any,
    directions: int | torch.Tensor = 1000,
    steps: int = 50,
    epsilon: float = 0.05,
    seed: int = 0,
    batch: int | None = None,
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
        Images embedded at once, halved when they do not fit; what the device is quickest with unless told.

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
    lines = Lines.make(model, images, directions, seed)
    distances = torch.arange(steps + 1, dtype=torch.float64) * (epsilon / steps)
    size = model.batch_size(batch)

    def angles(image: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        moves = embeddings_along(model, *lines.start(image, direction), distances, size).diff(dim=1)
        length = moves.norm(dim=-1).median(dim=1, keepdim=True).values
        return torch.cat([turning_angle(moves[:, 1:], moves[:, :-1]), length], dim=1)

    each = lines.each()
    found = torch.full((len(each[0]), steps), torch.nan, device=model.device, dtype=model.dtype)

    def result() -> xr.Dataset:
        angle, length = found.unflatten(0, lines.shape).split([steps - 1, 1], dim=-1)
        floor = rounding(model, lines, distances[:FLOOR_POINTS], size)[:, None] / length[..., 0]
        out = measurement(
            {
                "angle": Variable(("image", "direction", "step"), angle, "rad", "direction change"),
                "noise_floor": Variable(
                    ("image", "direction"), floor, "rad", "direction change of a straight line by rounding"
                ),
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
        out.attrs["precision"] = verdict_on_precision(floor, angle, out.attrs["dtype"])
        return out

    def done() -> int:
        return int((~found[:, -1].isnan()).sum())

    with keeping(result, done, len(found), "lines"):
        in_batches(angles, *each, size=max(1, size // (steps + 1)), progress="direction change", out=found)
    return result()


def rounding(model: VisionModel, lines: Lines, distances: torch.Tensor, batch: int) -> torch.Tensor:
    r"""Rounding error `(B,)` in the second difference of an embedding; over the length of a step it is an angle.

    It is measured as float32 minus float64 along the first direction of each image, and scaled to the model's own
    precision.
    """
    images = torch.arange(lines.shape[0], device=lines.pixels.device)
    first = lines.start(images, torch.zeros_like(images))
    single, double = (
        embeddings_along(model.in_dtype(dtype), *first, distances, batch).double()
        for dtype in (torch.float32, torch.float64)
    )
    error = (single - double).diff(n=2, dim=1).norm(dim=-1).square().mean(1).sqrt()
    return error * (torch.finfo(model.dtype).eps / torch.finfo(torch.float32).eps)


def verdict_on_precision(floor: torch.Tensor, angle: torch.Tensor, dtype: str) -> str:
    """One sentence: do the angles stand clear of what rounding alone would show?"""
    rounding, typical = (float(torch.nanmedian(torch.rad2deg(t))) for t in (floor, angle))
    numbers = f"rounding in {dtype} alone gives {rounding:.2g} degrees, the median angle is {typical:.2g} degrees"
    if rounding <= NOISY * typical:
        return f"ok: {numbers}."
    return f"lost: {numbers}; load the model with dtype=torch.float64 or take longer steps."


def curvature(
    model: VisionModel,
    images: Any,
    directions: int | torch.Tensor = 10,
    step: float = 0.001,
    seed: int = 0,
    batch: int | None = None,
) -> xr.Dataset:
    r"""Exact curvature of the embedding's path, from second derivatives along the line.

    .. math:: z(s) = f(x + s\,d), \qquad T = z' / \|z'\|, \qquad
              \kappa = \frac{\|z'' - (z'' \cdot T)\,T\|}{\|z'\|^2}, \qquad
              \theta(h) \to \kappa\,\|z'\|\,h \quad (h \to 0)

    at s = 0, for random directions d of root-mean-square 1 per pixel. The limit is the direction change of a smooth
    network at a small step h. A ReLU network is linear between kinks: its second derivative, and so this curvature,
    is zero almost everywhere, while its direction change is not, for it comes from the kinks that a step crosses.

    Parameters
    ----------
    model
        What embeds.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns.
    directions
        How many random directions, or the directions themselves, as for `direction_change`; the same seed gives the
        same ones.
    step
        h of the predicted direction change, root-mean-square per pixel.
    seed
        Seed of the random directions.
    batch
        Lines differentiated at once, halved when they do not fit; what the device is quickest with unless told.

    Returns
    -------
    xarray.Dataset
        Over (image, direction): `curvature` in 1 / embedding, the inverse of the radius of the circle that fits best;
        `speed`, ||z'||, in embedding (per unit rms of the pixels); `turning_rate`, curvature times speed, in rad (per
        unit rms); `predicted_angle`, turning rate times h, in rad. NaN where the embedding stands still.
        The attribute `piecewise_linear` is 1 where all second derivatives vanish, else 0.

    Raises
    ------
    ArgumentError
        If there are no directions or `step` is not positive.
    ImageError
        If the images are not what the model takes.

    References
    ----------
    [kim2024] measures direction change; this is its limit for small steps.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> model = vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=4, dtype=torch.float64)
    >>> float(vg.curvature(model, torch.full((1, 3, 4, 4), 0.5), directions=3)["curvature"].max())
    0.0
    """
    watch = Stopwatch()
    if not (np.isfinite(step) and step > 0):
        raise ArgumentError(f"step is {step}; it must be positive.")
    lines = Lines.make(model, images, directions, seed)

    def rows(image: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        first, second = line_derivatives(model, *lines.start(image, direction))
        speed = first.norm(dim=1)
        tangent = first / speed[:, None]
        bend = second - (second * tangent).sum(1, keepdim=True) * tangent
        return torch.stack([speed, bend.norm(dim=1) / speed.square(), second.norm(dim=1)], dim=1)

    found = in_batches(rows, *lines.each(), size=model.batch_size(batch), progress="curvature")
    found = found.unflatten(0, lines.shape)
    speed, kappa, acceleration = found.unbind(-1)
    dims, rate = ("image", "direction"), kappa * speed
    result = measurement(
        {
            "curvature": Variable(dims, kappa, "1 / embedding", "curvature of the embedding's path"),
            "speed": Variable(dims, speed, "embedding", "speed of the embedding, per unit rms of the pixels"),
            "turning_rate": Variable(dims, rate, "rad", "turning of the embedding, per unit rms of the pixels"),
            "predicted_angle": Variable(dims, rate * step, "rad", f"predicted direction change at a step of {step:g}"),
        },
        model=model,
        seed=seed,
        seconds=watch.seconds,
        directions=lines.shape[1],
        step=step,
    )
    still = acceleration <= 100 * torch.finfo(model.dtype).eps * speed
    result.attrs["piecewise_linear"] = int(still.all())
    return result


@torch.no_grad()
def line_derivatives(
    model: VisionModel, start: torch.Tensor, direction: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """First and second derivative `(L,D)` of the embedding along lines `(L,3,H,W)`, forward over forward."""
    zero = torch.zeros(len(start), device=start.device, dtype=start.dtype)
    one = torch.ones_like(zero)

    def embed(s: torch.Tensor) -> torch.Tensor:
        return model.embed(start + s.view(-1, 1, 1, 1) * direction)

    def speed(s: torch.Tensor) -> torch.Tensor:
        return torch.func.jvp(embed, (s,), (one,))[1]

    with all_derivatives():
        first, second = torch.func.jvp(speed, (zero,), (one,))[:2]
    return first, second
