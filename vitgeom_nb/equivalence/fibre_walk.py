"""Paths of equivalent images along a fibre, where the embedding stands still."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
import xarray as xr

from ..core.arguments import checked
from ..core.image_similarity import psnr
from ..core.measurement import Stopwatch, Variable, measurement
from ..core.progress import tqdm
from ..core.random_directions import rms
from ..errors import ArgumentError, keeping
from ..networks.vision_model import VisionModel
from .fibre_step import FAILURE, back_to_fibre, frames_along
from .matching import checked_pairs


def check_steps(steps: int) -> None:
    """Raise ArgumentError unless a path has at least one step."""

    if steps < 1:
        raise ArgumentError(f"steps is {steps}; a path needs at least one.")


def along(path: torch.Tensor, end: torch.Tensor, measure: Callable[..., torch.Tensor]) -> torch.Tensor:
    """`measure(frame, end)` for each frame of `(B,K,3,H,W)`: `(B,K)`."""
    return torch.stack([measure(frame, end) for frame in path.unbind(1)], dim=1)


def embeddings_of(model: VisionModel, path: torch.Tensor) -> torch.Tensor:
    """`(B,K,D)` embeddings of the frames `(B,K,3,H,W)`."""
    pair = torch.arange(len(path)).repeat_interleave(path.shape[1])
    return model.embed_in_batches(path.flatten(0, 1), "the path of pair", pair).unflatten(0, path.shape[:2])


def away_from(f: torch.Tensor, f_0: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Relative distance and cosine of embeddings `(B,K,D)` to `(B,D)`."""
    distance = (f - f_0[:, None]).norm(dim=2) / f_0.norm(dim=1)[:, None]
    return distance, F.cosine_similarity(f, f_0[:, None], dim=2)


