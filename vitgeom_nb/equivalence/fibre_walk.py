"""Paths of equivalent images along a fibre, where the embedding stands still."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
import xarray as xr

from .directions import rms
from .errors import ArgumentError
from .matching import checked_pairs, embed
from .measurement import Stopwatch, Variable, measurement
from .progress import tqdm
from .similarity import psnr
from .tangent import FAILURE, back_to_fibre, walk
from .vision_model import VisionModel


def check_steps(steps: int) -> None:
    """Raise ArgumentError unless a path has at least one step."""

    if steps < 1:
        raise ArgumentError(f"steps is {steps}; a path needs at least one.")


def along(path: torch.Tensor, end: torch.Tensor, measure: Callable[..., torch.Tensor]) -> torch.Tensor:
    """`measure(frame, end)` for each frame of `(B,K,3,H,W)`: `(B,K)`."""
    return torch.stack([measure(frame, end) for frame in path.unbind(1)], dim=1)


def embeddings_of(model: VisionModel, path: torch.Tensor) -> torch.Tensor:
    """`(B,K,D)` embeddings of the frames `(B,K,3,H,W)`."""
    return embed(model, path.flatten(0, 1)).unflatten(0, path.shape[:2])


def away_from(f: torch.Tensor, f_0: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
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
        and `straight_drift`, the same for the straight blend of `x_0` and `b`; `embedding(image, step, component)` and
        `straight_embedding`, of which these are the drifts; `failed(image, step)`, drift over 1e-3;
        `cosine(image, step)` to f(x_0) and `end_cosine(image)`, that of f(b); `distance(image, step)` to `b` in rms per
        pixel; `psnr_start` and `psnr_end` `(image, step)` against `x_0` and `b` [dB]; `evaluations(image)`, where a row
        of J, and a forward pass without a backward, count as one each.

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
    check_steps(steps)
    x_0, b = checked_pairs(model, start, toward)
    pairs = tqdm(zip(x_0, b, strict=True), desc=f"fibre walk on {model.name}", total=len(b), leave=False)
    paths, evaluations = zip(*(walk(model, image, end, steps) for image, end in pairs), strict=True)
    return _walked(model, x_0, b, torch.stack(paths), torch.arange(steps + 1), evaluations, watch, steps)


def fibre_at(model: VisionModel, walked: xr.Dataset, step: float) -> xr.Dataset:
    """A `fibre_walk` at one point between two of its steps: their blend, brought back to the fibre.

    Parameters
    ----------
    model
        The network that walked.
    walked
        What `fibre_walk` returned.
    step
        Between 0 and its last step.

    Returns
    -------
    xarray.Dataset
        As `fibre_walk`, with this one `step`; `evaluations` are those of the walk.
    """
    watch, last = Stopwatch(), walked.sizes["step"] - 1
    path, b = (torch.from_numpy(walked[name].values).to(model.device, model.dtype) for name in ("path", "toward"))
    k = min(int(step), last - 1)
    blend = torch.lerp(path[:, k], path[:, k + 1], step - k)
    f_0 = embed(model, path[:, 0])
    frames = torch.stack([back_to_fibre(model, x, f) for x, f in zip(blend, f_0, strict=True)])
    at = torch.tensor([step], dtype=torch.float64)
    return _walked(model, path[:, 0], b, frames[:, None], at, walked.evaluations.values, watch, last)


def _walked(
    model: VisionModel,
    x_0: torch.Tensor,
    b: torch.Tensor,
    path: torch.Tensor,
    at_step: torch.Tensor,
    evaluations: Any,
    watch: Stopwatch,
    steps: int,
) -> xr.Dataset:
    """The measurement of frames `(B,K,3,H,W)` at `at_step` `(K,)` of a walk of `steps`."""
    f_0 = embed(model, x_0)
    straight = torch.stack([torch.lerp(x_0, b, s) for s in (at_step.double() / steps).tolist()], dim=1)
    f, straight_f = embeddings_of(model, path), embeddings_of(model, straight)
    (drift, cosine), (straight_drift, _) = away_from(f, f_0), away_from(straight_f, f_0)
    end_cosine = F.cosine_similarity(embed(model, b), f_0)
    image, at = ["image"], ["image", "step"]
    variables = {
        "path": Variable(["image", "step", "channel", "y", "x"], path, "1", "image along the fibre, pixels in [0, 1]"),
        "toward": Variable(["image", "channel", "y", "x"], b, "1", "image walked toward, pixels in [0, 1]"),
        "drift": Variable(at, drift, "1", "drift of the embedding, relative"),
        "straight_drift": Variable(at, straight_drift, "1", "drift along the straight blend, relative"),
        "embedding": Variable([*at, "component"], f, "1", "embedding along the fibre"),
        "straight_embedding": Variable([*at, "component"], straight_f, "1", "embedding along the straight blend"),
        "failed": Variable(at, drift > FAILURE, "1", f"whether the drift is over {FAILURE:g}"),
        "cosine": Variable(at, cosine, "1", "cosine to the embedding of the start"),
        "end_cosine": Variable(image, end_cosine, "1", "cosine of the two images' own embeddings"),
        "distance": Variable(at, along(path, b, lambda x, y: rms(x - y)), "1", "rms distance to the end per pixel"),
        "psnr_start": Variable(at, along(path, x_0, psnr), "dB", "PSNR against the start"),
        "psnr_end": Variable(at, along(path, b, psnr), "dB", "PSNR against the image walked toward"),
        "evaluations": Variable(image, evaluations, "1", "evaluations, rows of J included"),
    }
    return measurement(
        variables,
        coords={"step": Variable(["step"], at_step, "1", "step")},
        model=model,
        seconds=watch.seconds,
        steps=steps,
        failure=FAILURE,
    )
