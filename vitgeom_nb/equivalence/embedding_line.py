"""The path across fibres from an image to its match."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
import xarray as xr

from ..core.arguments import checked
from ..core.image_similarity import psnr
from ..core.measurement import Stopwatch, Variable, measurement, parameters
from ..core.progress import tqdm
from ..errors import keeping
from ..networks.vision_model import VisionModel
from .fibre_walk import along, check_steps
from .matching import check_goal, checked_pairs
from .minimum_change import MinimumChange
from .optimisers import Descent, Goal, Objective, distance_to_go
from .pairs_that_fit import descend_by_parts


def class_probabilities(model: VisionModel, path: torch.Tensor) -> dict[str, Variable]:
    """`probability(pair, s, class)` of the frames `(P,K,3,H,W)`, `name(class)`; nothing for a model without a head."""
    if not model.has_logits:
        return {}
    pair = torch.arange(len(path)).repeat_interleave(path.shape[1])
    p = model.logits_in_batches(path.flatten(0, 1), "the path of pair", pair).cpu().double().softmax(1)
    values = p.unflatten(0, path.shape[:2])
    return {
        "probability": Variable(["pair", "s", "class"], values, "1", "softmax probability"),
        "name": Variable(["class"], model.class_name(torch.arange(p.shape[1])), "1", "name of the class"),
    }


def nearest_to(
    x_0: torch.Tensor,
    model: VisionModel,
    targets: torch.Tensor,
    max_evaluations: int,
    start: torch.Tensor,
    goal: Goal,
    scale: torch.Tensor,
) -> Descent:
    """The points `(P,n)` nearest to `x_0` that minimum-change matching finds from `start`."""

    def stepper(objective: Objective, rows: torch.Tensor) -> MinimumChange:
        return MinimumChange(objective, x_0[rows], goal, scale[rows])

    found = descend_by_parts(model, targets, max_evaluations, start, stepper, goal, scale)
    if found.stopped is not None:
        raise found.stopped
    return found


@checked
def homotopy(
    model: VisionModel,
    source: Any,
    target: Any,
    *,
    steps: int = 10,
    residual: float = 0.05,
    max_evaluations: int = 200,
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
        `path(pair, s, channel, y, x)`, of N + 1 frames, from `source(pair, channel, y, x)`; `target`, whose embedding
        it leads to; `residual(pair, s)`; `converged(pair, s)`;
        `cosine(pair, s)` to `t`; `psnr(pair, s)` against the source [dB]; `evaluations(pair)`; and, where the model has
        a classifier head, `probability(pair, s, class)` and `name(class)`.

    Raises
    ------
    ImageError
        If images are not what the model takes.
    ArgumentError
        If a source equals its target, their numbers differ, or a number is out of range.
    Interrupted
        If someone stops it after a step; `finished` then has the path until there, without probabilities.

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
    f_0, t = model.embed_in_batches(x_0, "source"), model.embed_in_batches(x_t, "target")
    scale = distance_to_go(f_0, t)
    line = torch.linspace(0, 1, steps + 1, device=model.device, dtype=model.dtype)
    frames, embedded = [x_0.flatten(1)], [f_0]
    evaluations = torch.zeros(len(x_0), dtype=torch.long, device=model.device)

    def result(said: Mapping[str, Variable]) -> xr.Dataset:
        path = torch.stack(frames, dim=1).unflatten(2, x_0.shape[1:])
        way = _Path(x_0, x_t, f_0, t, path, torch.stack(embedded[: len(frames)], dim=1), line[: len(frames)])
        return _on_the_way(model, way, evaluations, said, watch, steps, residual, max_evaluations)

    with keeping(lambda: result({}), lambda: len(frames) - 1, steps, "steps"):
        for s in tqdm(line[1:], desc=f"homotopy on {model.name}", leave=False):
            found = nearest_to(frames[0], model, f_0 + s * (t - f_0), max_evaluations, frames[-1], goal, scale)
            embedded.append(found.embedding)
            frames.append(found.x)
            evaluations += found.evaluations
        return result(class_probabilities(model, torch.stack(frames, dim=1).unflatten(2, x_0.shape[1:])))


@checked
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
    watch, settings = Stopwatch(), parameters(path)
    frames, x_0, x_t = (
        torch.from_numpy(path[name].values).to(model.device, model.dtype) for name in ("path", "source", "target")
    )
    before = int((path.s.values <= s).sum()) - 1
    goal = check_goal(-1, settings["residual"], settings["max_evaluations"])
    f_0, t = model.embed_in_batches(x_0, "source"), model.embed_in_batches(x_t, "target")
    on_line, start, most = torch.lerp(f_0, t, s), frames[:, before].flatten(1), settings["max_evaluations"]
    found = nearest_to(x_0.flatten(1), model, on_line, most, start, goal, distance_to_go(f_0, t))
    line, there = torch.tensor([s], device=model.device, dtype=model.dtype), found.x.view_as(x_0)[:, None]
    way, said = _Path(x_0, x_t, f_0, t, there, found.embedding[:, None], line), class_probabilities(model, there)
    return _on_the_way(model, way, found.evaluations, said, watch, **settings)


class _Path(NamedTuple):
    """Source and target images, their embeddings, frames `(P,K,3,H,W)`, theirs, and their shares `(K,)` of the way."""

    x_0: torch.Tensor
    x_t: torch.Tensor
    f_0: torch.Tensor
    t: torch.Tensor
    frames: torch.Tensor
    embedded: torch.Tensor
    line: torch.Tensor


def _on_the_way(
    model: VisionModel,
    way: _Path,
    evaluations: torch.Tensor,
    said: Mapping[str, Variable],
    watch: Stopwatch,
    steps: int,
    residual: float,
    max_evaluations: int,
) -> xr.Dataset:
    """The measurement of a path, and of what a classifier said on it."""
    x_0, x_t, f_0, t, path, f, line = way
    scale = distance_to_go(f_0, t)
    wanted = f_0[:, None] + line[None, :, None] * (t - f_0)[:, None]
    left = (f - wanted).norm(dim=2) / scale[:, None]
    at = ["pair", "s"]
    variables = {
        "path": Variable([*at, "channel", "y", "x"], path, "pixel", "image on the way, pixels in [0, 1]"),
        "source": Variable(["pair", "channel", "y", "x"], x_0, "pixel", "source image, pixels in [0, 1]"),
        "target": Variable(["pair", "channel", "y", "x"], x_t, "pixel", "target image, pixels in [0, 1]"),
        "residual": Variable(at, left, "1", "distance from the straight line of embeddings, relative"),
        "converged": Variable(at, left <= residual, "1", "whether the point lies on the line"),
        "cosine": Variable(at, F.cosine_similarity(f, t[:, None], dim=2), "1", "cosine to the target's embedding"),
        "psnr": Variable(at, along(path, x_0, psnr), "dB", "PSNR against the source"),
        "evaluations": Variable(["pair"], evaluations, "1", "evaluations, forward and backward"),
        **said,
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
