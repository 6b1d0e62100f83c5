"""Local directional Lipschitz constants (LLDLC) of an embedding, and the law behind their ratio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import xarray as xr

from ..core.arguments import checked
from ..core.batching import in_batches
from ..core.measurement import Stopwatch, Variable, measurement
from ..core.progress import tqdm
from ..core.random_directions import random_directions, unit
from ..errors import ArgumentError, keeping
from ..jacobians.gram import TOLERANCE, Spectrum, check_tolerance, directional_derivatives, right_vectors, spectrum
from ..jacobians.rows import jacobian_rows
from ..jacobians.step_response import RADII, check_count, check_radii, null_and_normal, radius_coords
from ..networks.rounding import rounding_of_change
from ..networks.vision_model import VisionModel
from .constants_along import constants_along, slopes_along
from .matching import checked_pairs, match

KINDS = ("random", "gradient", "matching", "top", "null")
Found = dict[str, torch.Tensor]  # by kind of direction


def slope_square_sd(parts: Spectrum, n: int) -> float:
    r"""Standard deviation of `||J v||^2 / E ||J v||^2` over unit vectors v uniform on the sphere in n dimensions.

    `E ||J v||^2 = ||J||_F^2 / n` and `Var = 2 (n tr A^2 - (tr A)^2) / (n^2 (n + 2))` with A = J^T J.
    NaN where J is zero.
    """
    squares = parts.values.square()
    ratio = float(squares.square().sum() / squares.sum().square())
    return max(0.0, 2 * (n * ratio - 1) / (n + 2)) ** 0.5


@checked
def lldlc(
    model: VisionModel,
    images: Any,
    *,
    kinds: Sequence[str] = KINDS,
    directions: int = 16,
    radii: Sequence[float] = RADII[::2],
    seed: int = 0,
    targets: Any = None,
    max_evaluations: int = 1000,
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
    kinds
        Which: `"random"` (isotropic, every image has its own), `"gradient"` (the first step of plain gradient descent
        toward the embedding t of the image's target, `J^T (t - f(x))`), `"matching"` (from the image to the
        minimum-change match that `match` finds for its target: the secant of the whole way), `"top"` (v_1 and -v_1),
        `"null"` (the random ones projected on the null space of J).
    directions
        How many random and null directions.
    radii
        Euclidean norms r, in units of pixel value, increasing.
    seed
        Of the random directions.
    targets
        The image whose embedding each one is moved toward, as many as `images`; each image's successor in the
        batch unless told.
    max_evaluations
        Of each match, forward and backward passes. One that has not arrived by then gives the direction to where it is.
    tolerance
        Singular values below this share of the largest are null.
    slopes
        Whether to measure the limits of random, gradient and matching directions where no Jacobian is there to give
        them. They come by forward mode, about two forward passes a direction; without them constants are forward
        passes alone.

    Returns
    -------
    xarray.Dataset
        `lldlc(image, kind, direction, radius)` and its limit `slope(image, kind, direction)` = ||J v||, NaN where a
        kind has fewer directions. With top or null directions, which take the whole Jacobian of each image:
        `top_singular_value`, `stable_rank`, `predicted_ratio` = sqrt(n / stable rank), each `(image)`.
        With top and random directions `measured_ratio(image, radius)`, root mean squares of the two
        kinds divided, `limit_ratio(image)`, the same of slopes, and `ratio_error(image)`, the relative standard error
        of both that the number of random directions leaves. With matching ones `match_distance(image)` in Euclidean
        norm, `match_cosine(image)` and `match_arrived(image)`, whether the match met its goal. Rounding adds at
        most about `rounding(image)` / r to a constant.

    Raises
    ------
    ArgumentError
        If a kind is unknown or another parameter out of range, a single image comes without a target to move toward,
        or targets and images are not as many or are the same.
    ImageError
        If images or targets are not what the model takes.
    Interrupted
        If someone stops it after the first constants; `finished` then has NaN for those that were not measured.

    Notes
    -----
    [salman2024], local directional Lipschitz constants; the law for their ratio is ours.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> model = vg.wrap(net, mean=[0] * 3, std=[1] * 3, size=4, dtype=torch.float64)
    >>> result = vg.lldlc(model, torch.rand(2, 3, 4, 4), kinds=("random", "top"), radii=(0.1, 1.0))
    >>> bool(abs(result.lldlc.sel(kind="top") / result.top_singular_value - 1).max() < 1e-9)
    True
    """
    pixels, watch = model.pixels(images), Stopwatch()
    r = check_radii(radii)
    check_count(directions)
    check_tolerance(tolerance)
    kinds = list(kinds)
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds or len(set(kinds)) < len(kinds):
        raise ArgumentError(f"kinds is {tuple(kinds)}; name each once, out of {', '.join(KINDS)}.")
    goals = _targets(pixels, targets) if {"gradient", "matching"} & set(kinds) else None
    n, by_jacobian = pixels[0].numel(), bool({"top", "null"} & set(kinds))
    drawn = random_directions(pixels, directions, seed).flatten(2)
    start, floor = model.embed_in_batches(pixels).double(), rounding_of_change(model, pixels)
    counts = {kind: {"gradient": 1, "matching": 1, "top": 2}.get(kind, directions) for kind in kinds}
    constants = {kind: start.new_full((len(pixels), count, len(r)), torch.nan) for kind, count in counts.items()}
    limits = {kind: start.new_full((len(pixels), count), torch.nan) for kind, count in counts.items()}
    spectra: list[Spectrum] = []
    distance, cosine = (torch.full((len(pixels),), torch.nan, dtype=model.dtype) for _ in range(2))
    arrived = torch.zeros(len(pixels), dtype=torch.bool)

    def result() -> xr.Dataset:
        constant, slope = (_padded([found[kind] for kind in kinds]) for found in (constants, limits))
        words = "local directional Lipschitz constant, change of the embedding per change of the image"
        lines = ("image", "kind", "direction")
        out = {"lldlc": Variable((*lines, "radius"), constant, "embedding / pixel", words)}
        if slopes or by_jacobian:
            out["slope"] = Variable(lines, slope, "embedding / pixel", "limit of the constant, ||J v||")
        if spectra:
            out |= _law(kinds, constant, slope, spectra, n, directions)
        out["rounding"] = Variable(("image",), floor, "embedding", "rounding error of a change of the embedding")
        if "matching" in kinds:
            out["match_distance"] = Variable(("image",), distance, "pixel", "Euclidean distance to the match")
            out["match_cosine"] = Variable(("image",), cosine, "1", "cosine of match and target embeddings")
            out["match_arrived"] = Variable(("image",), arrived, "1", "whether the match met its goal")
        return measurement(
            out,
            coords={"kind": kinds, **radius_coords(r, n)},
            model=model,
            seed=seed,
            seconds=watch.seconds,
            directions=directions,
            tolerance=tolerance,
            max_evaluations=max_evaluations if "matching" in kinds else None,
            pixels=n,
        )

    def done() -> int:
        return sum(int((~constant.isnan()).sum()) for constant in constants.values())

    with keeping(result, done, sum(constant.numel() for constant in constants.values()), "constants"):
        ways = {"random": drawn} if "random" in kinds else {}
        for kind, v in ways.items():
            constants_along(model, pixels, start, v, r, constants[kind])
        if "gradient" in kinds:
            ways["gradient"] = descent_directions(model, *checked_pairs(model, pixels, goals)).flatten(1)[:, None]
            constants_along(model, pixels, start, ways["gradient"], r, constants["gradient"])
        if "matching" in kinds:
            found = match(model, pixels, goals, max_evaluations=max_evaluations)
            for into, key in ((distance, "change_norm"), (cosine, "cosine"), (arrived, "converged")):
                into[:] = torch.from_numpy(found[key].values)
            matched = torch.from_numpy(found.matched.values).to(pixels)
            ways["matching"] = unit(matched - pixels).flatten(1)[:, None]
            constants_along(model, pixels, start, ways["matching"], r, constants["matching"])
        if by_jacobian:
            for i, x in enumerate(tqdm(pixels, desc="LLDLC, Jacobians", leave=False)):
                J = jacobian_rows(model, x, of=f"image {i}")
                parts = spectrum(J, tolerance)
                own = _own_directions(J, parts, kinds, drawn[i])
                for kind, v in own.items():
                    constants[kind][i] = constants_along(model, x[None], start[i : i + 1], v[None], r, first=i)[0]
                for kind, v in ({kind: v[i % len(v)] for kind, v in ways.items()} | own).items():
                    limits[kind][i] = directional_derivatives(J, v).norm(dim=-1)
                spectra.append(parts)
        elif slopes:
            for kind, v in ways.items():
                limits[kind][:] = slopes_along(model, pixels, v)
    return result()


