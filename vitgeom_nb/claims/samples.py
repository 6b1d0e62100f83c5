"""What a quantity is made of: one value or more an image, and the statistic that they are brought to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from ..statistics.bootstrap import over_images, rank_correlation, thinned
from ..statistics.intervals import Interval, mean_interval, median_interval, wilson

RESAMPLES = 1000


@dataclass(frozen=True)
class Sample:
    """Values `(image, ...)`, NaN where an image has none, and how they become one number with an interval."""

    values: np.ndarray
    kind: str
    quantile: float = 0.5

    @property
    def count(self) -> int:
        """How many images have a value."""
        known = ~np.isnan(self.values)
        rows = known.reshape(len(known), -1)
        return int((rows.all(1) if self.kind == "rank" else rows.any(1)).sum())

    def statistic(self, drawn: np.ndarray) -> float:
        """The number that images `drawn` give."""
        return STATISTICS[self.kind](self.values[drawn], self.quantile)

    def interval(self, seed: int = 0) -> Interval:
        """The number, and its 95 % interval over images."""
        flat = self.values.reshape(len(self.values), -1)
        if self.kind == "mean":
            return mean_interval(flat[:, 0])
        if self.kind == "median":
            return median_interval(flat[:, 0])
        if self.kind == "share":
            known = flat[~np.isnan(flat[:, 0]), 0]
            return Interval(*(float(end) for end in wilson(known.sum(), len(known))))
        if self.kind == "rank":
            return rank_correlation(flat[:, 0], flat[:, 1], RESAMPLES, seed)
        known = self.values[~np.isnan(flat).all(1)]
        return over_images(known, lambda some: STATISTICS[self.kind](some, self.quantile), RESAMPLES, seed)


def _median(values: np.ndarray, _: float) -> float:
    known = values[~np.isnan(values)]
    with np.errstate(invalid="ignore"):  # half of them at one infinity, half at the other
        return float(np.median(known)) if len(known) else float("nan")


def _mean(values: np.ndarray, _: float) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _pooled(values: np.ndarray, quantile: float) -> float:
    known = values.ravel()
    if np.isnan(known).any():
        known = known[~np.isnan(known)]
    if not len(known):
        return float("nan")
    place = quantile * (len(known) - 1)
    below = int(place)
    low, high = np.partition(known, (below, min(below + 1, len(known) - 1)))[[below, min(below + 1, len(known) - 1)]]
    return float(low + (place - below) * (high - low))


def _rank(values: np.ndarray, _: float) -> float:
    a, b = values[~np.isnan(values).any(1)].T
    if len(a) < 3:
        return float("nan")
    x, y = (rankdata(v) - (len(v) + 1) / 2 for v in (a, b))
    scale = np.sqrt((x * x).sum() * (y * y).sum())
    return float((x * y).sum() / scale) if scale else float("nan")


def _kept(values: np.ndarray, _: float) -> float:
    """Mean of the last columns over the mean of the first."""
    known = values[~np.isnan(values).any(1)]
    return float(known[:, 1:].mean() / known[:, 0].mean()) if len(known) and known[:, 0].any() else float("nan")


STATISTICS: dict[str, Callable[[np.ndarray, float], float]] = {
    "mean": _mean,
    "share": _mean,
    "median": _median,
    "pooled": _pooled,
    "rank": _rank,
    "kept": _kept,
}
"""Kind of sample -> the statistic of its values, over those that are not NaN."""


def mean(values: Any) -> Sample:
    """The mean of one value an image."""
    return Sample(np.asarray(values, dtype=np.float64), "mean")


def median(values: Any) -> Sample:
    """The median of one value an image; values may be infinite."""
    return Sample(np.asarray(values, dtype=np.float64), "median")


def share(holds: Any, among: Any = None) -> Sample:
    """The share of images for which something holds, among those asked about."""
    values = np.asarray(holds, dtype=np.float64)
    return Sample(values if among is None else np.where(np.asarray(among), values, np.nan), "share")


def rank(a: Any, b: Any) -> Sample:
    """Spearman's rank correlation of two values an image."""
    return Sample(np.stack([np.asarray(v, dtype=np.float64) for v in (a, b)], axis=1), "rank")


def pooled(values: Any, quantile: float) -> Sample:
    """A quantile of all values of all images `(image, ...)` together.

    Where there are very many, each image gives evenly spaced order statistics of its own.
    """
    return Sample(thinned(values), "pooled", quantile)


def kept(before: Any, after: Any) -> Sample:
    """What is left of a mean: values `(image, ...)` after over values `(image,)` before."""
    first, rest = (np.asarray(v, dtype=np.float64) for v in (before, after))
    return Sample(np.column_stack([first, rest.reshape(len(rest), -1).mean(1)]), "kept")


def across(groups: Sequence[tuple[float, Sequence[Sample]]], seed: int = 0) -> tuple[Interval, int]:
    r"""A weighted sum of the means over groups of networks, with its interval over images, and the number of images.

    Weights 1 and -1 give the difference of two groups. Where all networks saw as many images, these are drawn together,
    since the tiers of this book show all networks the same ones. Otherwise networks count as independent, and
    the distances of the ends of their intervals to their values add in quadrature [zou2008]:

    .. math:: v - \sqrt{\textstyle\sum_i w_i^2 (v_i - l_i)^2} \quad \text{to} \quad
              v + \sqrt{\textstyle\sum_i w_i^2 (h_i - v_i)^2}, \qquad v = \textstyle\sum_i w_i v_i,

    with the ends of those of negative weight exchanged.

    Parameters
    ----------
    groups
        (weight, samples of its networks) each.
    seed
        Of the bootstrap.
    """
    every = [(weight / len(samples), sample) for weight, samples in groups for sample in samples]
    sizes = {len(sample.values) for _, sample in every}
    if len(sizes) > 1:
        return _quadrature([(weight, sample.interval(seed)) for weight, sample in every]), min(sizes)

    def of_drawn(drawn: np.ndarray) -> float:
        with np.errstate(invalid="ignore"):  # of infinities that cancel
            return float(np.sum([weight * sample.statistic(drawn[:, 0]) for weight, sample in every]))

    (size,) = sizes
    return over_images(np.arange(size)[:, None], of_drawn, RESAMPLES, seed), size


def _quadrature(found: Sequence[tuple[float, Interval]]) -> Interval:
    weights = np.array([weight for weight, _ in found])
    value, low, high = (np.array(column, dtype=np.float64) for column in zip(*(each for _, each in found), strict=True))
    below, above = np.where(weights > 0, (value - low, high - value), (high - value, value - low))
    total = float(weights @ value)
    reach = [float(np.sqrt(np.square(weights * side).sum())) for side in (below, above)]
    return Interval(total, total - reach[0], total + reach[1])
