"""From an image to all singular values of its Jacobian: rows and spectrum together, and the memory they take."""

from __future__ import annotations

import math
from typing import Any

import torch

import vitgeom_nb as vg

from . import spectrum
from .floor import multiply, passes
from .harness import Contender
from .jacobian import by_torch, jacrev
from .networks import SMALL, pictures


def networks(size: str) -> tuple[str, ...]:
    """One small network at 224: a larger one takes minutes a round."""
    return {"small": SMALL, "large": ("ViT-Ti/16",), "all": (*SMALL, "ViT-Ti/16")}[size]


def held(model: vg.VisionModel) -> int:
    """Rows in memory for the variant that does not store J: a quarter."""
    return -(-model.dim // 4)


def settings(model: vg.VisionModel) -> dict[str, Any]:
    return {"components": model.dim, "pixels": 3 * math.prod(model.size), "held": held(model)}


def contenders(model: vg.VisionModel) -> list[Contender]:
    x = pictures(model, 1)
    by_rows = jacrev(model, x, *by_torch(model), count=model.dim)

    def ours(held: int | None = None) -> torch.Tensor:
        return torch.from_numpy(vg.singular_spectrum(model, x, held=held).singular_value.values[0])

    def by_svd() -> torch.Tensor:
        return torch.linalg.svdvals(by_rows().detach().flatten(1))

    def error(found: torch.Tensor) -> dict[str, float]:
        return spectrum.error(model, found) if model.size[0] < 200 else {}

    def floor() -> None:
        multiply(model.dim * passes(model)[1], model.device, model.dtype)
        multiply(model.dim**2 * x.numel(), model.device, torch.float64)

    return [
        Contender("singular_spectrum", "ours", ours, error),
        Contender("singular_spectrum, J not stored", "variant", lambda: ours(held(model)), error),
        Contender("jacrev, then svdvals", "peer", by_svd, error),
        Contender("matrix products alone", "floor", floor),
    ]
