"""The 20 largest singular values of a Jacobian that nobody has computed yet."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, svds

import vitgeom_nb as vg
from vitgeom_nb.jacobian import jacobian_rows, jvp, vjp
from vitgeom_nb.spectrum import spectrum

from .floor import multiply, passes
from .harness import Contender
from .networks import SMALL, pictures

LARGE = ("ViT-B/16",)
ROWS = 16  # of all of J at 224


def networks(size: str) -> tuple[str, ...]:
    """One network at 224: all of its J takes minutes."""
    return {"small": SMALL, "large": LARGE, "all": SMALL + LARGE}[size]


def count(model: vg.VisionModel) -> int:
    return min(20, model.dim // 2)


def settings(model: vg.VisionModel) -> dict[str, Any]:
    return {"values": count(model), "components": model.dim, "pixels": 3 * model.size**2, "tolerance": 1e-6}


@cache
def exact(model: vg.VisionModel) -> np.ndarray | None:
    """The values from all of J, where that is quick."""
    if model.size > 200:
        return None
    return spectrum(jacobian_rows(model, pictures(model, 1)[0])).values[: count(model)].cpu().numpy()


def contenders(model: vg.VisionModel) -> list[Contender]:
    x, k = pictures(model, 1), count(model)
    rows = model.dim if model.size < 200 else ROWS
    some = torch.eye(model.dim, device=model.device, dtype=model.dtype)[:rows]
    shape = (model.dim, 3 * model.size**2)
    spent = [0]

    def error(values: np.ndarray) -> dict[str, float]:
        s = exact(model)
        return {} if s is None else {"error": float(np.abs(values / s - 1).max())}

    def ours() -> Any:
        return vg.leading_singular_values(model, x, k)

    def described(found: Any) -> dict[str, float]:
        spent[0] = int(found.products[0])
        bound = float((found.error_bound / found.singular_value).max())
        out = {"products": spent[0], "bound": bound, "converged": float(found.converged[0])}
        return out | error(found.singular_value.values[0])

    def all_of_it() -> np.ndarray:
        return spectrum(jacobian_rows(model, x[0], some)).values[:k].cpu().numpy()

    def push(v: np.ndarray) -> np.ndarray:
        return jvp(model, x, torch.from_numpy(v).to(x).view_as(x))[0].cpu().numpy()

    def pull(u: np.ndarray) -> np.ndarray:
        return vjp(model, x, torch.from_numpy(u).to(x).view(1, -1))[0].flatten().cpu().numpy()

    def by_scipy() -> np.ndarray:
        operator = LinearOperator(shape, matvec=push, rmatvec=pull, dtype=np.float32)
        start = np.random.default_rng(0).standard_normal(model.dim).astype(np.float32)
        return np.sort(svds(operator, k, tol=1e-6, v0=start, return_singular_vectors=False))[::-1]

    def floor() -> None:
        multiply(spent[0] * passes(model)[0], model.device, model.dtype)  # a product is a pass

    checked = error if rows == model.dim else None
    out = [
        Contender("vitgeom", "ours", ours, described),
        Contender("all of J, then its spectrum", "peer", all_of_it, checked, rows / model.dim),
        Contender("scipy svds on products", "peer", by_scipy, error),
        Contender("as many passes, as matrix products", "floor", floor),
    ]
    return out if model.size < 200 else [c for c in out if c.name != "scipy svds on products"]
