"""Where a straight line of images first changes its label: a march along a grid, then bisection."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch

from .batching import each_batch
from .errors import ArgumentError
from .progress import tqdm
from .vision_model import VisionModel

OUTCOMES = ("crossed", "already wrong", "never wrong")
CROSSED, ALREADY_WRONG, NEVER_WRONG = range(3)


class Search(NamedTuple):
    """How travel distances are searched: the grid of epsilon, halvings of a bracket, clamping, images at once."""

    grid: torch.Tensor
    halvings: int
    clamp: bool
    batch: int

    @classmethod
    def make(cls, epsilon_max: float, grid: int, tolerance: float, clamp: bool, batch: int) -> Search:
        """Checked: `grid` equal steps from 0 to `epsilon_max`, halved until none is wider than `tolerance`."""
        if not (np.isfinite(epsilon_max) and epsilon_max > 0):
            raise ArgumentError(f"epsilon_max is {epsilon_max}; the search needs a positive, finite end.")
        if grid < 1:
            raise ArgumentError(f"grid is {grid}; the search needs at least one step.")
        if not 0 < tolerance < epsilon_max:
            raise ArgumentError(f"tolerance is {tolerance}; choose one between 0 and epsilon_max = {epsilon_max}.")
        step = epsilon_max / grid
        halvings = max(0, math.ceil(math.log2(step / tolerance) - 1e-9))  # rounding shall not add one
        return cls(torch.arange(grid + 1, dtype=torch.float64) * step, halvings, clamp, batch)


class Start(NamedTuple):
    """Where ways start: points and directions `(B,3,H,W)`, the labels seen there, and the confidence in them."""

    point: torch.Tensor
    direction: torch.Tensor
    seen: torch.Tensor
    confidence: torch.Tensor


class Travel(NamedTuple):
    """Per image, on the host: epsilon is NaN unless crossed, `reached` the label where the way ended.

    `confidence` is that at the start, `evaluations` counts forward passes, the one there included.
    """

    epsilon: torch.Tensor
    outcome: torch.Tensor
    reached: torch.Tensor
    confidence: torch.Tensor
    evaluations: torch.Tensor


def moved(start: torch.Tensor, direction: torch.Tensor, epsilon: torch.Tensor, clamp: bool) -> torch.Tensor:
    """`start + epsilon direction` image by image, clamped to [0,1] where asked."""
    there = start + epsilon.to(start).view(-1, 1, 1, 1) * direction
    return there.clamp(0, 1) if clamp else there


@torch.no_grad()
def travel(model: VisionModel, start: Start, labels: torch.Tensor, search: Search, title: str) -> Travel:
    """Smallest epsilon at which `argmax logits(point + epsilon direction)` is not the label, of every image at once.

    Images march along the grid in step until their label changes; where those still marching do not fill a batch, each
    looks several steps ahead, no more than a quarter of the way behind it, so that few of them lie beyond its crossing.
    Then all images bisect their own brackets. The upper end of the last bracket is kept: there the label is known to
    be wrong. Everything stays on the model's device; it is waited for once a round of the march and never in the
    bisection. Logits of another batch may differ by rounding, so a label can too, where two classes meet.
    """
    device = start.point.device
    labels, grid, batch = labels.to(device), search.grid.to(device), search.batch

    def label_at(which: torch.Tensor, epsilon: torch.Tensor) -> torch.Tensor:
        def label(at: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
            return model.logits(moved(start.point[at], start.direction[at], size, search.clamp)).argmax(1)

        nonlocal batch
        parts = list(each_batch(label, which, epsilon, size=batch))
        if len(parts) > 1:
            batch = len(parts[-2])  # what did fit; the last part is what was left over
        return torch.cat(parts)

    outcome = torch.where(start.seen == labels, NEVER_WRONG, ALREADY_WRONG)
    reached, evaluations = start.seen.clone(), torch.ones_like(outcome)
    step, steps = torch.zeros_like(outcome), len(grid) - 1  # the first wrong point of the grid
    marching, done = (outcome == NEVER_WRONG).nonzero()[:, 0], 0
    with tqdm(total=steps, desc=title, leave=False) as bar:
        while len(marching) and done < steps:
            ahead = max(1, min(batch // len(marching), done // 4, steps - done))
            points = grid[done + 1 : done + 1 + ahead].repeat(len(marching))
            found = label_at(marching.repeat_interleave(ahead), points).view(-1, ahead)
            wrong = found != labels[marching, None]
            first = wrong.int().argmax(1, keepdim=True)  # the first of several largest ones
            crossed = wrong.any(1)
            outcome[marching] = torch.where(crossed, CROSSED, NEVER_WRONG)
            reached[marching] = torch.where(crossed, found.gather(1, first)[:, 0], labels[marching])
            step[marching] = done + 1 + first[:, 0]
            evaluations[marching] += ahead
            marching = marching[~crossed]
            done += ahead
            bar.update(ahead)
    wide = (outcome == CROSSED).nonzero()[:, 0]
    low, high, label = grid[step[wide] - 1], grid[step[wide]], reached[wide]
    for _ in range(search.halvings if len(wide) else 0):
        middle = 0.5 * (low + high)
        found = label_at(wide, middle)
        wrong = found != labels[wide]
        low, high, label = (torch.where(wrong, *pair) for pair in ((low, middle), (middle, high), (found, label)))
    epsilon = torch.full_like(outcome, torch.nan, dtype=grid.dtype)
    epsilon[wide], reached[wide] = high, label
    evaluations[wide] += search.halvings
    return Travel(*(part.cpu() for part in (epsilon, outcome, reached, start.confidence, evaluations)))


def beyond(epsilon: Any, outcome: Any) -> np.ndarray:
    """Distances to rank: those never wrong are beyond all others, those already wrong are left out (NaN)."""
    return np.where(np.asarray(outcome) == OUTCOMES[NEVER_WRONG], np.inf, np.asarray(epsilon))


def outcome_names(outcome: torch.Tensor) -> np.ndarray:
    """Outcomes as the words a measurement shows."""
    return np.asarray(OUTCOMES)[outcome.numpy()]
