"""The step law: how the direction change grows with the step, and so what kind of bend it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from .batching import in_batches
from .errors import ArgumentError
from .lines import Lines, embeddings_along, turning_angle
from .measurement import Stopwatch, Variable, measurement
from .vision_model import VisionModel

STATISTICS = ("median", "rms")
SMALL = math.pi / 6  # an angle cannot grow for ever: the law is about small ones
CLEAR = 100  # times what rounding alone would show, which is known to within a factor of ten


def step_law(
    model: VisionModel,
    images: Any,
    steps: Sequence[float] | np.ndarray | None = None,
    directions: int | torch.Tensor = 8,
    seed: int = 0,
    resamples: int = 1000,
    batch: int | None = None,
) -> xr.Dataset:
    r"""Direction change against the length h of the step, and the exponent p of angle ~ h^p.

    .. math:: \theta(h) = \angle\bigl(f(x + h\,d) - f(x),\ f(x) - f(x - h\,d)\bigr)

    A smooth network turns at the rate of its curvature: the angle grows like h. A ReLU network is straight between
    kinks; a step crosses a number of them that grows like h, and what independent kinks add to the squared angle adds
    up: the root mean square of the angle grows like sqrt(h). Steps so short that most cross no kink at all leave
    the median near zero, while the root mean square still follows the law.

    Parameters
    ----------
    model
        What embeds. The angles are computed in float64, whatever the model's own precision: float32 loses them at
        the short steps.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns.
    steps
        Lengths h, root-mean-square per pixel, increasing; two a decade from 1e-6 to 1e-1 unless told.
    directions
        How many random directions, or the directions themselves, as for `direction_change`.
    seed
        Seed of the directions and of the bootstrap.
    resamples
        Bootstrap samples over images, behind the 95 % intervals.
    batch
        Images embedded at once, halved when they do not fit; what the device is quickest with unless told.

    Returns
    -------
    xarray.Dataset
        `angle(image, direction, step_size)` in rad; `typical(statistic, step_size)`, its median and root mean square
        over images and directions, in rad; `noise_floor(step_size)` in rad, the angle that rounding in float64
        alone would show; `fitted(statistic, step_size)`, whether a step takes part in the fit: the typical angle
        is below 30 degrees and a hundred times above the floor; `exponent(statistic)` by least squares on logarithms
        with `exponent_low`, `exponent_high`, the ends of its 95 % interval (NaN where fewer than three steps fit).

    Raises
    ------
    ArgumentError
        If the steps are not positive and increasing, or fewer than three.
    ImageError
        If the images are not what the model takes.

    References
    ----------
    [kim2024] uses one step; this asks what depends on it.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5), torch.nn.Tanh())
    >>> model = vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=4)
    >>> law = vg.step_law(model, torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(0)))
    >>> round(float(law["exponent"].sel(statistic="rms")), 1)
    1.0
    """
    watch = Stopwatch()
    sizes = np.geomspace(1e-6, 1e-1, 11) if steps is None else np.asarray(steps, dtype=float)
    if (
        sizes.ndim != 1
        or len(sizes) < 3
        or not np.isfinite(sizes).all()
        or sizes[0] <= 0
        or (np.diff(sizes) <= 0).any()
    ):
        raise ArgumentError("steps must be at least three positive lengths in increasing order.")
    exact, size = model.in_dtype(torch.float64), model.batch_size(batch)
    lines = Lines.make(exact, images, directions, seed)
    h = torch.from_numpy(sizes)
    distances = torch.cat([-h.flip(0), h.new_zeros(1), h])

    def rows(image: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        z = embeddings_along(exact, *lines.start(image, direction), distances, size)
        middle = z[:, len(h) : len(h) + 1]
        back, ahead = middle - z[:, : len(h)].flip(1), z[:, len(h) + 1 :] - middle
        return torch.stack([turning_angle(ahead, back), ahead.norm(dim=-1)], dim=-1)

    found = in_batches(rows, *lines.each(), size=max(1, size // len(distances)), progress="step law")
    angle, moved = (t.cpu().numpy() for t in found.unflatten(0, lines.shape).unbind(-1))
    floor = math.sqrt(6) * _rounding(model, lines)[:, None, None] / moved
    floor = np.nanmedian(floor.reshape(-1, len(sizes)), axis=0)
    typical = _typical(angle)
    fitted = _fits(typical, floor)
    generator = np.random.default_rng(seed)
    drawn = (_typical(angle[generator.integers(0, len(angle), len(angle))]) for _ in range(resamples))
    # a resample may hold no kink at the shortest steps: what it has there is rounding, not an angle
    replicates = [_exponents(values, sizes, fitted & _fits(values, floor)) for values in drawn]
    low, high = _quantiles(np.array(replicates))
    by = ("statistic", "step_size")
    return measurement(
        {
            "angle": Variable(("image", "direction", "step_size"), angle, "rad", "direction change"),
            "typical": Variable(by, typical, "rad", "typical direction change"),
            "noise_floor": Variable(("step_size",), floor, "rad", "direction change of a straight line by rounding"),
            "fitted": Variable(by, fitted, "1", "whether the step takes part in the fit"),
            "exponent": Variable(("statistic",), _exponents(typical, sizes, fitted), "1", "exponent of the step law"),
            "exponent_low": Variable(("statistic",), low, "1", "lower end of the 95 % interval of the exponent"),
            "exponent_high": Variable(("statistic",), high, "1", "upper end of the 95 % interval of the exponent"),
        },
        coords={
            "statistic": list(STATISTICS),
            "step_size": Variable(("step_size",), sizes, "1", "step h, rms per pixel"),
        },
        model=exact,
        seed=seed,
        seconds=watch.seconds,
        directions=lines.shape[1],
        resamples=resamples,
    )


def _rounding(model: VisionModel, lines: Lines) -> np.ndarray:
    """Rounding error of a float64 embedding, per image: that of a float32 one, measured and scaled."""
    with torch.no_grad():
        single, double = (
            in_batches(model.in_dtype(dtype).embed, lines.pixels.to(dtype), size=model.batch_size()).double()
            for dtype in (torch.float32, torch.float64)
        )
    scale = torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps
    return ((single - double).norm(dim=1) * scale).cpu().numpy()


def _typical(angle: np.ndarray) -> np.ndarray:
    """Median and root mean square over images and directions -> `(statistic, step)`; standing still counts not."""
    flat = angle.reshape(-1, angle.shape[-1])
    return np.stack([np.nanmedian(flat, axis=0), np.sqrt(np.nanmean(flat**2, axis=0))])


def _fits(typical: np.ndarray, floor: np.ndarray) -> np.ndarray:
    return (typical < SMALL) & (typical > CLEAR * floor)


def _exponents(typical: np.ndarray, sizes: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Slope of log angle against log step for each statistic over the fitted steps; NaN for fewer than three."""
    return np.array(
        [
            np.polyfit(np.log(sizes[use]), np.log(values[use]), 1)[0] if use.sum() >= 3 else np.nan
            for values, use in zip(typical, fitted, strict=True)
        ]
    )


def _quantiles(replicates: np.ndarray) -> np.ndarray:
    """Ends of the 95 % intervals `(2,statistic)`; NaN where most resamples allow no fit."""
    low_high = np.full((2, replicates.shape[1]), np.nan)
    usable = np.isfinite(replicates).mean(axis=0) > 0.5
    low_high[:, usable] = np.nanquantile(replicates[:, usable], [0.025, 0.975], axis=0)
    return low_high
