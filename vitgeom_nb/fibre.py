"""Paths of equivalent images: along a fibre, where the embedding stands still, and across fibres to a target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
import xarray as xr

from .descent import MinimumChange, Objective, descend
from .directions import rms
from .errors import ArgumentError
from .matching import check_goal, checked_pairs, embed
from .measurement import Stopwatch, Variable, measurement
from .models import VisionModel
from .progress import tqdm
from .similarity import psnr
from .tangent import FAILURE, walk


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise ArgumentError(f"steps is {steps}; a path needs at least one.")


def _along(path: torch.Tensor, end: torch.Tensor, measure: Callable[..., torch.Tensor]) -> torch.Tensor:
    """`measure(frame, end)` for each frame of `(B,K,3,H,W)`: `(B,K)`."""
    return torch.stack([measure(frame, end) for frame in path.unbind(1)], dim=1)


def _embeddings(model: VisionModel, path: torch.Tensor) -> torch.Tensor:
    """`(B,K,D)` embeddings of the frames `(B,K,3,H,W)`."""
    return embed(model, path.flatten(0, 1)).unflatten(0, path.shape[:2])


def _away(f: torch.Tensor, f_0: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Relative distance and cosine of embeddings `(B,K,D)` to `(B,D)`."""
    distance = (f - f_0[:, None]).norm(dim=2) / f_0.norm(dim=1)[:, None]
    return distance, F.cosine_similarity(f, f_0[:, None], dim=2)


def fibre_walk(model: VisionModel, start: Any, toward: Any, steps: int = 20) -> xr.Dataset:
    r"""Walk from one image toward another while the embedding stands still.

    From `x_0` (`start`) toward `b` (`toward`): step k = 0, ..., N - 1 adds `h (I - J^+ J)(b - x)` with h = 1 / (N - k),
    J at the present image and pixels at a bound held, and then corrects back to `f(x) = f(x_0)` by least-norm steps
    with the same J. Where these do not bring the drift under 5e-4, h is halved, up to seven times, and the next step
    begins with twice what held; so a strongly bent fibre is followed in small steps, and the walk may end before it has
    come as near to `b` as it could. For a linear map it ends at the point of the fibre nearest to `b`. Drift over 1e-3
    is a failure, and shown as one.

    Parameters
    ----------
    model
        The network. Each step takes all of J: D backward passes an image.
    start, toward
        `(B,3,H,W)` in [0,1], or what `samples()` returns; as many of each.
    steps
        N, the number of steps.

    Returns
    -------
    xarray.Dataset
        `path(image, step, channel, y, x)`, of N + 1 frames; `drift(image, step)`, `||f(x) - f(x_0)|| / ||f(x_0)||`,
        and `straight_drift`, the same for the straight blend of `x_0` and `b`; `failed(image, step)`, drift over
        1e-3; `cosine(image, step)` to f(x_0) and `end_cosine(image)`, that of f(b); `distance(image, step)` to `b`
        in rms per pixel; `psnr_start` and `psnr_end` `(image, step)` against `x_0` and `b` [dB];
        `evaluations(image)`, where a row of J, and a forward pass without a backward, count as one each.

    Raises
    ------
    ImageError
        If images are not what the model takes.
    ArgumentError
        If an image is to walk toward itself, the numbers differ, or `steps` is below 1.

    References
    ----------
    [salman2024], very different images with one embedding; the walk is ours.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> model = vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=4, name="linear")
    >>> a, b = torch.rand(2, 1, 3, 4, 4)
    >>> bool(vg.fibre_walk(model, a, b, steps=3).failed.any())
    False
    """
    watch = Stopwatch()
    _check_steps(steps)
    x_0, b = checked_pairs(model, start, toward)
    f_0 = embed(model, x_0)
    pairs = tqdm(zip(x_0, b, strict=True), desc=f"fibre walk on {model.name}", total=len(b), leave=False)
    paths, evaluations = zip(*(walk(model, image, end, steps) for image, end in pairs), strict=True)
    path = torch.stack(paths)
    part = torch.linspace(0, 1, steps + 1, device=model.device, dtype=model.dtype)
    straight = torch.stack([x_0 + s * (b - x_0) for s in part], dim=1)
    drift, cosine = _away(_embeddings(model, path), f_0)
    straight_drift, straight_cosine = _away(_embeddings(model, straight), f_0)
    image, at = ["image"], ["image", "step"]
    variables = {
        "path": Variable(["image", "step", "channel", "y", "x"], path, "1", "image along the fibre, pixels in [0, 1]"),
        "toward": Variable(["image", "channel", "y", "x"], b, "1", "image walked toward, pixels in [0, 1]"),
        "drift": Variable(at, drift, "1", "drift of the embedding, relative"),
        "straight_drift": Variable(at, straight_drift, "1", "drift along the straight blend, relative"),
        "failed": Variable(at, drift > FAILURE, "1", f"whether the drift is over {FAILURE:g}"),
        "cosine": Variable(at, cosine, "1", "cosine to the embedding of the start"),
        "end_cosine": Variable(image, straight_cosine[:, -1], "1", "cosine of the two images' own embeddings"),
        "distance": Variable(at, _along(path, b, lambda x, y: rms(x - y)), "1", "rms distance to the end per pixel"),
        "psnr_start": Variable(at, _along(path, x_0, psnr), "dB", "PSNR against the start"),
        "psnr_end": Variable(at, _along(path, b, psnr), "dB", "PSNR against the image walked toward"),
        "evaluations": Variable(image, evaluations, "1", "evaluations, rows of J included"),
    }
    return measurement(
        variables,
        coords={"step": Variable(["step"], range(steps + 1), "1", "step")},
        model=model,
        seconds=watch.seconds,
        steps=steps,
        failure=FAILURE,
    )


