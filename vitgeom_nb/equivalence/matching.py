"""Equivalent images: change one image until it embeds like another, and by as little as possible."""

from __future__ import annotations

import difflib
from typing import Any

import torch
import torch.nn.functional as F
import xarray as xr

from ..core.arguments import checked
from ..core.image_similarity import psnr, ssim
from ..core.measurement import Stopwatch, Variable, measurement
from ..core.random_directions import rms
from ..errors import ArgumentError, keeping
from ..networks.vision_model import VisionModel
from .minimum_change import MinimumChange
from .optimisers import (
    Adam,
    Descent,
    GaussNewton,
    Goal,
    GradientDescent,
    Objective,
    Stepper,
    distance_to_go,
)
from .pairs_that_fit import descend_by_parts

METHODS = ("minimum-change", "gradient-descent", "adam", "gauss-newton")


def checked_pairs(model: VisionModel, source: Any, target: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Two checked batches of as many images, no pair of them equal."""
    source, target = model.pixels(source), model.pixels(target)
    if len(source) != len(target):
        raise ArgumentError(f"There are {len(source)} source and {len(target)} target images; pass as many of each.")
    same = (source == target).flatten(1).all(1)
    if same.any():
        raise ArgumentError(
            f"Source and target of pair {int(same.nonzero()[0])} are the same image; choose two that differ."
        )
    return source, target


def check_goal(cosine: float, residual: float, max_evaluations: int) -> Goal:
    """The goal, if it can be met."""
    if not -1 <= cosine <= 1:
        raise ArgumentError(f"cosine is {cosine}; ask for a value in [-1, 1].")
    if not residual > 0:
        raise ArgumentError(f"residual is {residual}; ask for a positive one, such as 1e-2.")
    if max_evaluations < 1:
        raise ArgumentError(f"max_evaluations is {max_evaluations}; allow at least one.")
    return Goal(cosine, residual)


def _check_method(method: str, lr: float | None) -> None:
    if method not in METHODS:
        close = difflib.get_close_matches(str(method), METHODS, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(METHODS)}."
        raise ArgumentError(f"There is no method {method!r}: {hint}")
    takes_rate = method in ("gradient-descent", "adam")
    if lr is not None and not takes_rate:
        raise ArgumentError(f"{method} finds its own steps; leave lr out.")
    if lr is not None and not lr > 0:
        raise ArgumentError(f"lr is {lr}; a learning rate is positive.")


def _stepper(
    method: str, lr: float | None, objective: Objective, start: torch.Tensor, goal: Goal, scale: torch.Tensor
) -> Stepper:
    if method == "gradient-descent":
        return GradientDescent(start, lr)
    if method == "adam":
        return Adam(start, lr)
    if method == "gauss-newton":
        return GaussNewton(objective, start)
    return MinimumChange(objective, start, goal, scale)


@checked
def match(
    model: VisionModel,
    source: Any,
    target: Any,
    *,
    method: str = "minimum-change",
    cosine: float = 0.999,
    residual: float = 0.1,
    max_evaluations: int = 1000,
    lr: float | None = None,
) -> xr.Dataset:
    r"""Change each source image until it embeds like its target.

    Minimises `1/2 ||f(x) - t||^2` over images `x` in [0,1] from the source `x_0`, with `t = f(target)`. All methods
    stop at the first point whose cosine to `t` and whose relative residual `||f(x) - t|| / ||f(x_0) - t||` meet the
    goal, which is the source itself where both images have one embedding, and are charged alike: an evaluation is one
    forward and one backward pass for one image.

    Parameters
    ----------
    model
        The network.
    source, target
        `(P,3,H,W)` in [0,1], or what `samples()` returns: one target a source.
    method
        `"minimum-change"`: adds `mu/2 ||x - x_0||^2`, and lowers mu to 0 by bound-constrained L-BFGS: a nearby
        equivalent image, not the first one found. A pair whose pace would not bring it to the goal within the budget
        goes on by Adam, for a larger change: asked every eighth of the budget, it takes steps from where it is, the
        longer the less of the budget is left, or, if it stands still, long ones from its source. Pairs are taken as
        many at a time as fit in memory.
        `"gradient-descent"`: as published, clipped to the pixel range.
        `"adam"`: the same with Adam. `"gauss-newton"`: least-norm steps `J^T (J J^T + lambda I)^-1 (t - f(x))` in a
        trust region; for smooth networks, as the kinks of a ReLU network defeat its linear model.
    cosine, residual
        The goal; both are to be met.
    max_evaluations
        After which a pair counts as not converged.
    lr
        Rate of gradient descent, in pixels per unit of gradient (the inverse curvature at each source,
        `||f - t||^2 / ||J^T (f - t)||^2`, unless given), or of Adam, in pixels (0.01 unless given).

    Returns
    -------
    xarray.Dataset
        `matched(pair, channel, y, x)`, which is the point of lowest loss for a pair that did not converge;
        `cosine`, `residual`, `evaluations`, `converged`, `source_cosine` (of the match to its source),
        `psnr` [dB], `ssim`, `change_norm`, `rms` and `max` of the change, `psnr_target` and `ssim_target`, how like its
        target the match looks, beside `psnr_pair` of source and target, all `(pair)`; `cosine_8bit` and
        `residual_8bit` after rounding to 256 levels; `loss`, `cosine_history`, `residual_history`, `psnr_history`
        `(pair, step)` by evaluation, NaN where an evaluation was spent on a Jacobian product and after the end, and a
        PSNR that is infinite at the source; `source`, `target`
        and their embeddings with that of the match, `(pair, component)`. From a model with a head, the labels that it
        gives to the three: `source_label`, `target_label`, `matched_label`.

    Raises
    ------
    ImageError
        If images are not what the model takes.
    ArgumentError
        If a source equals its target, their numbers differ, the method is unknown, or the goal cannot be met.
    Interrupted
        If someone stops it; `finished` then has the best point of each pair until then, without labels and with NaN
        after rounding.

    References
    ----------
    [salman2024], matching by gradient descent; the minimum-change and Gauss-Newton methods are ours.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> model = vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=4, name="linear")
    >>> source, target = torch.rand(2, 1, 3, 4, 4)
    >>> bool(vg.match(model, source, target).converged.all())
    True
    """
    watch = Stopwatch()
    goal = check_goal(cosine, residual, max_evaluations)
    x_0, x_t = checked_pairs(model, source, target)
    f_0, t = model.embed_in_batches(x_0, "source"), model.embed_in_batches(x_t, "target")
    start, distance = x_0.flatten(1), distance_to_go(f_0, t)
    _check_method(method, lr)

    def stepper(objective: Objective, rows: torch.Tensor) -> Stepper:
        return _stepper(method, lr, objective, start[rows], goal, distance[rows])

    title = f"{method} on {model.name}"
    descent = descend_by_parts(model, t, max_evaluations, start, stepper, goal, distance, progress=title)
    begun = descent.evaluations[:, None] > 0  # others were not, when someone stopped it, and stand at their sources
    descent = descent._replace(embedding=torch.where(begun, descent.embedding, f_0))

    def result(rounded: torch.Tensor, labels: dict[str, Variable]) -> xr.Dataset:
        return measurement(
            _variables(x_0, x_t, f_0, t, descent, rounded) | labels,
            coords={"step": Variable(["step"], range(1, descent.loss.shape[1] + 1), "1", "evaluations")},
            model=model,
            seconds=watch.seconds,
            method=method,
            goal=goal._asdict(),
            max_evaluations=max_evaluations,
            lr=lr,
        )

    best, spent = lambda: result(torch.full_like(t, torch.nan), {}), int(descent.evaluations.sum())
    with keeping(best, lambda: spent, len(t) * max_evaluations, "evaluations"):
        if descent.stopped is not None:
            raise descent.stopped
        matched = descent.x.view_as(x_0)
        rounded = model.embed_in_batches((matched * 255).round() / 255, "the rounded match of pair")
        return result(rounded, _labels(model, x_0, x_t, matched))


def _labels(model: VisionModel, *images: torch.Tensor) -> dict[str, Variable]:
    """What the model says of sources, targets and matches; nothing where it has no head."""
    if not model.has_logits:
        return {}
    return {
        f"{name}_label": Variable(
            ["pair"], model.logits_in_batches(some, name).argmax(1), "1", f"label of the {name} image"
        )
        for name, some in zip(("source", "target", "matched"), images, strict=True)
    }


def _variables(
    x_0: torch.Tensor,
    x_t: torch.Tensor,
    f_0: torch.Tensor,
    t: torch.Tensor,
    descent: Descent,
    rounded: torch.Tensor,
) -> dict[str, Variable]:
    matched = descent.x.view_as(x_0)
    change = matched - x_0
    distance = distance_to_go(f_0, t)
    pair, image, component, step = ["pair"], ["pair", "channel", "y", "x"], ["pair", "component"], ["pair", "step"]

    def left(f: torch.Tensor) -> torch.Tensor:
        return (f - t).norm(dim=1) / distance

    return {
        "matched": Variable(image, matched, "pixel", "matched image, pixels in [0, 1]"),
        "source": Variable(image, x_0, "pixel", "source image, pixels in [0, 1]"),
        "target": Variable(image, x_t, "pixel", "target image, pixels in [0, 1]"),
        "cosine": Variable(pair, F.cosine_similarity(descent.embedding, t), "1", "cosine to the target's embedding"),
        "residual": Variable(pair, left(descent.embedding), "1", "distance to the target's embedding, relative"),
        "source_cosine": Variable(
            pair, F.cosine_similarity(descent.embedding, f_0), "1", "cosine to the source's embedding"
        ),
        "pair_cosine": Variable(pair, F.cosine_similarity(f_0, t), "1", "cosine of source and target embeddings"),
        "cosine_8bit": Variable(pair, F.cosine_similarity(rounded, t), "1", "cosine to the target after rounding"),
        "residual_8bit": Variable(pair, left(rounded), "1", "relative distance to the target after rounding"),
        "psnr": Variable(pair, psnr(matched, x_0), "dB", "PSNR of the match against its source"),
        "ssim": Variable(pair, ssim(matched, x_0), "1", "SSIM of the match against its source"),
        "psnr_target": Variable(pair, psnr(matched, x_t), "dB", "PSNR of the match against its target"),
        "ssim_target": Variable(pair, ssim(matched, x_t), "1", "SSIM of the match against its target"),
        "psnr_pair": Variable(pair, psnr(x_0, x_t), "dB", "PSNR of source against target"),
        "change_norm": Variable(pair, change.flatten(1).norm(dim=1), "pixel", "Euclidean norm of the change"),
        "rms": Variable(pair, rms(change), "pixel", "root-mean-square change per pixel"),
        "max": Variable(pair, change.flatten(1).abs().amax(1), "pixel", "largest change of a pixel"),
        "evaluations": Variable(pair, descent.evaluations, "1", "evaluations, forward and backward"),
        "converged": Variable(pair, descent.converged, "1", "whether the goal was met"),
        "loss": Variable(step, descent.loss, "embedding^2", "half the squared distance to the target's embedding"),
        "cosine_history": Variable(step, descent.cosine, "1", "cosine to the target's embedding"),
        "psnr_history": Variable(step, -20 * descent.change.log10(), "dB", "PSNR against the source"),
        "residual_history": Variable(step, descent.residual, "1", "distance to the target's embedding, relative"),
        "source_embedding": Variable(component, f_0, "embedding", "embedding of the source"),
        "target_embedding": Variable(component, t, "embedding", "embedding of the target"),
        "matched_embedding": Variable(component, descent.embedding, "embedding", "embedding of the match"),
    }
