"""The path across fibres from an image to its match."""

from __future__ import annotations

import json
from typing import Any

import torch
import torch.nn.functional as F
import xarray as xr

from .batching import in_batches
from .descent import Goal, MinimumChange, Objective, descend
from .errors import keeping
from .fibre import along, check_steps, embeddings_of
from .matching import check_goal, checked_pairs, embed
from .measurement import Stopwatch, Variable, measurement
from .predictions import class_words
from .progress import tqdm
from .similarity import psnr
from .vision_model import VisionModel


def class_probabilities(model: VisionModel, path: torch.Tensor) -> dict[str, Variable]:
    """`probability(pair, s, class)` of the frames `(P,K,3,H,W)`, `name(class)`; nothing for a model without a head."""
    if not model.has_logits:
        return {}
    with torch.no_grad():
        p = in_batches(lambda x: model.logits(x).double().softmax(1), path.flatten(0, 1), size=model.batch_size())
    values = p.unflatten(0, path.shape[:2])
    return {
        "probability": Variable(["pair", "s", "class"], values, "1", "softmax probability"),
        "name": Variable(["class"], class_words(model, torch.arange(p.shape[1])), "1", "name of the class"),
    }


def nearest_to(
    x_0: torch.Tensor, objective: Objective, start: torch.Tensor, goal: Goal, scale: torch.Tensor
) -> torch.Tensor:
    """The points `(P,n)` nearest to `x_0` that minimum-change matching finds for the objective from `start`."""
    found = descend(objective, start, MinimumChange(x_0, objective.targets), goal, scale)
    if found.interrupted:
        raise KeyboardInterrupt
    return found.x


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
        `cosine(pair, s)` to `t`; `psnr(pair, s)` against the source [dB]; `evaluations(pair)`; and, where the model has
        a classifier head, `probability(pair, s, class)` and `name(class)`.

    Raises
    ------
    ImageError
        If images are not what the model takes.
    ArgumentError
        If a source equals its target, their numbers differ, or a number is out of range.
    Interrupted
        If someone stops it after a step; `finished` then has the path until there.

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
    check_steps(steps)
    goal = check_goal(-1, residual, max_evaluations)
    x_0, x_t = checked_pairs(model, source, target)
    f_0, t = embed(model, x_0), embed(model, x_t)
    scale = (t - f_0).norm(dim=1)
    line = torch.linspace(0, 1, steps + 1, device=model.device, dtype=model.dtype)
    frames = [x_0.flatten(1)]
    evaluations = torch.zeros(len(x_0), dtype=torch.long, device=model.device)

    def result() -> xr.Dataset:
        path = torch.stack(frames, dim=1).unflatten(2, x_0.shape[1:])
        shares = line[: len(frames)]
        return _on_the_way(model, x_0, x_t, path, shares, evaluations, watch, steps, residual, max_evaluations)

    with keeping(result, lambda: len(frames) - 1, steps, "steps"):
        for s in tqdm(line[1:], desc=f"homotopy on {model.name}", leave=False):
            objective = Objective(model, f_0 + s * (t - f_0), max_evaluations)
            frames.append(nearest_to(frames[0], objective, frames[-1], goal, scale))
            evaluations += objective.evaluations
    return result()


def homotopy_at(model: VisionModel, path: xr.Dataset, s: float) -> xr.Dataset:
    """A `homotopy` at one point between two of its own: matched from the frame before it.

    Parameters
    ----------
    model
        The network that was matched.
    path
        What `homotopy` returned.
    s
        Share of the way, between 0 and 1.

    Returns
    -------
    xarray.Dataset
        As `homotopy`, with this one `s`.
    """
    watch, settings = Stopwatch(), json.loads(path.attrs["parameters"])
    frames, x_t = (torch.from_numpy(path[name].values).to(model.device, model.dtype) for name in ("path", "target"))
    x_0, before = frames[:, 0], int((path.s.values <= s).sum()) - 1
    goal = check_goal(-1, settings["residual"], settings["max_evaluations"])
    f_0, t = embed(model, x_0), embed(model, x_t)
    objective = Objective(model, torch.lerp(f_0, t, s), settings["max_evaluations"])
    x = nearest_to(x_0.flatten(1), objective, frames[:, before].flatten(1), goal, (t - f_0).norm(dim=1))
    line = torch.tensor([s], device=model.device, dtype=model.dtype)
    return _on_the_way(model, x_0, x_t, x.view_as(x_0)[:, None], line, objective.evaluations, watch, **settings)


def _on_the_way(
    model: VisionModel,
    x_0: torch.Tensor,
    x_t: torch.Tensor,
    path: torch.Tensor,
    line: torch.Tensor,
    evaluations: torch.Tensor,
    watch: Stopwatch,
    steps: int,
    residual: float,
    max_evaluations: int,
) -> xr.Dataset:
    """The measurement of frames `(P,K,3,H,W)` at the shares `line` `(K,)` of the way."""
    f_0, t = embed(model, x_0), embed(model, x_t)
    scale = (t - f_0).norm(dim=1)
    f = embeddings_of(model, path)
    wanted = f_0[:, None] + line[None, :, None] * (t - f_0)[:, None]
    left = (f - wanted).norm(dim=2) / scale[:, None]
    at = ["pair", "s"]
    variables = {
        "path": Variable([*at, "channel", "y", "x"], path, "1", "image on the way, pixels in [0, 1]"),
        "target": Variable(["pair", "channel", "y", "x"], x_t, "1", "target image, pixels in [0, 1]"),
        "residual": Variable(at, left, "1", "distance from the straight line of embeddings, relative"),
        "converged": Variable(at, left <= residual, "1", "whether the point lies on the line"),
        "cosine": Variable(at, F.cosine_similarity(f, t[:, None], dim=2), "1", "cosine to the target's embedding"),
        "psnr": Variable(at, along(path, x_0, psnr), "dB", "PSNR against the source"),
        "evaluations": Variable(["pair"], evaluations, "1", "evaluations, forward and backward"),
        **class_probabilities(model, path),
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
