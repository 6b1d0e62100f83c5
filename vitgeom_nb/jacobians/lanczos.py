"""The largest singular values of the Jacobian without the Jacobian: Golub-Kahan-Lanczos bidiagonalisation."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import xarray as xr

from ..core.arguments import checked
from ..core.batching import each_batch
from ..core.measurement import Stopwatch, Variable, measurement
from ..core.random_directions import generator
from ..errors import ArgumentError, keeping
from ..networks.rounding import rounding
from ..networks.vision_model import VisionModel
from .bidiagonalisation import Lanczos, Products
from .products import vjp_at
from .singular_spectrum import check_k

MOST = 8  # images at a time: each keeps a basis of the pixel space
EVERY = 5  # steps between two looks at the bounds: each waits for the device


def rounding_of_values(model: VisionModel, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    r"""How far rounding of J alone moves its singular values at x, `(B,)`: J is J + E in the model's precision.

    No value moves by more than `||E||_2` (Weyl). Where components of u `(B,D)` are independent and standard normal,
    `||E^T u||^2` is in the mean `||E||_F^2`, which is no less.
    """
    return rounding(model, lambda m: vjp_at(m, x.to(m.dtype), u.to(m.dtype)).flatten(1)).norm(dim=1)


class Leading(NamedTuple):
    """The first k triplets of a batch of J, what the steps leave open and rounding adds, and what they took."""

    values: torch.Tensor
    residuals: torch.Tensor
    rounding: torch.Tensor
    products: torch.Tensor
    converged: torch.Tensor
    left: torch.Tensor
    right: torch.Tensor


def bidiagonalised(
    products: Products, start: torch.Tensor, k: int, tolerance: float, steps: int, vectors: bool = True
) -> Leading:
    """The first `k` triplets from J^T u for u in `start` `(B,D)`, after `steps` steps at most.

    The batch goes on until its last J has converged; `products` counts to where each one had. A residual below the
    machine epsilon of the largest value is not brought down any further.
    """
    first = products.finite(products.pull(start))
    lanczos = Lanczos(products, first, steps)
    spent = torch.zeros(len(start), dtype=torch.long, device=start.device)
    while True:
        lanczos.advance()
        if lanczos.steps < steps and (lanczos.steps < k or (lanczos.steps - k) % EVERY):
            continue
        products.finite(lanczos.left)
        values, p, q, residuals = lanczos.values()
        enough = torch.maximum(tolerance * values, torch.finfo(start.dtype).eps * values[:, :1])
        converged = (residuals <= enough)[:, :k].all(1)
        spent = torch.where(converged & (spent > 0), spent, 2 * lanczos.steps + 1)
        if lanczos.steps == steps or bool(converged.all()):
            break
    at = lanczos.steps if vectors else 0
    left = torch.einsum("bji,bjm->bim", p[:, :at, :k].to(start.dtype), lanczos.left[:, :at])
    right = torch.einsum("bij,bjn->bin", q[:, :k, :at].to(start.dtype), lanczos.right[:, :at])
    signs = torch.where(right.sum(2, keepdim=True) < 0, -1.0, 1.0)
    return Leading(values[:, :k], residuals[:, :k], lanczos.rounding(), spent, converged, left * signs, right * signs)


@checked
def leading_singular_values(
    model: VisionModel,
    images: Any,
    *,
    k: int = 20,
    tolerance: float = 1e-6,
    vectors: bool = False,
    max_products: int | None = None,
    seed: int = 0,
) -> xr.Dataset:
    r"""The k largest singular values of the Jacobian of the embedding, each with a bound on its error, without J.

    Golub-Kahan-Lanczos bidiagonalisation with full reorthogonalisation on products `J v` and `J^T u`, for a batch of
    images at a time, until each residual is below `tolerance` times its value, or of the size of rounding, or the
    products are spent.

    Parameters
    ----------
    model, images
        The network, and `(B,3,H,W)` in [0,1] or what `samples()` returns.
    k
        How many.
    tolerance
        Relative residual to stop at. Two values no further apart than that may be found as one.
    vectors
        Also return the singular vectors.
    max_products
        Products an image may take; enough for all singular values unless told.
    seed
        Of the random direction that it starts from.

    Returns
    -------
    xarray.Dataset
        `singular_value(image, rank)` and `error_bound(image, rank)`, how far from it the nearest singular value of J
        can be: the sum of `residual(image, rank)`, `||J^T u - s v||`, which is what the steps leave open (Weyl), and of
        `rounding(image)`, measured: how far the model's own precision moves singular values, about 1e-6 of the largest
        in float32; `products(image)` with J or its transpose, without those that measure rounding, and
        `converged(image)`, whether every residual met the tolerance or is below rounding; with `vectors`,
        `right_vector(image, rank, channel, y, x)`, `left_vector(image, rank, component)` and `pixels`, the images.

    Raises
    ------
    ArgumentError
        If `k`, `tolerance` or `max_products` is out of range.
    ImageError
        If the images are not what the model takes.
    ModelError
        If the products are NaN or infinite.
    Interrupted
        If someone stops it after the first batch; `finished` then has the images that are done.

    Notes
    -----
    G. Golub and W. Kahan, 1965. A value that J has twice is found once, as by every method that starts from one
    vector; the singular values of trained networks do not coincide. For D up to about 250 all of J is as cheap:
    `singular_spectrum`.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3, bias=False))
    >>> net[1].weight.data = torch.zeros(3, 48)
    >>> net[1].weight.data[0, 0], net[1].weight.data[1, 7], net[1].weight.data[2, 9] = 3.0, 4.0, 1.0
    >>> model = vg.wrap(net, mean=[0] * 3, std=[1] * 3, size=4)
    >>> top = vg.leading_singular_values(model, torch.rand(1, 3, 4, 4), k=2)
    >>> top.singular_value.values.round(4), bool(top.converged)
    (array([[4., 3.]]), True)
    """
    pixels, watch = model.pixels(images), Stopwatch()
    most = min(model.dim, pixels[0].numel())
    check_k(k, most, model)
    if not 0 < tolerance < 1:
        raise ArgumentError(f"tolerance is {tolerance}; choose a relative error between 0 and 1, such as 1e-6.")
    if max_products is not None and max_products <= 2 * k:
        raise ArgumentError(f"max_products is {max_products}; {k} singular values take at least {2 * k + 1} products.")
    steps = most if max_products is None else min(most, (max_products - 1) // 2)
    model.embed_in_batches(pixels)  # which must be of a size whose square there is
    start = torch.randn(1, model.dim, generator=generator(seed), dtype=torch.float64).to(model.device, model.dtype)

    def some(x: torch.Tensor, images: torch.Tensor) -> Leading:
        u = start.expand(len(x), -1)
        found = bidiagonalised(Products(model, x, images), u, k, tolerance, steps, vectors)
        return found._replace(rounding=found.rounding + rounding_of_values(model, x, u))

    parts: list[Leading] = []

    def result() -> xr.Dataset:
        found = Leading(*(torch.cat(each) for each in zip(*parts, strict=True)))
        return measurement(
            _variables(found, pixels[: len(found.values)], vectors),
            coords={"rank": range(1, k + 1)},
            model=model,
            seed=seed,
            seconds=watch.seconds,
            tolerance=tolerance,
            max_products=max_products,
        )

    def done() -> int:
        return sum(len(part.values) for part in parts)

    with keeping(result, done, len(pixels), "images"):
        size, title = min(MOST, model.batch_size), f"leading singular values of {model.name}"
        numbers = torch.arange(len(pixels), device=pixels.device)
        for part in each_batch(some, pixels, numbers, size=size, progress=title):
            parts.append(part)
    return result()


def _variables(found: Leading, pixels: torch.Tensor, vectors: bool) -> dict[str, Variable]:
    by_rank, picture = ("image", "rank"), ("channel", "y", "x")
    out = {
        "singular_value": Variable(by_rank, found.values, "embedding / pixel", "singular value of the Jacobian"),
        "error_bound": Variable(
            by_rank,
            found.residuals + found.rounding[:, None],
            "embedding / pixel",
            "bound on the distance to a singular value of the Jacobian",
        ),
        "residual": Variable(by_rank, found.residuals, "embedding / pixel", "residual of the singular triplet"),
        "rounding": Variable(
            ("image",), found.rounding, "embedding / pixel", "how far rounding moves the singular values"
        ),
        "products": Variable(("image",), found.products, "1", "products with the Jacobian or its transpose"),
        "converged": Variable(("image",), found.converged, "1", "whether every residual met the tolerance"),
    }
    if vectors:
        right = found.right.unflatten(2, pixels.shape[1:])
        out["right_vector"] = Variable((*by_rank, *picture), right, "1", "right singular vector")
        out["left_vector"] = Variable((*by_rank, "component"), found.left, "1", "left singular vector")
        out["pixels"] = Variable(("image", *picture), pixels, "pixel", "the image")
    return out