def descent_directions(model: VisionModel, pixels: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Unit directions `(B,3,H,W)` of the first step of gradient descent, `J^T (t - f(x))`, toward the targets.

    NaN where the embeddings of image and target are the same.
    """
    t = model.embed_in_batches(targets)

    def downhill(x: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            loss = (model.embed(x) - goal).square().sum() / 2
            return -torch.autograd.grad(loss, x)[0]

    return unit(in_batches(downhill, pixels, t, size=model.batch_size))


def _targets(pixels: torch.Tensor, targets: Any) -> Any:
    if targets is None and len(pixels) == 1:
        raise ArgumentError(
            "A single image needs targets=... to be moved toward, or leave the gradient and matching kinds out."
        )
    return pixels.roll(-1, 0) if targets is None else targets


def _own_directions(J: torch.Tensor, parts: Spectrum, kinds: list[str], drawn: torch.Tensor) -> Found:
    """The directions `(K,n)` of one image that its Jacobian gives."""
    own = {}
    if "top" in kinds:
        top = right_vectors(J, parts, 1).to(J.dtype)
        own["top"] = torch.cat([top, -top])
    if "null" in kinds:
        own["null"] = null_and_normal(J, drawn, parts)[0]
    return own


def _padded(parts: list[torch.Tensor]) -> torch.Tensor:
    """Stack tensors `(B,K,...)` along a new dimension 1, on the host, with NaN after those of smaller K."""
    rows = [part.transpose(0, 1) for part in parts]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=torch.nan).movedim(2, 0).cpu()


def _law(
    kinds: list[str], constants: torch.Tensor, slopes: torch.Tensor, spectra: list[Spectrum], n: int, count: int
) -> dict[str, Variable]:
    """The ratio of the top constant to random ones, as sqrt(n / stable rank) foretells it and as measured."""
    per_image = ("image",)
    stable, top_value, error = torch.full((3, len(constants)), torch.nan, dtype=torch.float64)
    for i, parts in enumerate(spectra):
        stable[i], top_value[i] = parts.stable_rank, parts.values[0]
        error[i] = slope_square_sd(parts, n) / (2 * count**0.5)
    out = {
        "top_singular_value": Variable(
            per_image, top_value, "embedding / pixel", "largest singular value of the Jacobian"
        ),
        "stable_rank": Variable(per_image, stable, "1", "stable rank"),
        "predicted_ratio": Variable(per_image, (n / stable).sqrt(), "1", "sqrt(n / stable rank)"),
    }
    if {"top", "random"} <= set(kinds):
        top, random = (
            [values[:, kinds.index(kind)].square().nanmean(1).sqrt() for values in (constants, slopes)]
            for kind in ("top", "random")
        )
        words = "top constant over root mean square of random ones"
        out["measured_ratio"] = Variable(("image", "radius"), top[0] / random[0], "1", words)
        out["limit_ratio"] = Variable(per_image, top[1] / random[1], "1", f"{words}, as the radius goes to 0")
        out["ratio_error"] = Variable(per_image, error, "1", "relative standard error of the ratio")
    return out
