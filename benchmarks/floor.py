"""The floor: as many multiplications as a task needs, as large matrix products at the rate of this machine."""

from __future__ import annotations

from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

import vitgeom_nb as vg

SIDE = 1024


@cache
def passes(model: vg.VisionModel) -> tuple[float, float]:
    """Floating-point operations of one forward pass, and of one backward pass to the pixels, for one image."""
    x = torch.full((1, 3, *model.size), 0.5, device=model.device, dtype=model.dtype, requires_grad=True)
    with FlopCounterMode(display=False) as forward:
        f = model.embed(x)
    with FlopCounterMode(display=False) as backward:
        f.sum().backward()
    return float(forward.get_total_flops()), float(backward.get_total_flops())


def multiply(operations: float, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
    """Square matrix products of so many floating-point operations in all."""
    a = torch.ones(SIDE, SIDE, device=device, dtype=dtype)
    out, left = torch.empty_like(a), operations
    while left > 0:
        rows = min(SIDE, max(1, int(left / (2 * SIDE**2))))
        torch.mm(a[:rows], a, out=out[:rows])
        left -= 2 * SIDE**2 * rows
