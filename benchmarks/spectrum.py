"""All singular values of a given Jacobian."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch

import vitgeom_nb as vg
from vitgeom_nb.jacobians.gram import spectrum
from vitgeom_nb.jacobians.rows import jacobian_rows

from .floor import multiply
from .harness import Contender
from .networks import SMALL, pictures

SEEN = 1e-3  # of the largest: below, the rounding of J itself is a larger error


def networks(size: str) -> tuple[str, ...]:
    """Two widths at 224: what counts is the shape of J."""
    return {"small": SMALL, "large": ("ViT-Ti/16", "ViT-B/16"), "all": (*SMALL, "ViT-Ti/16", "ViT-B/16")}[size]


def settings(model: vg.VisionModel) -> dict[str, Any]:
    return {"components": model.dim, "pixels": 3 * math.prod(model.size), "matrix": kind(model)}


def kind(model: vg.VisionModel) -> str:
    return "Jacobian" if model.size[0] < 200 else "random, singular values falling as those of trained networks"


@cache
def matrix(model: vg.VisionModel) -> torch.Tensor:
    """The Jacobian at a photograph; at 224 a random matrix of its shape, whose values fall like 1/i."""
    if model.size[0] < 200:
        return jacobian_rows(model, pictures(model, 1)[0])
    draw = torch.Generator().manual_seed(0)
    left = torch.linalg.qr(torch.randn(model.dim, model.dim, generator=draw))[0]
    right = torch.randn(model.dim, 3 * math.prod(model.size), generator=draw) / (3 * math.prod(model.size)) ** 0.5
    return ((left / torch.arange(1, model.dim + 1)) @ right).to(model.device)


@cache
def exact(model: vg.VisionModel) -> torch.Tensor:
    """Singular values in float64, by a QR factorisation and a singular value decomposition."""
    return torch.linalg.svdvals(torch.linalg.qr(matrix(model).double().T, mode="r")[1])


def error(model: vg.VisionModel, found: torch.Tensor) -> dict[str, float]:
    """The largest relative error of singular values that the rounding of J leaves something to be seen of."""
    s = exact(model)
    seen = s > SEEN * s[0]
    return {"error": float((found.double()[: len(s)] / s - 1)[seen].abs().max())}


def contenders(model: vg.VisionModel) -> list[Contender]:
    J = matrix(model)

    def checked(found: torch.Tensor) -> dict[str, float]:
        return error(model, found)

    def by_single_gram() -> torch.Tensor:
        return torch.linalg.eigvalsh(J @ J.T).flip(0).clamp_min(0).sqrt()

    def by_qr() -> torch.Tensor:
        return torch.linalg.svdvals(torch.linalg.qr(J.T, mode="r")[1])

    def floor() -> None:
        multiply(model.dim**2 * J.shape[1], model.device, torch.float64)  # half of J J^T

    return [
        Contender("vitgeom", "ours", lambda: spectrum(J).values, checked),
        Contender("torch.linalg.svdvals", "peer", lambda: torch.linalg.svdvals(J), checked),
        Contender("QR of the transpose", "peer", by_qr, checked),
        Contender("Gram matrix in float32", "peer", by_single_gram, checked),
        Contender("half of J J^T alone", "floor", floor),
    ]