def homotopy(
    model: VisionModel, source: Any, target: Any, steps: int = 10, *, residual: float = 0.05, max_evaluations: int = 200
) -> xr.Dataset:
    r"""The whole path from an image to its match, along which the embedding moves on a straight line.

    `f(x(s)) = f(x_0) + s (t - f(x_0))` for s = 0, 1/N, ..., 1, with `t = f(target)`: each point is the nearest to `x_0`
    that minimum-change matching finds, starting at the point before.

    Parameters
    ----------
    model
        The network.
    source, target
        `(P,3,H,W)` in [0,1], or what `samples()` returns: one target a source.
    steps
        N, the number of steps.
    residual
        `||f(x(s)) - t_s|| / ||t - f(x_0)||` at which a step is done, t_s being its point on the line.
    max_evaluations
        Evaluations (forward and backward) that one step may take.

    Returns
    -------
    xarray.Dataset
        `path(pair, s, channel, y, x)`, of N + 1 frames; `residual(pair, s)`; `converged(pair, s)`;
        `cosine(pair, s)` to `t`; `psnr(pair, s)` against the source [dB]; `evaluations(pair)`.

    Raises
    ------
    ImageError
        If images are not what the model takes.
    ArgumentError
        If a source equals its target, their numbers differ, or a number is out of range.

    References
    ----------
    [salman2024], matching; the path is ours.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> model = vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=4, name="linear")
    >>> source, target = torch.rand(2, 1, 3, 4, 4)
    >>> vg.homotopy(model, source, target, steps=4).path.sizes["s"]
    5
    """
    watch = Stopwatch()
    _check_steps(steps)
    goal = check_goal(-1, residual, max_evaluations)
    x_0, x_t = checked_pairs(model, source, target)
    f_0, t = embed(model, x_0), embed(model, x_t)
    scale = (t - f_0).norm(dim=1)
    line = torch.linspace(0, 1, steps + 1, device=model.device, dtype=model.dtype)
    frames = [x_0.flatten(1)]
    evaluations = torch.zeros(len(x_0), dtype=torch.long, device=model.device)
    for s in tqdm(line[1:], desc=f"homotopy on {model.name}", leave=False):
        objective = Objective(model, f_0 + s * (t - f_0), max_evaluations)
        stepper = MinimumChange(frames[0], objective.targets)
        frames.append(descend(objective, frames[-1], stepper, goal, scale).x)
        evaluations += objective.evaluations
    path = torch.stack(frames, dim=1).unflatten(2, x_0.shape[1:])
    f = _embeddings(model, path)
    wanted = f_0[:, None] + line[None, :, None] * (t - f_0)[:, None]
    left = (f - wanted).norm(dim=2) / scale[:, None]
    at = ["pair", "s"]
    variables = {
        "path": Variable([*at, "channel", "y", "x"], path, "1", "image on the way, pixels in [0, 1]"),
        "target": Variable(["pair", "channel", "y", "x"], x_t, "1", "target image, pixels in [0, 1]"),
        "residual": Variable(at, left, "1", "distance from the straight line of embeddings, relative"),
        "converged": Variable(at, left <= residual, "1", "whether the point lies on the line"),
        "cosine": Variable(at, F.cosine_similarity(f, t[:, None], dim=2), "1", "cosine to the target's embedding"),
        "psnr": Variable(at, _along(path, x_0, psnr), "dB", "PSNR against the source"),
        "evaluations": Variable(["pair"], evaluations, "1", "evaluations, forward and backward"),
    }
    return measurement(
        variables,
        coords={"s": Variable(["s"], line, "1", "share of the way between the embeddings")},
        model=model,
        seconds=watch.seconds,
        steps=steps,
        residual=residual,
        max_evaluations=max_evaluations,
    )
