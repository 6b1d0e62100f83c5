"""How fast the embedding moves along given directions: at given radii, and in the limit."""

from __future__ import annotations

import math

import torch

from ..core.batching import in_batches
from ..jacobians.products import jvp_at
from ..networks.answers import is_finite
from ..networks.vision_model import VisionModel

TANGENTS = 16  # directions of one image that forward mode takes at a time, beside one forward pass


@torch.no_grad()
def constants_along(
    model: VisionModel,
    pixels: torch.Tensor,
    start: torch.Tensor,
    directions: torch.Tensor,
    radii: torch.Tensor,
    out: torch.Tensor | None = None,
    first: int = 0,
) -> torch.Tensor:
    """`||f(x + r v) - f(x)|| / r`, `(B,K,R)` in float64, by forward passes alone, in full batches whatever B, K and R.

    Images are `(B,3,H,W)`, their embeddings `start` `(B,D)` in float64, unit directions `(B,K,n)` or `(1,K,n)`.
    Constants are written to `out` as they come. The first image has the number `first`.
    """
    shape, r = (len(pixels), directions.shape[1], len(radii)), radii.to(pixels.device)

    def constant(row: torch.Tensor) -> torch.Tensor:
        image, direction, at = torch.unravel_index(row, shape)
        step = directions[image % len(directions), direction].mul_(r[at, None].to(pixels.dtype))
        there = step.view(-1, *pixels.shape[1:]).add_(pixels[image])
        away = (model.embed(there).double() - start[image]).norm(dim=-1) / r[at]
        known = directions[image % len(directions), direction].isfinite().all(1)  # J may have no such direction
        model.refuse(known & ~is_finite(away[:, None]), "embedding", "a step from image", first + image)
        return away

    rows = torch.arange(math.prod(shape), device=pixels.device)
    flat = None if out is None else out.view(-1)
    return in_batches(constant, rows, size=model.batch_size, progress="LLDLC", out=flat).view(shape)


def slopes_along(model: VisionModel, pixels: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """`||J v||` `(B,K)` in float64 by forward mode, for images and directions as `constants_along` takes them."""
    count = directions.shape[1]
    ways = directions.view(len(directions), count, *pixels.shape[1:])

    def of_images(image: torch.Tensor) -> torch.Tensor:
        x, own = pixels[image], ways[image % len(ways)].transpose(0, 1)
        # x is not batched: one forward pass for all directions
        products = torch.func.vmap(lambda v: jvp_at(model, x, v))
        return in_batches(lambda v: products(v).double().norm(dim=-1), own, size=TANGENTS).T

    images = torch.arange(len(pixels), device=pixels.device)
    found = in_batches(of_images, images, size=max(1, 4 * TANGENTS // min(count, TANGENTS)), progress="slopes")
    return model.finite(found, "product with J")
