"""Direction change along random lines, beside as many forward passes and a loop over lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

import vitgeom_nb as vg
from vitgeom_nb.core.random_directions import random_directions

from .harness import Contender
from .networks import pictures

STEPS, EPSILON = 50, 0.05


def settings(model: vg.VisionModel) -> dict[str, Any]:
    images, directions = (2, 10) if model.size[0] < 200 else (1, 4)
    return {"images": images, "directions": directions, "steps": STEPS, "batch": model.batch_size}


@torch.no_grad()
def raw(function: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor, count: int, batch: int) -> None:
    """`function` of `count` images, so many at a time."""
    images = image.expand(min(batch, count), -1, -1, -1).contiguous()
    for done in range(0, count, batch):
        function(images[: count - done])


@torch.no_grad()
def line_by_line(model: vg.VisionModel, x: torch.Tensor, count: int) -> torch.Tensor:
    """Angles along every line, one line at a time."""
    unit = random_directions(x[:1], count, 0)[0] * x[0].numel() ** 0.5
    angles = []
    for image in x:
        for direction in unit:
            z = torch.cat([model.embed((image + k * EPSILON / STEPS * direction)[None]) for k in range(STEPS + 1)])
            moves = z.diff(dim=0)
            cosine = torch.nn.functional.cosine_similarity(moves[1:], moves[:-1], dim=1)
            angles.append(cosine.clamp(-1, 1).acos())
    return torch.stack(angles)


def contenders(model: vg.VisionModel) -> list[Contender]:
    about = settings(model)
    x, directions = pictures(model, about["images"]), about["directions"]
    count, part = len(x) * directions * (STEPS + 1), 1.0 if model.size[0] < 200 else 1 / directions

    def ours() -> Any:
        return vg.direction_change(model, x, directions=directions, steps=STEPS, epsilon=EPSILON)

    def floor() -> None:
        raw(model.embed, x[:1], round(part * count), about["batch"])

    def taken(out: Any) -> dict[str, float]:
        return {"evaluations": float(count)}

    return [
        Contender("direction_change", "ours", ours, taken),
        Contender(
            "a loop over lines and steps", "peer", lambda: line_by_line(model, x, round(part * directions)), taken, part
        ),
        Contender("as many forward passes", "floor", floor, taken, part),
    ]
