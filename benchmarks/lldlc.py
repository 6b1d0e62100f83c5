"""Local Lipschitz constants along random directions, beside as many forward passes and a loop over directions."""

from __future__ import annotations

from typing import Any

import torch

import vitgeom_nb as vg
from vitgeom_nb.core.random_directions import random_directions
from vitgeom_nb.jacobians.step_response import RADII

from .forward import raw
from .harness import Contender
from .networks import pictures

R = RADII[::2]


def settings(model: vg.VisionModel) -> dict[str, Any]:
    small = model.size[0] < 200
    return {"images": 8 if small else 1, "directions": 16, "radii": len(R), "batch": model.batch_size}


@torch.no_grad()
def one_by_one(model: vg.VisionModel, x: torch.Tensor, count: int) -> torch.Tensor:
    """Constants of every image, direction and radius, one forward pass at a time."""
    rows = []
    for image in x:
        start = model.embed(image[None])
        for v in random_directions(image[None], count, 0)[0]:
            rows += [(model.embed((image + r * v)[None]) - start).norm() / r for r in R]
    return torch.stack(rows)


def contenders(model: vg.VisionModel) -> list[Contender]:
    about = settings(model)
    x, directions = pictures(model, about["images"]), about["directions"]
    count = len(x) * (1 + directions * len(R))

    def ours(slopes: bool) -> Any:
        return vg.lldlc(model, x, kinds=("random",), radii=R, directions=directions, slopes=slopes)

    def taken(out: Any) -> dict[str, float]:
        return {"evaluations": float(count)}

    return [
        Contender("lldlc", "ours", lambda: ours(False), taken),
        Contender("lldlc, with the limits by forward mode", "variant", lambda: ours(True), taken),
        Contender("a loop over directions and radii", "peer", lambda: one_by_one(model, x, directions), taken),
        Contender("as many forward passes", "floor", lambda: raw(model.embed, x[:1], count, about["batch"]), taken),
    ]
