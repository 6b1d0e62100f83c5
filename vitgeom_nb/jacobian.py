r"""The Jacobian J = df/dx of an embedding: rows, products, singular spectrum, null space.

Arrays in this module are `(D, n)`: D components of the embedding, n = 3HW pixel values in the order of
`image.flatten()`. Products and rows need no J in memory; `jacobian_matrix` holds one image's J.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import xarray as xr

from .batching import in_batches
from .derivatives import all_derivatives
from .errors import ArgumentError, ModelError
from .measurement import Stopwatch, Variable, measurement
from .vision_model import VisionModel

COLUMNS = 16384  # columns of J taken to float64 at a time
TOLERANCE = 1e-5  # of the largest singular value; the rounding of a float32 J stays a decade below


def jvp(model: VisionModel, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """J v by forward mode, image by image: `x` and `v` are `(B,3,H,W)`, the result is `(B,D)`."""
    with all_derivatives():
        return torch.func.jvp(model.embed, (x,), (v,))[1].detach()


def vjp(model: VisionModel, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """J^T u by reverse mode, image by image: `x` is `(B,3,H,W)`, `u` is `(B,D)`, the result is `(B,3,H,W)`."""
    with all_derivatives(), torch.enable_grad():
        leaf = x.detach().requires_grad_()
        return torch.autograd.grad(model.embed(leaf), leaf, u)[0]


def jacobian_rows(
    model: VisionModel,
    image: torch.Tensor,
    cotangents: torch.Tensor,
    chunk: int | None = None,
    progress: str | None = None,
) -> torch.Tensor:
    """`cotangents @ J` at one image by vectorised reverse mode; one forward, chunks of cotangents that fit.

    Parameters
    ----------
    image
        `(3,H,W)` or `(1,3,H,W)`, on the model's device and in its dtype.
    cotangents
        `(K,D)`; the identity gives J itself.
    chunk
        Cotangents at a time, halved when memory runs out; by the size of the image unless told.
    progress
        Title of a progress bar; none unless given.

    Returns
    -------
    torch.Tensor
        `(K,n)`.
    """
    x = image.detach().reshape(1, *image.shape[-3:])
    if chunk is None:
        chunk = min(64, max(8, 2**17 // (x.shape[-2] * x.shape[-1])))
    with all_derivatives():
        pullback = torch.func.vjp(model.embed, x)[1]
        rows = torch.func.vmap(lambda u: pullback(u[None])[0].flatten())
        return in_batches(rows, cotangents, size=chunk, progress=progress)


def jacobian_matrix(
    model: VisionModel, image: torch.Tensor, chunk: int | None = None, progress: str | None = None
) -> torch.Tensor:
    """All of J at one image `(3,H,W)`: a `(D,n)` tensor. See `jacobian_rows`.

    Raises
    ------
    ModelError
        If J holds NaN or infinity.
    """
    eye = torch.eye(model.dim, device=model.device, dtype=model.dtype)
    rows = jacobian_rows(model, image, eye, chunk, progress)
    if not bool(torch.isfinite(rows).all()):
        raise ModelError(f"The Jacobian of {model.name} holds NaN or infinity at this image; try dtype=torch.float64.")
    return rows


class Spectrum(NamedTuple):
    """Singular values of one J, largest first, and its left vectors.

    `values` is `(R,)` and `left` `(D,R)`, both float64, R = min(D, n); `rank` counts the values above the tolerance,
    whose right vectors span the normal space.
    """

    values: torch.Tensor
    left: torch.Tensor
    rank: int

    @property
    def stable_rank(self) -> float:
        r"""`||J||_F^2 / s_1^2`; NaN where J is zero."""
        return float(self.values.square().sum() / self.values[0].square())


def spectrum(J: torch.Tensor, tolerance: float = TOLERANCE) -> Spectrum:
    r"""Singular values and left vectors of J `(D,n)` from `J J^T`, accumulated in float64.

    The Gram matrix squares the values, so it resolves them down to about 1e-8 of the largest, which is below the
    rounding of a float32 J; what lies under `tolerance * s_1` is called null. The cost is one D x n x D product and a
    D x D eigenproblem, whatever n. Signs, which are free, make the entries of each right vector sum to more than zero.
    """
    gram = sum(part.double() @ part.double().T for part in J.split(COLUMNS, dim=1))
    squares, left = torch.linalg.eigh(gram)
    count = min(J.shape)
    values, left = squares.flip(0)[:count].clamp_min(0).sqrt(), left.flip(1)[:, :count]
    signs = torch.where(J.double().sum(1) @ left < 0, -1.0, 1.0)
    return Spectrum(values, left * signs, int((values > tolerance * values[0]).sum()))


def right_vectors(J: torch.Tensor, parts: Spectrum, k: int | None = None) -> torch.Tensor:
    """The first `k` right singular vectors `(k,n)`, float64; NaN where the value is null, for J says nothing there."""
    k = len(parts.values) if k is None else k
    scaled = (parts.left[:, :k] / parts.values[:k]).T
    right = torch.cat([scaled @ part.double() for part in J.split(COLUMNS, dim=1)], dim=1)
    right[parts.rank :] = torch.nan
    return right


def project_null(J: torch.Tensor, v: torch.Tensor, parts: Spectrum | None = None) -> torch.Tensor:
    """The part of `v` that J does not see, `v - J^+ J v`: `(n,)` or `(K,n)` in, the same out, in the dtype of `v`.

    J^+ uses the singular values that the `rank` of `parts` counts (computed from J unless given). What is left of
    J v is rounding. The remainder `v - project_null(J, v)` lies in the normal space.
    """
    parts = spectrum(J) if parts is None else parts
    wide, kept = J.double(), parts.left[:, : parts.rank]
    inverse = (kept / parts.values[: parts.rank].square()) @ kept.T
    out = v.double()
    for _ in range(2):  # the second pass removes what rounding left of the first
        out = out - (out @ wide.T) @ inverse @ wide
    return out.to(v.dtype)


def jacobian(model: VisionModel, images: Any) -> xr.Dataset:
    r"""The Jacobian `J = df/dx` of the embedding at each image, exact to rounding, by reverse mode.

    Parameters
    ----------
    model
        The network; J is in its dtype.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns. J takes B x D x n numbers.

    Returns
    -------
    xarray.Dataset
        `jacobian(image, component, channel, y, x)`, in embedding units per unit of pixel value (black to white).

    Raises
    ------
    ImageError
        If the images are not what the model takes.
    ModelError
        If J holds NaN or infinity.

    Notes
    -----
    [salman2024], the local linear map whose singular spectrum they study.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> model = vg.wrap(net, mean=[0] * 3, std=[1] * 3, size=4)
    >>> J = vg.jacobian(model, torch.rand(2, 3, 4, 4)).jacobian
    >>> bool((J[0].values.reshape(5, 48) == net[1].weight.detach().numpy()).all())
    True
    """
    pixels, watch = model.pixels(images), Stopwatch()
    rows = [
        jacobian_matrix(model, x, progress=f"Jacobian {i + 1}/{len(pixels)}").view(model.dim, *x.shape)
        for i, x in enumerate(pixels)
    ]
    dims = ("image", "component", "channel", "y", "x")
    values = Variable(dims, torch.stack(rows), "1", "Jacobian of the embedding")
    return measurement({"jacobian": values}, model=model, seconds=watch.seconds)


def singular_spectrum(
    model: VisionModel, images: Any, k: int | None = None, vectors: bool = False, tolerance: float = TOLERANCE
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
        Keep the k largest singular values; all min(D, n) unless told. Stable rank and ranks always use them all.
    vectors
        Also return the singular vectors.
    tolerance
        Relative size below which a value counts as null.

    Returns
    -------
    xarray.Dataset
        `singular_value(image, rank)`, `energy(image, rank)`, the share of ||J||_F^2 up to there, `stable_rank(image)`,
        `frobenius(image)` = ||J||_F, `numerical_rank(image)`,
        `null_by_counting` and `null_dimensions(image)`; with `vectors`, `right_vector(image, rank, channel, y, x)`
        and `left_vector(image, rank, component)`, right ones NaN where the value is null, and `pixels`, the images.

    Raises
    ------
    ArgumentError
        If `k` is not between 1 and min(D, n), or `tolerance` not between 0 and 1.
    ImageError
        If the images are not what the model takes.

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
    if not 1 <= k <= most:
        raise ArgumentError(f"k is {k}; J of {model.name} has {most} singular values, so choose k from 1 to {most}.")
    check_tolerance(tolerance)
    values, ranks, stable, right, left = [], [], [], [], []
    for i, x in enumerate(pixels):
        J = jacobian_matrix(model, x, progress=f"spectrum {i + 1}/{len(pixels)}")
        parts = spectrum(J, tolerance)
        values.append(parts.values)
        ranks.append(parts.rank)
        stable.append(parts.stable_rank)
        if vectors:
            v = right_vectors(J, parts, k)
            right.append(v.to(model.dtype).view(k, *x.shape))
            left.append(parts.left.T[:k].to(model.dtype))
    all_values = torch.stack(values)
    rank = torch.tensor(ranks)
    shares = all_values.square().cumsum(1) / all_values.square().sum(1, keepdim=True)
    out = {
        "energy": Variable(("image", "rank"), shares[:, :k], "1", "share of ||J||_F^2 in the singular values so far"),
        "singular_value": Variable(("image", "rank"), all_values[:, :k], "1", "singular value of the Jacobian"),
        "stable_rank": Variable(("image",), stable, "1", "stable rank"),
        "frobenius": Variable(("image",), all_values.norm(dim=1), "1", "Frobenius norm of the Jacobian"),
        "numerical_rank": Variable(("image",), rank, "1", "dimensions of the normal space"),
        "null_by_counting": Variable((), n - most, "1", "null dimensions by counting, n - min(D, n)"),
        "null_dimensions": Variable(("image",), n - rank, "1", "dimensions of the null space"),
    }
    if vectors:
        out["right_vector"] = Variable(
            ("image", "rank", "channel", "y", "x"), torch.stack(right), "1", "right singular vector"
        )
        out["pixels"] = Variable(("image", "channel", "y", "x"), pixels, "1", "the image")
        out["left_vector"] = Variable(("image", "rank", "component"), torch.stack(left), "1", "left singular vector")
    return measurement(
        out,
        coords={"rank": range(1, k + 1)},
        model=model,
        seconds=watch.seconds,
        tolerance=tolerance,
        pixels=n,
        dim=model.dim,
    )


def check_tolerance(tolerance: float) -> None:
    """Raise ArgumentError unless `tolerance` is a relative size."""
    if not 0 < tolerance < 1:
        raise ArgumentError(f"tolerance is {tolerance}; choose a relative size between 0 and 1, such as {TOLERANCE}.")
