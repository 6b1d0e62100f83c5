"""Calibration without bins: the smooth calibration error, and accuracy against confidence as a curve with a band."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr
from scipy.fft import dct, idct

from ..core.arguments import checked
from ..core.measurement import Stopwatch, Variable, measurement
from ..errors import ArgumentError
from ..networks.vision_model import VisionModel
from ..statistics.bootstrap import percentile_band
from ..statistics.intervals import Interval
from .logits import labelled_logits
from .predictions import Predictions

CELLS = 2048  # of [0, 1], on which the kernel is applied
NARROWEST = 1e-3  # bandwidth at which the search ends, as relplot's does
FEWEST = 1.0  # images within the kernel, below which there is no curve


def onto_cells(confidence: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums of values `(..., N)` by cells of confidence `(..., N)`, `(..., CELLS)`; each is split between two cells."""
    at = confidence * CELLS - 0.5
    lower = np.floor(at)
    upper_share = at - lower
    rows = np.arange(confidence[..., 0].size).reshape(*confidence.shape[:-1], 1) * CELLS
    out = np.zeros(confidence[..., 0].size * CELLS)
    for cell, share in ((lower, 1 - upper_share), (lower + 1, upper_share)):
        index = (cell.clip(0, CELLS - 1).astype(int) + rows).ravel()  # what lies beyond an edge is reflected into it
        out += np.bincount(index, (values * share).ravel(), minlength=len(out))
    return out.reshape(*confidence.shape[:-1], CELLS)


def smoothed(cells: np.ndarray, bandwidth: float) -> np.ndarray:
    r"""Cells `(..., CELLS)` after a Gaussian of standard deviation `bandwidth` that is reflected at 0 and 1.

    In cosines it multiplies the k-th by `exp(-(pi k bandwidth)^2 / 2)`.
    """
    decay = np.exp(-0.5 * (np.pi * np.arange(CELLS) * bandwidth) ** 2)
    return idct(dct(cells, type=2, axis=-1) * decay, type=2, axis=-1)


def smooth_error(gaps: np.ndarray) -> tuple[float, float]:
    """The smooth calibration error of gaps by cells `(CELLS,)`, already divided by their number, and its bandwidth."""

    def error(bandwidth: float) -> float:
        return float(np.abs(smoothed(gaps, bandwidth)).sum())

    low, high = 0.0, 1.0  # the error falls as the bandwidth grows, so they meet in one point
    while high - low > 1e-5:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if error(middle) > middle else (low, middle)
    bandwidth = max(high, NARROWEST)
    return error(bandwidth), bandwidth


@checked
def smooth_calibration(
    model: VisionModel | Predictions | None = None,
    images: Any = None,
    labels: Any = None,
    *,
    logits: torch.Tensor | Any = None,
    points: int = 201,
    resamples: int = 200,
    seed: int = 0,
    name: str | None = None,
) -> xr.Dataset:
    r"""Accuracy against confidence as a smooth curve, and the calibration error that needs no bins.

    .. math:: \mathrm{smECE}_\sigma = \int_0^1 \Bigl| \tfrac{1}{N} \sum_i K_\sigma(t, c_i)\, (a_i - c_i) \Bigr|\, dt,
              \qquad \mathrm{smECE} = \mathrm{smECE}_{\sigma^*} \ \text{where}\ \mathrm{smECE}_{\sigma^*} = \sigma^*,

    with confidence c, a = 1 for a right answer and 0 for a wrong one, and K a Gaussian that is reflected at 0 and 1.
    The error falls as the bandwidth grows, so it meets its own bandwidth once; no bins are chosen, and it is continuous
    in the predictions, which the binned error is not.

    Parameters
    ----------
    model
        A `VisionModel`, which then needs `images`, or what `predict` or `recorded_predictions` returns.
    images
        `(N,3,H,W)` in [0,1], or what `samples()` or `labelled()` returns; only with a `VisionModel`.
    labels
        The right classes, `(N,)`. Without them, those that the images or the predictions carry.
    logits
        `(N,C)`, in place of a model, with `labels`.
    points
        Of the curve, equally spaced from 0 to 1.
    resamples, seed
        Bootstrap samples over images, behind the band, and their seed.
    name
        What figures call these logits; the model's own name unless told.

    Returns
    -------
    xarray.Dataset
        Over `level`, confidence t: `accuracy`, `sum K a / sum K`, with its pointwise 95 % band `accuracy_low`,
        `accuracy_high`, NaN where the kernel holds less than one image, and `density` of the confidences. Scalars
        `smece` and `bandwidth`.

    Raises
    ------
    ArgumentError
        If there is not exactly one of a model, predictions and logits, if logits have NaN or the wrong shape, or if
        `points` or `resamples` is too small.
    ImageError, LabelError, ModelError
        If the images are not what the model takes, labels are missing, of the wrong length or not classes, or the model
        has no classifier head.

    References
    ----------
    [blasiok2024]; its authors' package is relplot, which the tests compare with.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> sure = torch.tensor([[9.0, -9.0]]).repeat(100, 1)
    >>> smooth = vg.smooth_calibration(logits=sure, labels=torch.arange(100) % 2)  # sure, and wrong half the time
    >>> round(float(smooth.smece), 2)
    0.5
    """
    watch = Stopwatch()
    if points < 2:
        raise ArgumentError(f"points is {points}; a curve has at least two.")
    seen = labelled_logits(model, images, labels, logits)
    confidence = seen.logits.softmax(1).amax(1).numpy()
    right = (seen.logits.argmax(1) == seen.labels).double().numpy()
    count = len(right)
    smece, bandwidth = smooth_error(onto_cells(confidence, right - confidence) / count)
    level = np.linspace(0, 1, points)
    centres = (np.arange(CELLS) + 0.5) / CELLS

    def curve(drawn: np.ndarray) -> np.ndarray:
        """`(points, draw)` of the accuracy for image numbers `(draw, image)`."""
        every, hits = (
            smoothed(onto_cells(confidence[drawn], v), bandwidth) for v in (np.ones(drawn.shape), right[drawn])
        )
        within = every * CELLS * bandwidth * np.sqrt(2 * np.pi) >= FEWEST
        share = np.divide(hits, every, out=np.full(every.shape, np.nan), where=within)
        return np.stack([np.interp(level, centres, row) for row in share], axis=1)

    accuracy = curve(np.arange(count)[None])[:, 0]
    low, high = percentile_band(count, curve, resamples, seed)
    known = ~np.isnan(accuracy)
    density = np.interp(level, centres, smoothed(onto_cells(confidence, np.ones(count)), bandwidth)) * CELLS / count
    band = Interval(accuracy, *(np.where(known, end, np.nan) for end in (low, high)))
    band = Interval(*(np.clip(values, 0, 1) for values in band))
    dataset = measurement(
        {
            **band.variables("accuracy", "1", "accuracy", ["level"]),
            "density": Variable(["level"], density, "1", "density of the confidences"),
            "smece": Variable([], smece, "1", "smooth calibration error"),
            "bandwidth": Variable([], bandwidth, "1", "standard deviation of the kernel"),
        },
        coords={"level": Variable(["level"], level, "1", "confidence")},
        model=seen.model,
        seed=seed,
        seconds=watch.seconds,
        images=count,
        skipped=seen.skipped,
        resamples=resamples,
    )
    if name is not None:
        dataset.attrs["model"] = name
    return dataset
