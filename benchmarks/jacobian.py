"""Rows of the Jacobian: 256 at 64 pixels, 16 at 224, for each row takes as long as every other."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch

import vitgeom_nb as vg
from vitgeom_nb.jacobians.chunks import FEWEST, TRIED, chunk_in_use
from vitgeom_nb.jacobians.rows import jacobian_rows, reduction_error
from vitgeom_nb.networks.differentiation import batched_reverse_mode

from .floor import multiply, passes
from .harness import Contender, inherited
from .networks import pictures

CHUNKS = (8, 16, 32, 64)
CHECKED = 8  # rows whose error is measured
REDUCED = 64  # rows computed in bfloat16, which processors without units for it do slowly


def rows(model: vg.VisionModel) -> int:
    return min(model.dim, 256) if model.size[0] < 200 else 16


def settings(model: vg.VisionModel) -> dict[str, Any]:
    pixels = 3 * math.prod(model.size)
    return {"rows": rows(model), "components": model.dim, "pixels": pixels, "chunk": by_clock(model)}


def by_clock(model: vg.VisionModel) -> int:
    """The chunk that ours finds fastest on the first rows of a whole J, as a part of one may have too few to tell."""

    def find() -> str:
        draw = torch.Generator().manual_seed(0)
        few = torch.randn(2 * sum(max(size, FEWEST) for size in TRIED) + 1, model.dim, generator=draw).to(
            model.device, model.dtype
        )
        jacobian_rows(model, pictures(model, 1)[0], few)
        return str(chunk_in_use(model))

    return int(inherited(f"CHUNK_{model.name}", find))


def by_torch(model: vg.VisionModel) -> tuple[int, bool]:
    """The chunk size of jacrev, and whether attention is unfused, that take the least time."""

    def find() -> str:
        x, times = pictures(model, 1), {}
        for chunk in CHUNKS:
            for unfused in (False, True):
                if chunk <= max(8, rows(model)):
                    start = time.perf_counter()
                    jacrev(model, x, chunk, unfused)()
                    times[f"{chunk} {unfused:d}"] = time.perf_counter() - start
        return min(times, key=times.__getitem__)

    chunk, unfused = map(int, inherited(f"JACREV_{model.name}", find).split())
    return chunk, bool(unfused)


def jacrev(
    model: vg.VisionModel, x: torch.Tensor, chunk: int, unfused: bool, count: int | None = None
) -> Callable[[], torch.Tensor]:
    """The first `count` rows of J by torch; as many as this contest asks for unless told."""

    def some(x: torch.Tensor) -> torch.Tensor:
        return model.embed(x)[0, : count or rows(model)]

    def run() -> torch.Tensor:
        if not unfused:
            return torch.func.jacrev(some, chunk_size=chunk)(x)
        with batched_reverse_mode():
            return torch.func.jacrev(some, chunk_size=chunk)(x)

    return run


def contenders(model: vg.VisionModel) -> list[Contender]:
    x, count = pictures(model, 1), rows(model)
    some = torch.eye(model.dim, device=model.device, dtype=model.dtype)[:count]
    chunk, unfused = by_torch(model)
    own = by_clock(model)
    few = min(REDUCED, count)

    def one_by_one(count: int = count) -> torch.Tensor:
        leaf = x.clone().requires_grad_()
        f = model.embed(leaf)
        return torch.stack([torch.autograd.grad(f[0, i], leaf, retain_graph=True)[0].flatten() for i in range(count)])

    def error(found: torch.Tensor) -> dict[str, float]:
        exact = one_by_one(min(CHECKED, count))
        return {"error": float((found.flatten(1)[: len(exact)] - exact).norm() / exact.norm())}

    def whole() -> torch.Tensor:
        return torch.autograd.functional.jacobian(lambda x: model.embed(x)[0, :count], x)

    def floor() -> None:
        multiply(count * passes(model)[1], model.device, model.dtype)

    def less() -> torch.Tensor:
        return jacobian_rows(model, x[0], some[:few], precision=torch.bfloat16)

    out = [
        Contender("vitgeom", "ours", lambda: jacobian_rows(model, x[0], some, own), error),
        Contender(
            "torch.func.jacrev",
            "peer",
            jacrev(model, x, chunk, unfused),
            lambda J: error(J) | {"peer_chunk": chunk, "unfused": float(unfused)},
        ),
        Contender("torch.autograd.functional.jacobian", "peer", whole, error),
        Contender("a loop of torch.autograd.grad", "peer", one_by_one),
        Contender("matrix products alone", "floor", floor),
    ]
    if model.dtype == torch.float32:
        estimated = {"estimated_error": reduction_error(model, x[0], torch.bfloat16, seed=0)}
        out.insert(1, Contender("vitgeom in bfloat16", "variant", less, lambda J: error(J) | estimated, few / count))
    return out
