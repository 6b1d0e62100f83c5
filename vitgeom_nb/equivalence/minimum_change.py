"""The stepper of minimum-change matching: L-BFGS near the source, long steps for pairs that would not arrive."""

from __future__ import annotations

import torch

from .optimisers import Adam, Goal, Objective
from .proximal_lbfgs import TINY, ProximalLBFGS


def loss_at(goal: Goal, targets: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """The loss `(P,)` at which pairs meet the goal, about: the less of what its residual and its cosine ask for.

    Two embeddings of one norm and cosine c are `2 (1 - c) ||t||^2` apart, squared; rounding tells no cosine from 1 by
    less than a machine epsilon.
    """
    by_cosine = max(1 - goal.cosine, torch.finfo(targets.dtype).eps) * targets.square().sum(1)
    return torch.minimum((goal.residual * scale).square() / 2, by_cosine)


class MinimumChange:
    """Proximal L-BFGS on the loss divided by ||t||^2, and Adam for pairs that would not arrive in time.

    Every `WINDOWS`-th of the budget, but not oftener than every `SHORTEST` evaluations, each pair is asked whether its
    loss, at the pace since it was last asked, or since its source, would meet the goal before the budget is spent. If
    not, Adam takes over: at the kinks of a ReLU network curvature says little of what lies beyond, and long steps reach
    there. A pair that still moves goes on from where it is, in steps that add up to `REACH` in the evaluations it has
    left, but of no less than `ONWARD` and no more than `ANEW`; one that stands still, whose loss has not fallen by a
    tenth, begins anew at its source in steps of `ANEW`. Either has most of the budget left if it is slow from the
    start. The change is then not the least.
    """

    WINDOWS, SHORTEST, LONGEST, FALL, REACH, ONWARD, ANEW = 8, 10, 100, 0.9, 3.0, 0.01, 0.03

    def __init__(self, objective: Objective, anchor: torch.Tensor, goal: Goal, scale: torch.Tensor) -> None:
        self.objective, self.solver = objective, ProximalLBFGS(anchor)
        self.adam: Adam | None = None  # its moments take memory, and few pairs need it
        self.scale = objective.targets.square().sum(1).clamp_min(TINY)
        self.enough = loss_at(goal, objective.targets, scale) / self.scale
        self.window = min(self.LONGEST, max(self.SHORTEST, objective.max_evaluations // self.WINDOWS))
        self.lowest, self.before = (anchor.new_full((len(anchor),), torch.inf) for _ in range(2))
        self.long = torch.zeros(len(anchor), dtype=torch.bool, device=anchor.device)
        self.count = 0

    def __call__(
        self, rows: torch.Tensor, x: torch.Tensor, error: torch.Tensor, gradient: torch.Tensor
    ) -> torch.Tensor:
        """One trial point of `rows`."""
        by_either = self._by_curvature if self.adam is None else self._by_either
        out = by_either(rows, x, error, gradient)
        self.count += 1
        if self.count % self.window:
            return out
        lowest, before = self.lowest[rows], self.before[rows]
        remaining = self.objective.remaining(rows)
        foretold = lowest * (lowest / before) ** (remaining / self.window)
        behind = (foretold > self.enough[rows]) & ~self.long[rows] & before.isfinite()
        still = behind & (lowest > self.FALL * before)
        self.before[rows] = lowest
        self.long[rows] |= behind
        if self.adam is None and bool(behind.any()):  # the host waits here, once in a window
            self.adam = Adam(self.solver.anchor, self.ANEW)
        rate = (self.REACH / remaining.clamp_min(1).to(x)).clamp(self.ONWARD, self.ANEW)
        rate = torch.where(still, self.ANEW, rate)[:, None]
        if self.adam is not None:
            self.adam.lr[rows] = torch.where(behind[:, None], rate, self.adam.lr[rows])
        onward = (x - rate * gradient.sign()).clamp(0, 1)  # which is the first step of Adam
        begin = torch.where(still[:, None], self.solver.anchor[rows], onward)
        return torch.where(behind[:, None], begin, out)

    def _by_curvature(
        self, rows: torch.Tensor, x: torch.Tensor, error: torch.Tensor, gradient: torch.Tensor
    ) -> torch.Tensor:
        """A trial point of L-BFGS; where it has none, a long step, of no consequence but that the pair goes on."""
        scale = self.scale[rows]
        loss = error.square().sum(1) / (2 * scale)
        self.lowest[rows] = torch.minimum(self.lowest[rows], loss)
        self.before[rows] = torch.where(self.before[rows].isinf(), loss, self.before[rows])  # that of the source
        trial = self.solver(rows, x, loss, gradient / scale[:, None])
        stuck = (trial == x).all(1)[:, None]
        return torch.where(stuck, (x - self.ANEW * gradient.sign()).clamp(0, 1), trial)

    def _by_either(
        self, rows: torch.Tensor, x: torch.Tensor, error: torch.Tensor, gradient: torch.Tensor
    ) -> torch.Tensor:
        out, long = torch.empty_like(x), self.long[rows]
        for step, which in ((self.adam, long), (self._by_curvature, ~long)):
            if step is not None and len(some := which.nonzero()[:, 0]):
                out[some] = step(rows[some], x[some], error[some], gradient[some])
        return out
