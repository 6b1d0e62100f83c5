"""Where a straight line of images first changes its label: a march along a grid, then bisection."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from .batching import in_batches
from .errors import ArgumentError
from .progress import tqdm
from .vision_model import VisionModel

OUTCOMES = ("crossed", "already wrong", "never wrong")
CROSSED, ALREADY_WRONG, NEVER_WRONG = range(3)


class Search(NamedTuple):
    """How travel distances are searched: the grid of epsilon, the last bracket's width, clamping, rows at once."""

    grid: torch.Tensor
    tolerance: float
    clamp: bool
    batch: int

    @classmethod
    def make(cls, epsilon_max: float, grid: int, tolerance: float, clamp: bool, batch: int) -> Search:
        """Checked: `grid` equal steps from 0 to `epsilon_max`."""
        if not (np.isfinite(epsilon_max) and epsilon_max > 0):
            raise ArgumentError(f"epsilon_max is {epsilon_max}; the search needs a positive, finite end.")
        if grid < 1:
            raise ArgumentError(f"grid is {grid}; the search needs at least one step.")
        if not 0 < tolerance < epsilon_max:
            raise ArgumentError(f"tolerance is {tolerance}; choose one between 0 and epsilon_max = {epsilon_max}.")
        return cls(torch.arange(1, grid + 1, dtype=torch.float64) * (epsilon_max / grid), tolerance, clamp, batch)


class Travel(NamedTuple):
    """Per image, on the host: epsilon (NaN unless crossed), number of the outcome, label where the way ended."""

    epsilon: torch.Tensor
    outcome: torch.Tensor
    reached: torch.Tensor


def moved(start: torch.Tensor, direction: torch.Tensor, epsilon: torch.Tensor, clamp: bool) -> torch.Tensor:
    """`start + epsilon direction` image by image, clamped to [0,1] where asked."""
    there = start + epsilon.to(start).view(-1, 1, 1, 1) * direction
    return there.clamp(0, 1) if clamp else there


@torch.no_grad()
def travel(
    model: VisionModel,
    start: torch.Tensor,
    direction: torch.Tensor,
    labels: torch.Tensor,
    seen: torch.Tensor,
    search: Search,
    title: str,
) -> Travel:
    """Smallest epsilon at which `argmax logits(start + epsilon direction)` is not the label, of every image at once.

    `seen` are the labels the model gives at the start. Images march along the grid until their label changes; then
    every one bisects its own bracket. The upper end of the last bracket is kept: there the label is known to be wrong.
    """

    def label_at(which: torch.Tensor, epsilon: torch.Tensor) -> torch.Tensor:
        def label(rows: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
            at = rows.to(start.device)
            return model.logits(moved(start[at], direction[at], size, search.clamp)).argmax(1)

        return in_batches(label, which, epsilon, size=search.batch).cpu()

    everyone, reached = torch.arange(len(start)), seen.clone()
    outcome = torch.where(reached == labels, NEVER_WRONG, ALREADY_WRONG)
    low, high = (torch.full((len(start),), v, dtype=torch.float64) for v in (0.0, float("nan")))
    marching = everyone[outcome == NEVER_WRONG]
    for epsilon in tqdm(search.grid, desc=title, leave=False):
        if not len(marching):
            break
        reached[marching] = label_at(marching, epsilon.expand(len(marching)))
        wrong = reached[marching] != labels[marching]
        outcome[marching[wrong]], high[marching[wrong]] = CROSSED, epsilon
        marching = marching[~wrong]
        low[marching] = epsilon
    while len(wide := everyone[(outcome == CROSSED) & (high - low > search.tolerance)]):
        middle = 0.5 * (low[wide] + high[wide])
        label = label_at(wide, middle)
        wrong = label != labels[wide]
        high[wide[wrong]], reached[wide[wrong]] = middle[wrong], label[wrong]
        low[wide[~wrong]] = middle[~wrong]
    return Travel(high, outcome, reached)


def beyond(epsilon: Any, outcome: Any) -> np.ndarray:
    """Distances to rank: those never wrong are beyond all others, those already wrong are left out (NaN)."""
    return np.where(np.asarray(outcome) == OUTCOMES[NEVER_WRONG], np.inf, np.asarray(epsilon))


def outcome_names(outcome: torch.Tensor) -> np.ndarray:
    """Outcomes as the words a measurement shows."""
    return np.asarray(OUTCOMES)[outcome.numpy()]
