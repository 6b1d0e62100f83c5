"""Steps along a fibre: the move that the embedding does not see to first order, and the way back to the fibre."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from ..jacobians.gram import Spectrum, project_null, spectrum
from ..jacobians.rows import jacobian_rows
from ..networks.vision_model import VisionModel
from .proximal_lbfgs import TINY

FAILURE = 1e-3  # relative drift
DAMPING = 1e-2  # of the largest singular value, in corrections
CORRECTIONS = 10
HALVINGS = 8


class Tangent(NamedTuple):
    """A step `(n,)` that J does not see and that stays in the box, J over the pixels free to move, and its spectrum."""

    step: torch.Tensor
    J: torch.Tensor
    parts: Spectrum


def tangent(J: torch.Tensor, x: torch.Tensor, wish: torch.Tensor, rounds: int = 4) -> Tangent:
    """The part of `wish` `(n,)` in the null space of J `(D,n)` that does not leave the box at `x` `(n,)`.

    Pixels that it would push out of [0,1] are held, and the rest is projected again.
    """
    free = torch.ones_like(x)
    for _ in range(rounds):
        held = J * free
        parts = spectrum(held)
        step = project_null(held, wish * free, parts) * free
        outward = ((x <= 0) & (step < 0)) | ((x >= 1) & (step > 0))
        if not outward.any():
            break
        free = free * ~outward
    return Tangent(step * free, held, parts)


def settle(
    model: VisionModel, x: torch.Tensor, f_0: torch.Tensor, along: Tangent, of: str = "this image"
) -> tuple[torch.Tensor, float, int]:
    """Least-norm corrections of `x` `(n,)` back to f_0 `(D,)` with one J, while they help: image, drift, forwards.

    An error calls the image `of`.
    """
    values, left = along.parts.values, along.parts.left
    weights = 1 / (values.square() + (DAMPING * values[0]).square().clamp_min(TINY))
    best, lowest, count = x, float("inf"), 0
    while count < CORRECTIONS:
        count += 1
        error = model.embed_in_batches(x.view(1, 3, *model.size), of, None)[0] - f_0
        drift = float(error.norm() / f_0.norm())
        if not drift < lowest:
            break
        best, lowest = x, drift
        if drift <= FAILURE / 2:
            break
        back = left @ (weights * (left.T @ error.double()))
        x = (x - back.to(x.dtype) @ along.J).clamp(0, 1)
    return best, lowest, count


def back_to_fibre(model: VisionModel, image: torch.Tensor, f_0: torch.Tensor) -> torch.Tensor:
    """The image `(3,H,W)` corrected by least-norm steps with its own J until it embeds at f_0 `(D,)` again."""
    x = image.flatten()
    along = tangent(jacobian_rows(model, image), x, torch.zeros_like(x))
    return settle(model, x, f_0, along)[0].view_as(image)


def frames_along(
    model: VisionModel, x_0: torch.Tensor, b: torch.Tensor, steps: int, of: str = "this walk"
) -> Iterator[tuple[torch.Tensor, int]]:
    """Frames `(3,H,W)` of one walk after the first, `steps` of them, and what it has cost up to each.

    An error calls the walk `of`.
    """
    x, end = x_0.flatten(), b.flatten()
    f_0 = model.embed_in_batches(x_0[None], of, None)[0]
    spent, halving = 0, 0
    for k in range(steps):
        along = tangent(jacobian_rows(model, x.view_as(x_0), of=of), x, end - x)
        spent += model.dim
        first = max(halving - 1, 0)
        for halving in range(first, first + HALVINGS):
            ahead = (x + along.step / (steps - k) / 2**halving).clamp(0, 1)
            moved, drift, cost = settle(model, ahead, f_0, along, of)
            spent += cost
            if drift > FAILURE / 2 and halving == first:  # a kink was crossed: J on its far side knows the way back
                J = jacobian_rows(model, ahead.view_as(x_0), of=of)
                moved, drift, cost = settle(model, ahead, f_0, Tangent(along.step, J, spectrum(J)), of)
                spent += model.dim + cost
            if drift <= FAILURE / 2:
                break
        x = moved
        yield x.view_as(x_0), spent
