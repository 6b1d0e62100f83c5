"""The singular spectrum of the Jacobian of an embedding at each image."""

from __future__ import annotations

from typing import Any

import torch
import xarray as xr

from ..core.arguments import checked
from ..core.measurement import Stopwatch, Variable, measurement
from ..core.memory import free_memory
from ..errors import ArgumentError, keeping
from ..networks.vision_model import VisionModel
from .gram import TOLERANCE, Rows, Spectrum, check_tolerance, from_gram, right_vectors_of, tiled_gram
from .rows import jacobian_blocks, jacobian_rows, reduced, reduction_error


def rows_that_fit(model: VisionModel, n: int) -> int:
    """Rows of J that a third of the free memory holds."""
    return max(1, free_memory(model.device) // 3 // (n * model.dtype.itemsize))


@checked
def singular_spectrum(
    model: VisionModel,
    images: Any,
    *,
    k: int | None = None,
    vectors: bool = False,
    tolerance: float = TOLERANCE,
    precision: str | None = None,
    held: int | None = None,
    seed: int = 0,
) -> xr.Dataset:
    r"""Singular values of the Jacobian of the embedding, its stable rank, and how much of pixel space is null.

    `J = sum_i s_i u_i v_i^T`, `s_1 >= s_2 >= ...`; stable rank `||J||_F^2 / s_1^2`. The normal space is spanned by
    the v_i with `s_i > tolerance * s_1`, the null space is its complement: `n - min(D, n)` dimensions by counting alone
    and one more for each smaller s_i. An embedding that is the output of a layer norm has two of those at every
    image, because before its scale and shift it cannot change its mean (exactly) or its norm (but for the epsilon in
    the layer norm, about 1e-6 here); after averaging such outputs over tokens only the mean is left.

    Parameters
    ----------
    model, images
        The network, and `(B,3,H,W)` in [0,1] or what `samples()` returns.
    k
        Keep the k largest singular values; all min(D, n) unless told. Stable rank and ranks always use them all;
        `leading_singular_values` finds the first few without the rest.
    vectors
        Also return the singular vectors.
    tolerance
        Relative size below which a value counts as null.
    precision
        `"bfloat16"` or `"float16"` for the matrix products inside a float32 network, as in `jacobian`.
    held
        Rows of J in memory at once; what a third of the free memory holds unless told. If that is fewer than D, rows
        are computed `(D / held + 1) / 2` times, once more for `vectors`, and J is never stored.
    seed
        Of the random cotangents that estimate the error of a reduced precision.

    Returns
    -------
    xarray.Dataset
        `singular_value(image, rank)`, `energy(image, rank)`, the share of ||J||_F^2 up to there, `stable_rank(image)`,
        `frobenius(image)` = ||J||_F, `numerical_rank(image)`,
        `null_by_counting` and `null_dimensions(image)`; with `vectors`, `right_vector(image, rank, channel, y, x)`
        and `left_vector(image, rank, component)`, right ones NaN where the value is null, and `pixels`, the images;
        with a reduced `precision`, `jacobian_error(image)`, the estimated relative error of J in the Frobenius norm,
        and `rank_tolerance(image)`, which then takes the place of `tolerance`: `jacobian_error * ||J||_F / s_1` where
        that is more, for such an error can move a singular value so far (Weyl).

    Raises
    ------
    ArgumentError
        If `k` is not between 1 and min(D, n), `tolerance` not between 0 and 1, `held` not positive, or there is no
        such precision.
    ImageError
        If the images are not what the model takes.
    ModelError
        If J holds NaN or infinity.
    Interrupted
        If someone stops it after the first image; `finished` then has the images that are done.

    Notes
    -----
    [salman2024], singular values of the local Jacobian. Values come from a Gram matrix accumulated in float64 and
    mean something down to about 1e-8 of the largest, or to the rounding of J (about 1e-6 in float32).

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2, bias=False))
    >>> net[1].weight.data = torch.zeros(2, 48)
    >>> net[1].weight.data[0, 0], net[1].weight.data[1, 7] = 3.0, 4.0
    >>> model = vg.wrap(net, mean=[0] * 3, std=[1] * 3, size=4)
    >>> vg.singular_spectrum(model, torch.rand(1, 3, 4, 4)).singular_value.values
    array([[4., 3.]])
    """
    pixels, watch = model.pixels(images), Stopwatch()
    n = pixels[0].numel()
    most = min(model.dim, n)
    k = most if k is None else k
    check_k(k, most, model)
    check_tolerance(tolerance)
    if held is not None and held < 1:
        raise ArgumentError(f"held is {held}; at least one row of J must be in memory at a time.")
    less = reduced(precision, model)
    fit = rows_that_fit(model, n) if held is None else held
    done: list[Spectrum] = []
    right: list[torch.Tensor] = []
    errors: list[float] = []

    def result() -> xr.Dataset:
        here = pixels[: len(errors)]
        out = _variables(done[: len(errors)], n, k)
        if less is not None:
            out["jacobian_error"] = Variable(("image",), errors, "1", "estimated relative error of the Jacobian")
            limit = [parts.tolerance for parts in done[: len(errors)]]
            out["rank_tolerance"] = Variable(("image",), limit, "1", "relative size below which a value counts as null")
        if vectors:
            v = torch.stack(right[: len(errors)]).to(model.dtype).view(len(here), k, *here.shape[1:])
            u = torch.stack([parts.left.T[:k].to(model.dtype) for parts in done[: len(errors)]])
            out["right_vector"] = Variable(("image", "rank", "channel", "y", "x"), v, "1", "right singular vector")
            out["pixels"] = Variable(("image", "channel", "y", "x"), here, "pixel", "the image")
            out["left_vector"] = Variable(("image", "rank", "component"), u, "1", "left singular vector")
        return measurement(
            out,
            coords={"rank": range(1, k + 1)},
            model=model,
            seed=seed,
            seconds=watch.seconds,
            tolerance=tolerance,
            precision=precision or "full",
            pixels=n,
            dim=model.dim,
        )

    with keeping(result, lambda: len(errors), len(pixels), "images"):
        for i, x in enumerate(pixels):
            rows = _rows(model, x, fit, less, f"spectrum {i + 1}/{len(pixels)}", f"image {i}")
            error = reduction_error(model, x, less, seed)
            done.append(from_gram(*tiled_gram(rows, model.dim, fit), most, tolerance, error))
            if vectors:
                right.append(right_vectors_of(rows(0), done[-1], k))
            errors.append(error)
    return result()


def _rows(model: VisionModel, x: torch.Tensor, fit: int, less: torch.dtype | None, title: str, of: str) -> Rows:
    """The rows of J: kept if `fit` of them are all of them, else computed whenever they are asked for."""
    if fit >= model.dim:
        J = jacobian_rows(model, x, progress=title, precision=less, of=of)
        return lambda first: [J[first:]]
    eye = torch.eye(model.dim, device=model.device, dtype=model.dtype)
    return lambda first: jacobian_blocks(model, x, eye[first:], progress=title, precision=less, of=of)


def _variables(each: list[Spectrum], n: int, k: int) -> dict[str, Variable]:
    values = torch.stack([parts.values for parts in each])
    rank = torch.tensor([parts.rank for parts in each])
    shares = values.square().cumsum(1) / values.square().sum(1, keepdim=True)
    per_image, by_rank = ("image",), ("image", "rank")
    stable = [parts.stable_rank for parts in each]
    return {
        "energy": Variable(by_rank, shares[:, :k], "1", "share of ||J||_F^2 in the singular values so far"),
        "singular_value": Variable(by_rank, values[:, :k], "embedding / pixel", "singular value of the Jacobian"),
        "stable_rank": Variable(per_image, stable, "1", "stable rank"),
        "frobenius": Variable(per_image, values.norm(dim=1), "embedding / pixel", "Frobenius norm of the Jacobian"),
        "numerical_rank": Variable(per_image, rank, "1", "dimensions of the normal space"),
        "null_by_counting": Variable((), n - values.shape[1], "1", "null dimensions by counting, n - min(D, n)"),
        "null_dimensions": Variable(per_image, n - rank, "1", "dimensions of the null space"),
    }


def check_k(k: int, most: int, model: VisionModel) -> None:
    """Raise ArgumentError unless J has k singular values."""
    if not 1 <= k <= most:
        raise ArgumentError(f"k is {k}; J of {model.name} has {most} singular values, so choose k from 1 to {most}.")
