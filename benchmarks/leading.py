"""The 20 largest singular values of Jacobians that nobody has computed yet."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, svds

import vitgeom_nb as vg
from vitgeom_nb.jacobians.gram import spectrum
from vitgeom_nb.jacobians.products import jvp_at, vjp_at
from vitgeom_nb.jacobians.rows import jacobian_rows

from .floor import multiply, passes
from .harness import Contender
from .networks import SMALL, pictures

LARGE = ("ViT-B/16",)
ROWS = 16  # of all of J at 224
SHARE = 2  # of the images at 64, for peers that take them one by one


def networks(size: str) -> tuple[str, ...]:
    """One network at 224: all of its J takes minutes."""
    return {"small": SMALL, "large": LARGE, "all": SMALL + LARGE}[size]


def count(model: vg.VisionModel) -> int:
    return min(20, model.dim // 2)


def settings(model: vg.VisionModel) -> dict[str, Any]:
    about = {"values": count(model), "components": model.dim, "pixels": 3 * math.prod(model.size), "tolerance": 1e-6}
    return about | {"images": 8 if model.size[0] < 200 else 1}


@cache
def exact(model: vg.VisionModel) -> np.ndarray | None:
    """The values `(SHARE,k)` from all of J, where that is quick."""
    return by_rows(model, pictures(model, SHARE), model.dim) if model.size[0] < 200 else None


def by_rows(model: vg.VisionModel, x: torch.Tensor, rows: int) -> np.ndarray:
    """The values `(B,k)` of the first rows of J, image by image."""
    some = torch.eye(model.dim, device=model.device, dtype=model.dtype)[:rows]
    return np.stack([spectrum(jacobian_rows(model, image, some)).values[: count(model)].cpu() for image in x])


def contenders(model: vg.VisionModel) -> list[Contender]:
    x, k = pictures(model, settings(model)["images"]), count(model)
    few, rows = x[:SHARE], model.dim if model.size[0] < 200 else ROWS
    shape = (model.dim, 3 * math.prod(model.size))
    spent = [0]

    def error(values: np.ndarray) -> dict[str, float]:
        s = exact(model)
        return {} if s is None else {"error": float(np.abs(values[: len(s)] / s - 1).max())}

    def ours() -> Any:
        return vg.leading_singular_values(model, x, k=k)

    def described(found: Any) -> dict[str, float]:
        spent[0] = int(found.products.sum())
        bound = float((found.error_bound / found.singular_value).max())
        out = {"products": float(found.products.mean()), "bound": bound, "converged": float(found.converged.mean())}
        return out | error(found.singular_value.values)

    def of_one(image: torch.Tensor) -> np.ndarray:
        def push(v: np.ndarray) -> np.ndarray:
            return jvp_at(model, image, torch.from_numpy(v).to(image).view_as(image))[0].cpu().numpy()

        def pull(u: np.ndarray) -> np.ndarray:
            return vjp_at(model, image, torch.from_numpy(u).to(image).view(1, -1))[0].flatten().cpu().numpy()

        operator = LinearOperator(shape, matvec=push, rmatvec=pull, dtype=np.float32)
        start = np.random.default_rng(0).standard_normal(model.dim).astype(np.float32)
        return np.sort(svds(operator, k, tol=1e-6, v0=start, return_singular_vectors=False))[::-1]

    def by_scipy() -> np.ndarray:
        return np.stack([of_one(image[None]) for image in few])

    def by_all_rows() -> np.ndarray:
        return by_rows(model, few, rows)

    def floor() -> None:
        multiply(spent[0] * passes(model)[0], model.device, model.dtype)  # a product is a pass

    checked, part = error if rows == model.dim else None, len(few) / len(x)
    out = [
        Contender("vitgeom", "ours", ours, described),
        Contender("all of J, then its spectrum", "peer", by_all_rows, checked, part * rows / model.dim),
        Contender("scipy svds on products", "peer", by_scipy, error, part),
        Contender("as many passes, as matrix products", "floor", floor),
    ]
    return out if model.size[0] < 200 else [c for c in out if c.name != "scipy svds on products"]
