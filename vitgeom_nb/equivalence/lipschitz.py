"""Local directional Lipschitz constants (LLDLC) of an embedding, and the law behind their ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import xarray as xr

from .batching import in_batches
from .directions import random_directions, unit
from .errors import ArgumentError
from .jacobian import jacobian_rows, jvp
from .matching import match
from .measurement import Stopwatch, Variable, measurement
from .progress import tqdm
from .spectrum import TOLERANCE, Spectrum, check_tolerance, right_vectors, spectrum
from .steps import RADII, check_count, check_radii, null_and_normal, radius_coords, rounding_error
from .vision_model import VisionModel

KINDS = ("random", "matching", "top", "null")
Found = dict[str, torch.Tensor]  # by kind of direction
TANGENTS = 16  # directions of one image that forward mode takes at a time, beside one forward pass


def slope_square_sd(parts: Spectrum, n: int) -> float:
    r"""Standard deviation of `||J v||^2 / E ||J v||^2` over unit vectors v uniform on the sphere in n dimensions.

    `E ||J v||^2 = ||J||_F^2 / n` and `Var = 2 (n tr A^2 - (tr A)^2) / (n^2 (n + 2))` with A = J^T J.
    NaN where J is zero.
    """
    squares = parts.values.square()
    ratio = float(squares.square().sum() / squares.sum().square())
    return max(0.0, 2 * (n * ratio - 1) / (n + 2)) ** 0.5


@torch.no_grad()
def constants_along(
    model: VisionModel, pixels: torch.Tensor, start: torch.Tensor, directions: torch.Tensor, radii: torch.Tensor
) -> torch.Tensor:
    """`||f(x + r v) - f(x)|| / r`, `(B,K,R)` in float64, by forward passes alone, in full batches whatever B, K and R.

    Images are `(B,3,H,W)`, their embeddings `start` `(B,D)` in float64, unit directions `(B,K,n)` or `(1,K,n)`.
    """
    shape, r = (len(pixels), directions.shape[1], len(radii)), radii.to(pixels.device)

    def constant(row: torch.Tensor) -> torch.Tensor:
        image, along, at = torch.unravel_index(row, shape)
        step = directions[image % len(directions), along].mul_(r[at, None].to(pixels.dtype))
        there = step.view(-1, *pixels.shape[1:]).add_(pixels[image])
        return (model.embed(there).double() - start[image]).norm(dim=-1) / r[at]

    rows = torch.arange(math.prod(shape), device=pixels.device)
    return in_batches(constant, rows, size=model.batch_size(), progress="LLDLC").view(shape)


def slopes_along(model: VisionModel, pixels: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """`||J v||` `(B,K)` in float64 by forward mode, for images and directions as `constants_along` takes them."""
    count = directions.shape[1]
    ways = directions.view(len(directions), count, *pixels.shape[1:])

    def of_images(image: torch.Tensor) -> torch.Tensor:
        x, own = pixels[image], ways[image % len(ways)].transpose(0, 1)
        products = torch.func.vmap(lambda v: jvp(model, x, v))  # x is not batched: one forward pass for all directions
        return in_batches(lambda v: products(v).double().norm(dim=-1), own, size=TANGENTS).T

    images = torch.arange(len(pixels), device=pixels.device)
    return in_batches(of_images, images, size=max(1, 4 * TANGENTS // min(count, TANGENTS)), progress="slopes")


def lldlc(
    model: VisionModel,
    images: Any,
    directions: Sequence[str] = KINDS,
    radii: Sequence[float] = RADII[::2],
    seed: int = 0,
    targets: Any = None,
    count: int = 16,
    tolerance: float = TOLERANCE,
    slopes: bool = True,
) -> xr.Dataset:
    r"""Local directional Lipschitz constants of the embedding: how far it moves per unit of pixel change.

    .. math:: L(x; v, r) = \frac{\|f(x + r v) - f(x)\|}{r}, \qquad \|v\| = 1, \qquad
              \lim_{r \to 0} L = \|J v\| \le s_1

    A random direction has `E ||J v||^2 = ||J||_F^2 / n`, so at small radii the top direction beats the root mean
    square of random ones by `s_1 sqrt(n) / ||J||_F = sqrt(n / stable rank)`, whatever the network.

    Parameters
    ----------
    model, images
        The network, and `(B,3,H,W)` in [0,1] or what `samples()` returns. The images x + r v are not clamped to [0,1].
    directions
        Which kinds: `"random"` (isotropic, the same for every image), `"matching"` (from the image to the
        minimum-change match that `match` finds for its target), `"top"` (v_1 and -v_1), `"null"` (the random ones
        projected on the null space of J).
    radii
        Euclidean norms r, in units of pixel value, increasing.
    seed
        Of the random directions.
    targets
        The image that each one is matched to, as many as `images`; each image's successor in the batch unless told.
    count
        How many random and null directions.
    tolerance
        Singular values below this share of the largest are null.
    slopes
        Whether to measure the limits of random and matching directions where no Jacobian is there to give them. They
        come by forward mode, about two forward passes a direction; without them constants are forward passes alone.

    Returns
    -------
    xarray.Dataset
        `lldlc(image, kind, direction, radius)` and its limit `slope(image, kind, direction)` = ||J v||, NaN where a
        kind has fewer directions. With top or null directions, which take the whole Jacobian of each image:
        `top_singular_value`, `stable_rank`, `predicted_ratio` = sqrt(n / stable rank), each `(image)`.
        With top and random directions `measured_ratio(image, radius)`, root mean squares of the two
        kinds divided, `limit_ratio(image)`, the same of slopes, and `ratio_error(image)`, the relative standard error
        of both that the number of random directions leaves. With matching ones `match_distance(image)` in Euclidean
        norm and `match_cosine(image)`. Rounding adds at most about `rounding(image)` / r to a constant.

    Raises
    ------
    ArgumentError
        If a kind is unknown or another parameter out of range, a single image comes without a target to match, or
        targets and images are not as many or are the same.
    ImageError
        If images or targets are not what the model takes.

    Notes
    -----
    [salman2024], local directional Lipschitz constants; the law for their ratio is ours.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> model = vg.wrap(net, mean=[0] * 3, std=[1] * 3, size=4, dtype=torch.float64)
    >>> result = vg.lldlc(model, torch.rand(2, 3, 4, 4), directions=("random", "top"), radii=(0.1, 1.0))
    >>> bool(abs(result.lldlc.sel(kind="top") / result.top_singular_value - 1).max() < 1e-9)
    True
    """
    pixels, watch = model.pixels(images), Stopwatch()
    r = check_radii(radii)
    check_count(count)
    check_tolerance(tolerance)
    kinds = list(directions)
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds or len(set(kinds)) < len(kinds):
        raise ArgumentError(f"directions is {tuple(kinds)}; name each kind once, out of {', '.join(KINDS)}.")
    match_result = match(model, pixels, _targets(pixels, targets)) if "matching" in kinds else None
    n = pixels[0].numel()
    drawn = random_directions(count, pixels[0], seed).flatten(1)
    ways = {"random": drawn[None]} if "random" in kinds else {}
    if match_result is not None:
        ways["matching"] = unit(torch.from_numpy(match_result.matched.values).to(pixels) - pixels).flatten(1)[:, None]
    with torch.no_grad():
        start = in_batches(model.embed, pixels, size=model.batch_size()).double()
    constants = {kind: constants_along(model, pixels, start, v, r) for kind, v in ways.items()}
    limits: Found = {}
    spectra: list[Spectrum] = []
    if {"top", "null"} & set(kinds):
        more, limits, spectra = _by_jacobian(model, pixels, start, ways, r, kinds, drawn, tolerance)
        constants |= more
    elif slopes:
        limits = {kind: slopes_along(model, pixels, v) for kind, v in ways.items()}
    constant, slope = (_padded([found[kind] for kind in kinds]) if found else None for found in (constants, limits))
    words = "local directional Lipschitz constant, change of the embedding per change of the image"
    lines = ("image", "kind", "direction")
    out = {"lldlc": Variable((*lines, "radius"), constant, "1", words)}
    if slope is not None:
        out["slope"] = Variable(lines, slope, "1", "limit of the constant, ||J v||")
    if spectra:
        out |= _law(kinds, constant, slope, spectra, n, count)
    floor = rounding_error(model, start)
    out["rounding"] = Variable(("image",), floor, "1", "rounding error of a change of the embedding")
    if match_result is not None:
        out["match_distance"] = Variable(("image",), match_result.change_norm, "1", "Euclidean distance to the match")
        out["match_cosine"] = Variable(("image",), match_result.cosine, "1", "cosine of match and target embeddings")
    return measurement(
        out,
        coords={"kind": kinds, **radius_coords(r, n)},
        model=model,
        seed=seed,
        seconds=watch.seconds,
        count=count,
        tolerance=tolerance,
        pixels=n,
    )


def _targets(pixels: torch.Tensor, targets: Any) -> Any:
    if targets is None and len(pixels) == 1:
        raise ArgumentError('The matching direction of a single image needs targets=..., or leave "matching" out.')
    return pixels.roll(-1, 0) if targets is None else targets


def _by_jacobian(
    model: VisionModel,
    pixels: torch.Tensor,
    start: torch.Tensor,
    ways: Mapping[str, torch.Tensor],
    r: torch.Tensor,
    kinds: list[str],
    drawn: torch.Tensor,
    tolerance: float,
) -> tuple[Found, Found, list[Spectrum]]:
    """What the Jacobian of each image gives: constants of top and null directions, all slopes, the spectra."""
    constants, slopes, spectra = [], [], []
    for i, x in enumerate(tqdm(pixels, desc="LLDLC, Jacobians", leave=False)):
        J = jacobian_rows(model, x)
        parts, own = spectrum(J, tolerance), {}
        if "top" in kinds:
            top = right_vectors(J, parts, 1).to(x.dtype)
            own["top"] = torch.cat([top, -top])
        if "null" in kinds:
            own["null"] = null_and_normal(J, drawn, parts)[0]
        each = {kind: v[i % len(v)] for kind, v in ways.items()} | own
        here = x[None], start[i : i + 1]
        constants.append({kind: constants_along(model, *here, v[None], r)[0] for kind, v in own.items()})
        slopes.append({kind: (v.double() @ J.double().T).norm(dim=-1) for kind, v in each.items()})
        spectra.append(parts)
    over_images, limits = (
        {kind: torch.stack([row[kind] for row in rows]) for kind in rows[0]} for rows in (constants, slopes)
    )
    return over_images, limits, spectra


def _padded(parts: list[torch.Tensor]) -> torch.Tensor:
    """Stack tensors `(B,K,...)` along a new dimension 1, on the host, with NaN after those of smaller K."""
    rows = [part.transpose(0, 1) for part in parts]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=torch.nan).movedim(2, 0).cpu()


def _law(
    kinds: list[str], constants: torch.Tensor, slopes: torch.Tensor, spectra: list[Spectrum], n: int, count: int
) -> dict[str, Variable]:
    """The ratio of the top constant to random ones, as sqrt(n / stable rank) foretells it and as measured."""
    per_image = ("image",)
    stable = torch.tensor([parts.stable_rank for parts in spectra], dtype=torch.float64)
    top_value = torch.stack([parts.values[0] for parts in spectra])
    out = {
        "top_singular_value": Variable(per_image, top_value, "1", "largest singular value of the Jacobian"),
        "stable_rank": Variable(per_image, stable, "1", "stable rank"),
        "predicted_ratio": Variable(per_image, (n / stable).sqrt(), "1", "sqrt(n / stable rank)"),
    }
    if {"top", "random"} <= set(kinds):
        top, random = (
            [values[:, kinds.index(kind)].square().nanmean(1).sqrt() for values in (constants, slopes)]
            for kind in ("top", "random")
        )
        error = torch.tensor([slope_square_sd(parts, n) for parts in spectra]) / (2 * count**0.5)
        words = "top constant over root mean square of random ones"
        out["measured_ratio"] = Variable(("image", "radius"), top[0] / random[0], "1", words)
        out["limit_ratio"] = Variable(per_image, top[1] / random[1], "1", f"{words}, as the radius goes to 0")
        out["ratio_error"] = Variable(per_image, error, "1", "relative standard error of the ratio")
    return out
