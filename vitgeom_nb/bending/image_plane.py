"""Pictures of bending: a square or a circle of images, and the surface that their embeddings make."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import xarray as xr

from ..core.arguments import checked
from ..core.batching import in_batches
from ..core.measurement import Stopwatch, Variable, measurement
from ..errors import ArgumentError, ImageError, keeping
from ..networks.vision_model import VisionModel
from .image_lines import Lines, turning_angle

SHAPES = ("circle", "square", "line")


def outline(shape: str, curves: int, points: int) -> np.ndarray:
    """Curves of the unit disc or the square [-1,1]^2, `(C,P,2)`: circles, the lines of a grid, or its middle line."""
    if shape == "circle":
        radius = np.arange(1, curves + 1) / curves
        turn = np.linspace(0, 2 * np.pi, points)
        return radius[:, None, None] * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    if shape == "line":
        along = np.linspace(-1, 1, points)
        return np.stack([along, np.zeros(points)], -1)[None]
    along, across = np.meshgrid(np.linspace(-1, 1, points), np.linspace(-1, 1, curves))
    return np.concatenate([np.stack([along, across], -1), np.stack([across, along], -1)])


@checked
def trajectory(
    model: VisionModel,
    images: Any,
    *,
    shape: str = "square",
    epsilon: float = 0.05,
    curves: int = 5,
    points: int = 33,
    along: torch.Tensor | None = None,
    seed: int = 0,
) -> xr.Dataset:
    r"""Move an image in a plane of pixel space, and look at its embedding in the plane that shows most of it.

    .. math:: x(a, b) = x + a\,d_1 + b\,d_2, \qquad z(a, b) = f(x(a, b)) \approx \bar z + V\,y(a, b)

    d_1 and d_2 are orthogonal, of root-mean-square 1 per pixel; V holds the first two principal directions of the
    embeddings, y their coordinates there. A network that is linear on the square turns its grid into a grid of
    equal parallelograms; a circle becomes an ellipse.

    Parameters
    ----------
    model
        What embeds.
    images
        One image, `(1,3,H,W)` in [0,1] or `Images` of length one.
    shape
        `"square"`, the lines of a grid; `"circle"`, concentric circles; or `"line"`, along d_1 alone.
    epsilon
        Half the side of the square, the radius of the circle, or half the line, root-mean-square per pixel.
    curves, points
        Lines in each direction (or circles; a line is one), and points on each.
    along
        d_1 and d_2, `(2,3,H,W)`; made orthogonal and of rms 1. Random unless given.
    seed
        Seed of the random directions.

    Returns
    -------
    xarray.Dataset
        Over (curve, point): `a`, `b` in rms per pixel, and `feature(curve, point, component)` in embedding;
        `explained(component)`, shares of the variance of the embeddings; `nonlinear`, the share that the best affine
        map from (a, b) leaves unexplained: 0 for a linear network; `angle(curve, point)` in rad, at which the embedding
        turns there, NaN at the ends; `pixels(channel, y, x)` and `axis(direction, channel, y, x)`, the image and the
        two directions; `mean(dimension)` and `basis(component, dimension)`, which project an embedding. Of the two
        signs of a principal direction, the one along which the coordinate of the same number grows is taken.

    Raises
    ------
    ArgumentError
        If there is no such shape, `epsilon` is not positive, or the numbers of curves and points are too small.
    ImageError
        If it is not one image that the model takes.
    Interrupted
        If someone stops it after the first curve; `finished` then has the curves that are done.

    References
    ----------
    [kim2024] draws the movement of features in two dimensions.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> model = vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=4)
    >>> moved = vg.trajectory(model, torch.full((1, 3, 4, 4), 0.5), shape="circle")
    >>> bool(moved["nonlinear"] < 1e-9), dict(moved["feature"].sizes)
    (True, {'curve': 5, 'point': 33, 'component': 2})
    """
    watch = Stopwatch()
    if shape not in SHAPES:
        raise ArgumentError(f"There is no shape {shape!r}; choose {' or '.join(SHAPES)}.")
    if not (np.isfinite(epsilon) and epsilon > 0):
        raise ArgumentError(f"epsilon is {epsilon}; the {shape} must have a positive size.")
    if curves < 1 or points < 3:
        raise ArgumentError(f"{curves} curves of {points} points make no picture; ask for at least 1 and 3.")
    pixels = model.pixels(images)
    if len(pixels) != 1:
        raise ImageError(f"trajectory() moves one image, not {len(pixels)}; choose one: images[0].")
    if along is not None and along.ndim != 4:
        raise ArgumentError(f"along must have shape (2, 3, H, W), not {tuple(along.shape)}.")
    axes = Lines.make(model, pixels, 2, None if along is None else along[None], seed).directions[0]
    axes = _orthogonal(axes)
    plane = epsilon * outline(shape, curves, points)
    where = torch.from_numpy(plane).to(pixels).flatten(0, 1)

    def embed(at: torch.Tensor) -> torch.Tensor:
        return model.embed(pixels + torch.einsum("pk,kchw->pchw", at, axes)).double()

    found = torch.full((len(where), model.dim), torch.nan, device=model.device, dtype=torch.float64)

    def done() -> int:
        return int((~found.isnan().all(1)).sum()) // points

    def result(whole: int) -> xr.Dataset:
        embedded, there = found[: whole * points].cpu().numpy(), plane[:whole]
        flat = there.reshape(-1, 2)
        basis, explained = _principal(embedded, flat)
        mean = embedded.mean(axis=0)
        dims = ("curve", "point")
        return measurement(
            {
                "feature": Variable(
                    (*dims, "component"),
                    ((embedded - mean) @ basis.T).reshape(*there.shape),
                    "embedding",
                    "principal components",
                ),
                "angle": Variable(dims, _turns(embedded.reshape(*there.shape[:2], -1)), "rad", "direction change"),
                "explained": Variable(("component",), explained, "1", "share of the variance of the embeddings"),
                "nonlinear": Variable((), _nonlinear(embedded, flat), "1", "share of the variance that is not affine"),
                "a": Variable(dims, there[..., 0], "pixel", "movement along the first direction, rms per pixel"),
                "b": Variable(dims, there[..., 1], "pixel", "movement along the second direction, rms per pixel"),
                "pixels": Variable(("channel", "y", "x"), pixels[0], "pixel", "the image, pixels in [0, 1]"),
                "axis": Variable(("direction", "channel", "y", "x"), axes, "1", "directions of movement, of rms 1"),
                "mean": Variable(("dimension",), mean, "embedding", "mean embedding"),
                "basis": Variable(("component", "dimension"), basis, "1", "principal directions"),
            },
            model=model,
            seed=seed,
            seconds=watch.seconds,
            shape=shape,
            epsilon=epsilon,
        )

    with keeping(lambda: result(done()), done, len(plane), "curves"), torch.no_grad():
        in_batches(embed, where, size=model.batch_size, out=found)
    model.finite(found, "embedding", "point")
    return result(len(plane))


def _orthogonal(axes: torch.Tensor) -> torch.Tensor:
    """The second direction made orthogonal to the first, both of rms 1."""
    if len(axes) != 2:
        raise ArgumentError(f"A plane needs two directions, not {len(axes)}.")
    first, second = axes.double()
    second = second - (second * first).sum() / first.square().sum() * first
    length = second.square().mean().sqrt()
    if float(length) < 1e-6:
        raise ArgumentError("The two directions are parallel and span no plane; give two different ones.")
    return torch.stack([first, second / length]).to(axes)


def _principal(embedded: np.ndarray, plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first two principal directions `(2,D)`, and their shares of the variance."""
    centred = embedded - embedded.mean(axis=0)
    _, s, v = np.linalg.svd(centred, full_matrices=False)
    basis, s2 = np.pad(v, ((0, 2), (0, 0)))[:2], np.pad(s, (0, 2))[:2]
    sign = np.where((centred @ basis.T * plane).sum(axis=0) < 0, -1.0, 1.0)
    total = float((s**2).sum())
    return basis * sign[:, None], s2**2 / total if total > 0 else np.full(2, math.nan)


def _turns(embedded: np.ndarray) -> np.ndarray:
    """Angles between consecutive steps at the points of each curve `(C,P,D)`, NaN at the ends."""
    steps = torch.from_numpy(np.diff(embedded, axis=1))
    angle = turning_angle(steps[:, 1:], steps[:, :-1]).numpy()
    return np.pad(angle, ((0, 0), (1, 1)), constant_values=math.nan)


def _nonlinear(embedded: np.ndarray, plane: np.ndarray) -> float:
    """Share of the variance of the embeddings that is left after the best affine map from the plane."""
    affine = np.column_stack([np.ones(len(plane)), plane])
    left = embedded - affine @ np.linalg.lstsq(affine, embedded, rcond=None)[0]
    total = float(((embedded - embedded.mean(axis=0)) ** 2).sum())
    return float((left**2).sum()) / total if total > 0 else math.nan
