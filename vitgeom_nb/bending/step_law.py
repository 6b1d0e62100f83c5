"""The step law: how the direction change grows with the step, and so what kind of bend it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from ..core.arguments import checked
from ..core.batching import in_batches
from ..core.measurement import Stopwatch, Variable, measurement
from ..errors import ArgumentError, keeping
from ..networks.vision_model import VisionModel
from ..statistics.bootstrap import over_images
from ..statistics.intervals import Interval
from .image_lines import Lines, embeddings_along, rounding_along, turning_angle

STATISTICS = ("median", "rms")
SMALL = math.pi / 6  # an angle cannot grow for ever: the law is about small ones
CLEAR = 100  # times what rounding alone would show, which is known to within a factor of ten


@checked
def step_law(
    model: VisionModel,
    images: Any,
    *,
    lengths: Sequence[float] | None = None,
    directions: int = 8,
    along: torch.Tensor | None = None,
    seed: int = 0,
    resamples: int = 1000,
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
    lengths
        Of the steps, h, root-mean-square per pixel, increasing; two a decade from 1e-6 to 1e-1 unless told.
    directions
        How many random directions.
    along
        Directions of one's own instead, `(B,M,3,H,W)` or `(1,M,3,H,W)` to share them; scaled to root-mean-square 1.
    seed
        Seed of the directions and of the bootstrap.
    resamples
        Bootstrap samples over images, behind the 95 % intervals.

    Returns
    -------
    xarray.Dataset
        `angle(image, direction, step_size)` in rad; `typical(statistic, step_size)`, its median and root mean square
        over images and directions, in rad; `noise_floor(step_size)` in rad, the angle that rounding in float64
        alone would show; `fitted(statistic, step_size)`, whether a step takes part in the fit: the typical angle
        is below 30 degrees and a hundred times above the floor; `exponent(statistic)` by least squares on logarithms
        with `exponent_low`, `exponent_high`, the ends of its 95 % interval (NaN where fewer than three steps fit, the
        ends also with fewer than six images), and `reason(statistic)` why there is none, empty where there is one.
        Where the embedding stands still, as where J = 0, the angle is NaN.

    Raises
    ------
    ArgumentError
        If the lengths are not positive and increasing, or fewer than three.
    ImageError
        If the images are not what the model takes.
    Interrupted
        If someone stops it after the first lines; `finished` then has NaN for the others.

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
    sizes = np.geomspace(1e-6, 1e-1, 11) if lengths is None else np.asarray(lengths, dtype=float)
    if (
        sizes.ndim != 1
        or len(sizes) < 3
        or not np.isfinite(sizes).all()
        or sizes[0] <= 0
        or (np.diff(sizes) <= 0).any()
    ):
        raise ArgumentError("lengths must be at least three positive steps in increasing order.")
    exact = model.in_dtype(torch.float64)
    lines = Lines.make(exact, images, directions, along, seed)
    h = torch.from_numpy(sizes)
    distances = torch.cat([-h.flip(0), h.new_zeros(1), h])

    def rows(image: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        z = embeddings_along(exact, *lines.start(image, direction), distances, image)
        middle = z[:, len(h) : len(h) + 1]
        back, ahead = middle - z[:, : len(h)].flip(1), z[:, len(h) + 1 :] - middle
        return torch.stack([turning_angle(ahead, back), ahead.norm(dim=-1)], dim=-1)

    error = rounding_along(exact, lines, h.new_zeros(1))[:, 0].norm(dim=1).cpu().numpy()
    each = lines.each()
    found = torch.full((len(each[0]), len(h), 2), torch.nan, device=exact.device, dtype=exact.dtype)

    def result() -> xr.Dataset:
        angle, moved = (t.cpu().numpy() for t in found.unflatten(0, lines.shape).unbind(-1))
        moved[moved == 0] = np.nan  # an embedding that stands still turns by no angle, and has no floor of one
        floor = _over_lines(np.nanmedian, math.sqrt(6) * error[:, None, None] / moved)
        law = law_of(angle, sizes, floor, resamples, seed)
        return measurement(
            {
                "angle": Variable(("image", "direction", "step_size"), angle, "rad", "direction change"),
                "noise_floor": Variable(
                    ("step_size",), floor, "rad", "direction change of a straight line by rounding"
                ),
                **law,
            },
            coords={
                "statistic": list(STATISTICS),
                "step_size": Variable(("step_size",), sizes, "pixel", "step h, rms per pixel"),
            },
            model=exact,
            seed=seed,
            seconds=watch.seconds,
            directions=lines.shape[1],
            resamples=resamples,
        )

    def done() -> int:
        return int((~found[:, -1, 1].isnan()).sum())

    with keeping(result, done, len(found), "lines"):
        in_batches(rows, *each, size=max(1, model.batch_size // len(distances)), progress="step law", out=found)
    return result()


def law_of(angle: np.ndarray, sizes: np.ndarray, floor: np.ndarray, resamples: int, seed: int) -> dict[str, Variable]:
    """What `step_law` says of angles `(image, direction, step)` at steps of these sizes, beside themselves.

    `floor` `(step,)` is the angle that rounding alone would show.
    """
    typical = _typical(angle)
    fitted = _fits(typical, floor)

    def exponent(which: int) -> Interval:
        def of_some(some: np.ndarray) -> float:
            # a resample may hold no kink at the shortest steps: what it has there is rounding, not an angle
            values = _typical(some)[which]
            return _slope(values, sizes, fitted[which] & _fits(values, floor))

        return over_images(angle[~np.isnan(angle).all((1, 2))], of_some, resamples, seed)

    exponents = Interval(*np.transpose([exponent(which) for which in range(len(STATISTICS))]))
    by = ("statistic", "step_size")
    return {
        "typical": Variable(by, typical, "rad", "typical direction change"),
        "fitted": Variable(by, fitted, "1", "whether the step takes part in the fit"),
        "reason": Variable(("statistic",), _reasons(typical, floor), "1", "why there is no exponent"),
        **exponents.variables("exponent", "1", "exponent of the step law", ("statistic",)),
    }


def _typical(angle: np.ndarray) -> np.ndarray:
    """Median and root mean square over images and directions -> `(statistic, step)`; standing still counts not."""
    return np.stack([_over_lines(np.nanmedian, angle), np.sqrt(_over_lines(np.nanmean, angle**2))])


def _over_lines(statistic: Callable[..., Any], values: np.ndarray) -> np.ndarray:
    """A statistic over images and directions, by step; NaN where no embedding moves."""
    flat = values.reshape(-1, values.shape[-1])
    known = ~np.isnan(flat).all(0)
    out = np.full(flat.shape[1], np.nan)
    out[known] = statistic(flat[:, known], axis=0)
    return out


def _fits(typical: np.ndarray, floor: np.ndarray) -> np.ndarray:
    return (typical < SMALL) & (typical > CLEAR * floor)


def _reasons(typical: np.ndarray, floor: np.ndarray) -> list[str]:
    """Why the steps of each statistic give no exponent, in words; nothing where they do."""
    out = []
    for angles in typical:
        far, lost = int((angles >= SMALL).sum()), int((~(angles > CLEAR * floor)).sum())
        words = (
            f"of {len(angles)} steps {far} turn by {np.degrees(SMALL):.0f} degrees or more and {lost} no more clearly "
        )
        words += "than rounding does; a fit needs three others"
        out.append("" if _fits(angles, floor).sum() >= 3 else words)
    return out


def _slope(typical: np.ndarray, sizes: np.ndarray, fitted: np.ndarray) -> float:
    """Slope of log angle against log step over the fitted steps; NaN for fewer than three."""
    if fitted.sum() < 3:
        return float("nan")
    return float(np.polyfit(np.log(sizes[fitted]), np.log(typical[fitted]), 1)[0])
