"""Descents of as many pairs at a time as memory holds: pairs do not know of each other, so any split will do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F

from ..core.batching import is_out_of_memory
from ..core.memory import free_memory
from ..networks.vision_model import VisionModel
from .optimisers import HISTORIES, Descent, Goal, Objective, Stepper, descend

VECTORS = 68  # of the size of an image that a pair takes at most: twice 20 secant pairs, moments, points, temporaries

MakeStepper = Callable[[Objective, torch.Tensor], Stepper]
"""`(objective, rows) -> stepper` for the pairs `rows` `(R,)` of all, which the objective numbers from 0."""


def pairs_that_fit(start: torch.Tensor) -> int:
    """How many of the flat images `(P,n)` may be stepped at a time in half of the free memory; at least one."""
    each = VECTORS * start.shape[1] * start.element_size()
    return max(1, min(len(start), free_memory(start.device) // 2 // each))


def descend_by_parts(
    model: VisionModel,
    targets: torch.Tensor,
    max_evaluations: int,
    start: torch.Tensor,
    make: MakeStepper,
    goal: Goal,
    scale: torch.Tensor,
    progress: str | None = None,
) -> Descent:
    """`descend` for as many pairs at a time as fit in memory; pairs that ran out of it begin anew, half as many.

    Pairs that were not begun when it was stopped stand at their start, with NaN for embeddings and no evaluations.
    """
    parts: list[Descent] = []
    first, size, stopped = 0, pairs_that_fit(start), None
    try:
        while first < len(start) and stopped is None:
            rows = torch.arange(first, min(first + size, len(start)), device=start.device)
            objective = Objective(model, targets[rows], max_evaluations)
            fresh = partial(make, objective, rows)
            part = _unless_memory_ends(objective, start[rows], fresh, goal, scale[rows], progress)
            if part is None:
                size = len(rows) // 2
                continue
            parts.append(part)
            first, stopped = first + len(rows), part.stopped
    except (Exception, KeyboardInterrupt) as error:
        if not parts:
            raise
        stopped = error
    return _joined(parts, start, targets, stopped)


def _unless_memory_ends(
    objective: Objective,
    start: torch.Tensor,
    make: Callable[[], Stepper],
    goal: Goal,
    scale: torch.Tensor,
    progress: str | None,
) -> Descent | None:
    """A descent, or None where several pairs were too many: nothing that holds their memory leaves this function."""
    try:
        found = descend(objective, start, make(), goal, scale, progress)
    except (MemoryError, RuntimeError) as error:
        if len(start) == 1 or not is_out_of_memory(error):
            raise
        return None
    out_of_memory = found.stopped is not None and is_out_of_memory(found.stopped)
    return None if out_of_memory and len(start) > 1 else found


def _joined(parts: list[Descent], start: torch.Tensor, targets: torch.Tensor, stopped: BaseException | None) -> Descent:
    """The parts as one; pairs behind them were not begun."""
    if len(parts) == 1 and len(parts[0].x) == len(start):
        return parts[0]
    rest = slice(sum(len(part.x) for part in parts), None)
    none = torch.zeros(len(start[rest]), dtype=torch.long, device=start.device)
    nothing = start.new_empty(len(none), 0)
    parts = [
        *parts,
        Descent(
            start[rest],
            torch.full_like(targets[rest], torch.nan),
            none.bool(),
            none,
            nothing,
            nothing,
            nothing,
            nothing,
            stopped,
        ),
    ]
    steps = max(part.loss.shape[1] for part in parts)

    def joined(name: str) -> torch.Tensor:
        each = [getattr(part, name) for part in parts]
        if name in HISTORIES:
            each = [F.pad(history, (0, steps - history.shape[1]), value=torch.nan) for history in each]
        return torch.cat(each)

    return Descent(**{name: joined(name) for name in Descent._fields[:-1]}, stopped=stopped)
