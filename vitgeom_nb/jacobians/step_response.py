"""Steps of equal norm from an image: how far the embedding moves, and how well its Jacobian foretells it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from ..core.arguments import checked
from ..core.batching import in_batches
from ..core.measurement import Stopwatch, Variable, measurement
from ..core.progress import tqdm
from ..core.random_directions import random_directions
from ..errors import ArgumentError, keeping
from ..networks.rounding import rounding_of_change
from ..networks.vision_model import VisionModel
from .gram import TOLERANCE, Spectrum, check_tolerance, directional_derivatives, project_null, spectrum
from .rows import jacobian_rows

RADII = tuple(10 ** (k / 4) for k in range(-12, 5))  # Euclidean norms 0.001 to 10, four to a decade
KINDS = ("null", "random", "normal")


def check_radii(radii: Sequence[float]) -> torch.Tensor:
    """`radii` as a float64 tensor.

    Raises
    ------
    ArgumentError
        If there are none, or they are not positive, finite and increasing.
    """
    out = torch.as_tensor(radii, dtype=torch.float64)
    if out.ndim != 1 or len(out) == 0 or not bool((out > 0).all() & out.isfinite().all() & (out.diff() > 0).all()):
        raise ArgumentError("radii must be positive, finite and increasing Euclidean norms, such as (0.01, 0.1, 1).")
    return out


def check_count(directions: int) -> None:
    """Raise ArgumentError unless there is at least one direction."""
    if directions < 1:
        raise ArgumentError(f"There are {directions} directions of a kind to be measured; ask for at least one.")


def embedding_steps(
    model: VisionModel, image: torch.Tensor, directions: torch.Tensor, radii: torch.Tensor, of: str = "this image"
) -> torch.Tensor:
    """f(x + r v) - f(x) for one image `(3,H,W)`, K directions `(K,n)` and R radii: `(K,R,D)` in float64.

    Rows of a direction that is NaN are NaN; an error calls the image `of`.
    """
    steps = radii.to(directions).view(1, -1, 1) * directions[:, None]
    moved = torch.cat([image.new_zeros(1, image.numel()), steps.flatten(0, 1)])
    with torch.no_grad():
        f = in_batches(
            lambda part: model.embed(image + part.view(-1, *image.shape)), moved, size=model.batch_size
        ).double()
    model.finite(f.where(moved.isfinite().all(1, keepdim=True), 0.0), "embedding", f"a step from {of}", None)
    return (f[1:] - f[0]).unflatten(0, steps.shape[:2])


def radius_coords(radii: torch.Tensor, n: int) -> dict[str, Any]:
    """Coordinates of the radius dimension: the Euclidean norm of the step and its root mean square per pixel."""
    return {
        "radius": Variable(("radius",), radii, "pixel", "Euclidean norm of the step"),
        "rms": Variable(("radius",), radii / n**0.5, "pixel", "root mean square of the step per pixel"),
    }


def null_and_normal(J: torch.Tensor, v: torch.Tensor, parts: Spectrum) -> tuple[torch.Tensor, torch.Tensor]:
    """The parts of each direction `(K,n)` in the null space and in the normal space, both of Euclidean norm 1.

    NaN where a space has no dimensions.
    """
    null = project_null(J, v, parts)
    normal = v - null
    null = null / null.norm(dim=1, keepdim=True) if parts.rank < v.shape[1] else torch.full_like(v, torch.nan)
    normal = normal / normal.norm(dim=1, keepdim=True) if parts.rank else torch.full_like(v, torch.nan)
    return null, normal


def first_crossing(errors: torch.Tensor, radii: torch.Tensor, threshold: float) -> tuple[torch.Tensor, np.ndarray]:
    """Where `errors` `(..., R)` first passes `threshold`, on a log-log line between two radii, and the outcome.

    The radius is NaN unless the outcome is `"crossed"`; the others are `"below the first radius"`,
    `"beyond the last radius"` and `"undefined"` (an error is NaN).
    """
    over = errors > threshold
    first = over.to(torch.int).argmax(-1)
    upper = first.clamp_min(min(1, len(radii) - 1))[..., None]
    lower = (upper - 1).clamp_min(0)
    x, y = radii.log().expand_as(errors), (errors / threshold).clamp_min(1e-300).log()
    x0, x1, y0, y1 = (part.gather(-1, at) for part in (x, y) for at in (lower, upper))
    radius = (x0 - y0 * (x1 - x0) / (y1 - y0)).exp()[..., 0]
    cases = {
        "undefined": errors.isnan().any(-1),
        "beyond the last radius": ~over.any(-1),
        "below the first radius": first == 0,
    }
    outcome = np.select([case.numpy() for case in cases.values()], list(cases), default="crossed")
    return radius.where(torch.from_numpy(outcome == "crossed"), torch.nan), outcome


@checked
def step_response(
    model: VisionModel,
    images: Any,
    *,
    radii: Sequence[float] = RADII,
    directions: int = 8,
    seed: int = 0,
    threshold: float = 0.1,
    tolerance: float = TOLERANCE,
) -> xr.Dataset:
    r"""How far steps of equal norm move the embedding: into the null space, anywhere, into the normal space of J.

    For a unit direction v and a radius r, the change is `||f(x + r v) - f(x)||` and the linearisation error is
    `||f(x + r v) - f(x) - r J v|| / (r g)`. For random and normal directions g = `||J v||`. A null direction has
    J v = 0, so there g is what a random direction has in root mean square, `||J||_F / sqrt(n)`: an error of 1 is
    a step that moves the embedding as far as the Jacobian promises of a random one.

    Parameters
    ----------
    model, images
        The network, and `(B,3,H,W)` in [0,1] or what `samples()` returns. Steps are not clamped to [0,1].
    radii
        Euclidean norms of the steps, in units of pixel value, increasing.
    directions
        How many directions of each kind. Random ones are isotropic and every image has its own; the null and the
        normal ones are their two parts, each brought back to norm 1.
    seed
        Of the random directions.
    threshold
        The linearisation error that ends the linear region.
    tolerance
        Singular values below this share of the largest are null.

    Returns
    -------
    xarray.Dataset
        `change(image, kind, direction, radius)`, `linearisation_error(image, kind, direction, radius)`,
        `slope(image, kind, direction)` = ||J v||, `yardstick(image, kind, direction)` = g,
        `linear_radius(image, kind, direction)` where the error first passes the threshold (log-log interpolation,
        NaN unless `linear_outcome` is `"crossed"`), `rounding(image)`, the measured rounding error of a change. Errors
        that rounding alone could explain do not end a linear region: compute in float64 for smaller radii.

    Raises
    ------
    ArgumentError
        If a parameter is out of range.
    ImageError
        If the images are not what the model takes.
    Interrupted
        If someone stops it after the first image; `finished` then has the images that are done.

    Notes
    -----
    [salman2024], steps along the null and normal spaces; the threshold and the linear radius are ours.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> model = vg.wrap(net, mean=[0] * 3, std=[1] * 3, size=4, dtype=torch.float64)
    >>> steps = vg.step_response(model, torch.rand(1, 3, 4, 4), radii=(0.1, 1.0))
    >>> bool(steps.linearisation_error.max() < 1e-9), str(steps.linear_outcome.values[0, 0, 0])
    (True, 'beyond the last radius')
    """
    pixels, watch = model.pixels(images), Stopwatch()
    r = check_radii(radii)
    check_count(directions)
    if not 0 < threshold < 1:
        raise ArgumentError(f"threshold is {threshold}; choose a relative error between 0 and 1, such as 0.1.")
    check_tolerance(tolerance)
    floors = rounding_of_change(model, pixels).cpu()
    changes: list[torch.Tensor] = []
    errors: list[torch.Tensor] = []
    slopes: list[torch.Tensor] = []
    yardsticks: list[torch.Tensor] = []

    def result() -> xr.Dataset:
        whole = len(yardsticks)
        error, floor = torch.stack(errors[:whole]).cpu(), floors[:whole]
        yardstick = torch.stack(yardsticks).cpu()
        resolved = floor.view(-1, 1, 1, 1) / (r * yardstick[..., None]) < threshold / 2
        radius, outcome = first_crossing(error.where(resolved | error.isnan(), 0.0), r, threshold)
        lines = ("image", "kind", "direction")
        return measurement(
            {
                "change": Variable(
                    (*lines, "radius"), torch.stack(changes[:whole]), "embedding", "change of the embedding"
                ),
                "linearisation_error": Variable((*lines, "radius"), error, "1", "linearisation error"),
                "slope": Variable(
                    lines,
                    torch.stack(slopes[:whole]),
                    "embedding / pixel",
                    "change per radius promised by the Jacobian",
                ),
                "yardstick": Variable(
                    lines, yardstick, "embedding / pixel", "what the linearisation error is relative to"
                ),
                "linear_radius": Variable(lines, radius, "pixel", "radius of the linear region"),
                "linear_outcome": Variable(lines, outcome, "1", "whether the linear region ends within the radii"),
                "rounding": Variable(("image",), floor, "embedding", "rounding error of a change"),
            },
            coords={"kind": KINDS, **radius_coords(r, pixels[0].numel())},
            model=model,
            seed=seed,
            seconds=watch.seconds,
            directions=directions,
            threshold=threshold,
            tolerance=tolerance,
            pixels=pixels[0].numel(),
        )

    with keeping(result, lambda: len(yardsticks), len(pixels), "images"):
        for i, x in enumerate(tqdm(pixels, desc="step response", leave=False)):
            v = random_directions(x[None], directions, seed)[0].flatten(1)
            J = jacobian_rows(model, x, of=f"image {i}")
            parts = spectrum(J, tolerance)
            null, normal = null_and_normal(J, v, parts)
            moved = torch.stack([embedding_steps(model, x, kind, r, f"image {i}") for kind in (null, v, normal)])
            linear = directional_derivatives(J, torch.stack([null, v, normal]))
            slope = linear.norm(dim=-1)
            g = slope.clone()
            g[0] = parts.values.norm() / x.numel() ** 0.5
            scale = r.to(g) * g[..., None]
            changes.append(moved.norm(dim=-1))
            errors.append((moved - r.to(g)[:, None] * linear[:, :, None]).norm(dim=-1) / scale)
            slopes.append(slope)
            yardsticks.append(g)
    return result()
