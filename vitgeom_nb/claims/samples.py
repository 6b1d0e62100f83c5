"""What a quantity is made of: one value or more an image, and the statistic that they are brought to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..statistics.bootstrap import AT_ONCE, over_weights, rank_correlation, rank_correlations, thinned
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

    def of_weights(self, weights: np.ndarray) -> np.ndarray:
        """The numbers `(draw,)` of resamples, told by how often each has drawn each image, `(draw, image)`."""
        return STATISTICS[self.kind](self.values, weights, self.quantile)

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
        some = replace(self, values=flat[~np.isnan(flat).all(1)])
        return over_weights(len(some.values), some.of_weights, RESAMPLES, seed)


def _over(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count != 0, total / count, np.nan)


def _mean(values: np.ndarray, weights: np.ndarray, _: float) -> np.ndarray:
    known = ~np.isnan(values)
    return _over(weights @ np.where(known, values, 0.0), weights @ known)


def _kept(values: np.ndarray, weights: np.ndarray, _: float) -> np.ndarray:
    """Mean of the last columns over the mean of the first."""
    known = ~np.isnan(values).any(1)
    first, rest = (weights @ np.where(known, v, 0.0) for v in (values[:, 0], values[:, 1:].mean(1)))
    return _over(rest, first)


def _quantile(values: np.ndarray, weights: np.ndarray, quantile: float) -> np.ndarray:
    """By counting along all values in their order, which is the same for every resample."""
    flat = values.ravel()
    order = np.argsort(flat)[: np.count_nonzero(~np.isnan(flat))]  # NaN comes last
    if not len(order):
        return np.full(len(weights), np.nan)
    ordered, image = flat[order], order // (flat.size // len(values))

    def of_some(weights: np.ndarray) -> np.ndarray:
        upto = weights.astype(np.int32)[:, image]
        np.cumsum(upto, axis=1, out=upto)
        last = upto[:, -1] - 1
        place = quantile * last
        ranks = np.floor(place), np.minimum(np.floor(place) + 1, last)
        low, high = (ordered[np.minimum((upto <= rank[:, None]).sum(1), len(order) - 1)] for rank in ranks)
        with np.errstate(invalid="ignore"):  # the values about it may be infinite
            found = np.where(low == high, low, low + (place - ranks[0]) * (high - low))
        return np.where(last < 0, np.nan, found)

    parts = np.array_split(weights, len(weights) * len(order) // AT_ONCE + 1)
    return np.concatenate([of_some(part) for part in parts])


def _rank(values: np.ndarray, weights: np.ndarray, _: float) -> np.ndarray:
    known = ~np.isnan(values).any(1)
    a, b = values[known].T
    weights = weights[:, known]
    return np.where(weights.sum(1) < 3, np.nan, rank_correlations(a, b, weights))


STATISTICS: dict[str, Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = {
    "mean": _mean,
    "share": _mean,
    "median": _quantile,
    "pooled": _quantile,
    "rank": _rank,
    "kept": _kept,
}
"""Kind of sample -> the statistics `(draw,)` of its values, over those that are not NaN, by weights `(draw, image)`."""


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

    def of_weights(weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):  # of infinities that cancel
            return np.sum([weight * sample.of_weights(weights) for weight, sample in every], axis=0)

    (size,) = sizes
    return over_weights(size, of_weights, RESAMPLES, seed), size


def _quadrature(found: Sequence[tuple[float, Interval]]) -> Interval:
    weights = np.array([weight for weight, _ in found])
    value, low, high = (np.array(column, dtype=np.float64) for column in zip(*(each for _, each in found), strict=True))
    below, above = np.where(weights > 0, (value - low, high - value), (high - value, value - low))
    total = float(weights @ value)
    reach = [float(np.sqrt(np.square(weights * side).sum())) for side in (below, above)]
    return Interval(total, total - reach[0], total + reach[1])