@checked
def fibre_walk(
    model: VisionModel,
    source: Any,
    target: Any,
    *,
    steps: int = 20,
) -> xr.Dataset:
    r"""Walk from one image toward another while the embedding stands still.

    From `x_0` (`source`) toward `b` (`target`): step k = 0, ..., N - 1 adds `h (I - J^+ J)(b - x)` with h = 1 / (N -
    k), J at the present image and pixels at a bound held, and then corrects back to `f(x) = f(x_0)` by least-norm steps
    with the same J. Where these do not bring the drift under 5e-4, h is halved, up to seven times, and the next step
    begins with twice what held; so a strongly bent fibre is followed in small steps, and the walk may end before it has
    come as near to `b` as it could. For a linear map it ends at the point of the fibre nearest to `b`. Drift over 1e-3
    is a failure, and shown as one.

    Parameters
    ----------
    model
        The network. Each step takes all of J: D backward passes an image.
    source, target
        `(B,3,H,W)` in [0,1], or what `samples()` returns; as many of each.
    steps
        N, the number of steps.

    Returns
    -------
    xarray.Dataset
        `path(pair, step, channel, y, x)`, of N + 1 frames, from `source(pair, channel, y, x)` toward `target`;
        `drift(pair, step)`, `||f(x) - f(x_0)|| / ||f(x_0)||`, and `straight_drift`, the same for the straight blend of
        `x_0` and `b`; `embedding(pair, step, component)` and `straight_embedding`, of which these are the drifts;
        `failed(pair, step)`, drift over 1e-3; `cosine(pair, step)` to f(x_0) and `pair_cosine(pair)`, that of f(b);
        `distance(pair, step)` to `b` in rms per pixel; `psnr_source` and `psnr_target` `(pair, step)` against `x_0` and
        `b` [dB]; `evaluations(pair)`, where a row of J, and a forward pass without a backward, count as one each.

    Raises
    ------
    ImageError
        If images are not what the model takes.
    ArgumentError
        If an image is to walk toward itself, the numbers differ, or `steps` is below 1.
    Interrupted
        If someone stops it after the first step; `finished` then has NaN for those that were not taken.

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
    x_0, b = checked_pairs(model, source, target)
    ends = _Ends.of(model, x_0, b, torch.arange(steps + 1), steps)
    path = torch.full((len(b), steps + 1, *b.shape[1:]), torch.nan, device=b.device, dtype=b.dtype)
    embedding = torch.full((len(b), steps + 1, model.dim), torch.nan, device=b.device, dtype=b.dtype)
    path[:, 0], embedding[:, 0] = x_0, ends.f_0
    evaluations = torch.zeros(len(b), dtype=torch.long)
    done: list[int] = []

    def result() -> xr.Dataset:
        return _walked(model, ends, path, embedding, evaluations, watch, steps)

    with (
        keeping(result, lambda: len(done), len(b) * steps, "steps"),
        tqdm(desc=f"fibre walk on {model.name}", total=len(b) * steps, leave=False) as bar,
    ):
        for pair in range(len(b)):
            for k, (frame, spent) in enumerate(
                frames_along(model, x_0[pair], b[pair], steps, f"the walk of pair {pair}"), start=1
            ):
                embedding[pair, k] = model.embed_in_batches(frame[None], f"the walk of pair {pair}", None)[0]
                path[pair, k], evaluations[pair] = frame, spent
                done.append(k)
                bar.update()
    return result()


@checked
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
    path, x_0, b = (
        torch.from_numpy(walked[name].values).to(model.device, model.dtype) for name in ("path", "source", "target")
    )
    k = min(int(step), last - 1)
    blend = torch.lerp(path[:, k], path[:, k + 1], step - k)
    ends = _Ends.of(model, x_0, b, torch.tensor([step], dtype=torch.float64), last)
    frames = torch.stack([back_to_fibre(model, x, f) for x, f in zip(blend, ends.f_0, strict=True)])[:, None]
    return _walked(model, ends, frames, embeddings_of(model, frames), walked.evaluations.values, watch, last)


class _Ends(NamedTuple):
    """What is known before a walk: its ends, the steps `(K,)` to show, embeddings of ends and of straight blends."""

    x_0: torch.Tensor
    b: torch.Tensor
    at_step: torch.Tensor
    f_0: torch.Tensor
    f_b: torch.Tensor
    straight: torch.Tensor

    @classmethod
    def of(cls, model: VisionModel, x_0: torch.Tensor, b: torch.Tensor, at_step: torch.Tensor, steps: int) -> _Ends:
        blends = torch.stack([torch.lerp(x_0, b, s) for s in (at_step.double() / steps).tolist()], dim=1)
        f_0, f_b = model.embed_in_batches(x_0, "source"), model.embed_in_batches(b, "target")
        return cls(x_0, b, at_step, f_0, f_b, embeddings_of(model, blends))


def _walked(
    model: VisionModel,
    ends: _Ends,
    path: torch.Tensor,
    f: torch.Tensor,
    evaluations: Any,
    watch: Stopwatch,
    steps: int,
) -> xr.Dataset:
    """The measurement of frames `(B,K,3,H,W)` with embeddings `f` `(B,K,D)` on a walk of `steps`."""
    x_0, b, at_step, f_0, f_b, straight_f = ends
    (drift, cosine), (straight_drift, _) = away_from(f, f_0), away_from(straight_f, f_0)
    pair_cosine = F.cosine_similarity(f_b, f_0)
    pair, at = ["pair"], ["pair", "step"]
    variables = {
        "path": Variable(
            ["pair", "step", "channel", "y", "x"], path, "pixel", "image along the fibre, pixels in [0, 1]"
        ),
        "source": Variable(["pair", "channel", "y", "x"], x_0, "pixel", "image walked from, pixels in [0, 1]"),
        "target": Variable(["pair", "channel", "y", "x"], b, "pixel", "image walked toward, pixels in [0, 1]"),
        "drift": Variable(at, drift, "1", "drift of the embedding, relative"),
        "straight_drift": Variable(at, straight_drift, "1", "drift along the straight blend, relative"),
        "embedding": Variable([*at, "component"], f, "embedding", "embedding along the fibre"),
        "straight_embedding": Variable(
            [*at, "component"], straight_f, "embedding", "embedding along the straight blend"
        ),
        "failed": Variable(at, drift > FAILURE, "1", f"whether the drift is over {FAILURE:g}"),
        "cosine": Variable(at, cosine, "1", "cosine to the embedding of the start"),
        "pair_cosine": Variable(pair, pair_cosine, "1", "cosine of the two images' own embeddings"),
        "distance": Variable(at, along(path, b, lambda x, y: rms(x - y)), "pixel", "rms distance to the end per pixel"),
        "psnr_source": Variable(at, along(path, x_0, psnr), "dB", "PSNR against the source"),
        "psnr_target": Variable(at, along(path, b, psnr), "dB", "PSNR against the image walked toward"),
        "evaluations": Variable(pair, evaluations, "1", "evaluations, rows of J included"),
    }
    return measurement(
        variables,
        coords={"step": Variable(["step"], at_step, "1", "step")},
        model=model,
        seconds=watch.seconds,
        steps=steps,
        failure=FAILURE,
    )
