"""Where a straight line of images first changes its label: a march along a grid, then bisection."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch

from ..core.batching import each_batch
from ..core.progress import tqdm
from ..errors import ArgumentError
from ..networks.answers import is_finite
from ..networks.vision_model import VisionModel

OUTCOMES = ("crossed", "already wrong", "never wrong")
CROSSED, ALREADY_WRONG, NEVER_WRONG, NOT_FINISHED = range(4)
NO_LABEL = -1  # of logits that are NaN; wrong as any other that is not the label


class Search(NamedTuple):
    """How travel distances are searched: the grid of epsilon, halvings of a bracket, clamping."""

    grid: torch.Tensor
    halvings: int
    clamp: bool

    @classmethod
    def make(cls, epsilon_max: float, grid: int, tolerance: float, clamp: bool) -> Search:
        """Checked: `grid` equal steps from 0 to `epsilon_max`, halved until none is wider than `tolerance`."""
        if not (np.isfinite(epsilon_max) and epsilon_max > 0):
            raise ArgumentError(f"epsilon_max is {epsilon_max}; the search needs a positive, finite end.")
        if grid < 1:
            raise ArgumentError(f"grid is {grid}; the search needs at least one step.")
        if not 0 < tolerance < epsilon_max:
            raise ArgumentError(f"tolerance is {tolerance}; choose one between 0 and epsilon_max = {epsilon_max}.")
        step = epsilon_max / grid
        halvings = max(0, math.ceil(math.log2(step / tolerance) - 1e-9))  # rounding shall not add one
        return cls(torch.arange(grid + 1, dtype=torch.float64) * step, halvings, clamp)


class Start(NamedTuple):
    """Where ways start: points and directions `(B,3,H,W)`, the labels seen there, and the confidence in them."""

    point: torch.Tensor
    direction: torch.Tensor
    seen: torch.Tensor
    confidence: torch.Tensor


class Travel(NamedTuple):
    """Per image: epsilon is NaN unless crossed, `reached` the label where the way ended, -1 where it has not begun.

    `confidence` is that at the start, `evaluations` counts forward passes, the one there included, and `width` is that
    of the last bracket, of which epsilon is the upper end.
    """

    epsilon: torch.Tensor
    outcome: torch.Tensor
    reached: torch.Tensor
    confidence: torch.Tensor
    evaluations: torch.Tensor
    width: torch.Tensor

    @classmethod
    def from_points(cls, points: torch.Tensor) -> Travel:
        """That of ways `(B,3,H,W)` that have not begun, on their device."""
        number = torch.zeros(len(points), dtype=torch.long, device=points.device)
        length = torch.full_like(number, torch.nan, dtype=torch.float64)
        return cls(length, number + NOT_FINISHED, number - 1, length.clone(), number, length.clone())

    def on_host(self) -> Travel:
        """The same on the host."""
        return Travel(*(part.cpu() for part in self))

    def done(self) -> int:
        """How many ways have ended."""
        return int((self.outcome != NOT_FINISHED).sum())

    def tolerance(self, asked: float) -> float:
        """The width of brackets: that asked for, or more where the search was stopped."""
        widest = self.width.nan_to_num().max().item()
        return widest if widest > asked * (1 + 1e-6) else asked


def moved(start: torch.Tensor, direction: torch.Tensor, epsilon: torch.Tensor, clamp: bool) -> torch.Tensor:
    """`start + epsilon direction` image by image, clamped to [0,1] where asked."""
    there = start + epsilon.to(start).view(-1, 1, 1, 1) * direction
    return there.clamp(0, 1) if clamp else there


@torch.no_grad()
def travel(
    model: VisionModel, start: Start, labels: torch.Tensor, search: Search, title: str, out: Travel | None = None
) -> Travel:
    """Smallest epsilon at which `argmax logits(point + epsilon direction)` is not the label, of every image at once.

    Images march along the grid in step until their label changes; where those still marching do not fill a batch, each
    looks several steps ahead, no more than a quarter of the way behind it, so that few of them lie beyond its crossing.
    Then all images bisect their own brackets. The upper end of the last bracket is kept: there the label is known to
    be wrong. Everything stays on the model's device; it is waited for once a round of the march, and at the end.
    Logits of another batch may differ by rounding, so a label can too, where two classes meet. What is found is in
    `out` as soon as it is, so that whatever ends the search leaves it there.

    Raises
    ------
    ModelError
        If the way of an image comes to logits that are NaN before it comes to another label.
    """
    out = Travel.from_points(start.point) if out is None else out
    device = start.point.device
    labels, grid, batch = labels.to(device), search.grid.to(device), model.batch_size

    def label_at(which: torch.Tensor, epsilon: torch.Tensor) -> torch.Tensor:
        def label(at: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
            logits = model.logits(moved(start.point[at], start.direction[at], size, search.clamp))
            return torch.where(is_finite(logits), logits.argmax(1), NO_LABEL)

        nonlocal batch
        parts = list(each_batch(label, which, epsilon, size=batch))
        if len(parts) > 1:
            batch = len(parts[-2])  # what did fit; the last part is what was left over
        return torch.cat(parts)

    epsilon, outcome, reached, confidence, evaluations, width = out
    outcome[:] = torch.where(start.seen == labels, NOT_FINISHED, ALREADY_WRONG)
    reached[:], confidence[:], evaluations[:] = start.seen, start.confidence, 1
    step, steps = torch.zeros_like(outcome), len(grid) - 1  # the first wrong point of the grid
    marching, done = (outcome == NOT_FINISHED).nonzero()[:, 0], 0
    with tqdm(total=steps, desc=title, leave=False) as bar:
        while len(marching) and done < steps:
            ahead = max(1, min(batch // len(marching), done // 4, steps - done))
            points = grid[done + 1 : done + 1 + ahead].repeat(len(marching))
            found = label_at(marching.repeat_interleave(ahead), points).view(-1, ahead)
            wrong = found != labels[marching, None]
            first = wrong.int().argmax(1, keepdim=True)  # the first of several largest ones
            crossed = wrong.any(1)
            reached[marching] = torch.where(crossed, found.gather(1, first)[:, 0], labels[marching])
            step[marching] = done + 1 + first[:, 0]
            evaluations[marching] += ahead
            epsilon[marching] = torch.where(crossed, grid[step[marching].clamp(max=steps)], torch.nan)
            width[marching] = torch.where(crossed, grid[1], torch.nan)
            outcome[marching] = torch.where(crossed, CROSSED, NOT_FINISHED)
            marching = marching[~crossed]
            done += ahead
            bar.update(ahead)
    outcome[marching] = NEVER_WRONG
    wide = (outcome == CROSSED).nonzero()[:, 0]
    low, high, label = grid[step[wide] - 1], grid[step[wide]], reached[wide]
    for _ in range(search.halvings if len(wide) else 0):
        middle = 0.5 * (low + high)
        found = label_at(wide, middle)
        wrong = found != labels[wide]
        low, high, label = (torch.where(wrong, *pair) for pair in ((low, middle), (middle, high), (found, label)))
        epsilon[wide], reached[wide], width[wide] = high, label, high - low
        evaluations[wide] += 1
    broken = (outcome == CROSSED) & (reached == NO_LABEL)
    outcome.masked_fill_(broken, NOT_FINISHED)
    epsilon.masked_fill_(broken, torch.nan)
    width.masked_fill_(broken, torch.nan)
    found = out.on_host()
    model.refuse(found.outcome == NOT_FINISHED, "logits", of="the way of image")
    return found


def beyond(epsilon: Any, outcome: Any, already: float = np.nan) -> np.ndarray:
    """Distances to rank: those never wrong are beyond all others, those already wrong are left out, or at `already`."""
    far = np.where(np.asarray(outcome) == OUTCOMES[NEVER_WRONG], np.inf, np.asarray(epsilon))
    return np.where(np.asarray(outcome) == OUTCOMES[ALREADY_WRONG], already, far)


def outcome_names(outcome: torch.Tensor) -> np.ndarray:
    """Outcomes as the words a measurement shows."""
    return np.asarray((*OUTCOMES, "not finished"))[outcome.numpy()]
