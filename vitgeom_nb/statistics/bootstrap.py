"""Rank correlation with an interval."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata

from .directions import generator
from .errors import ArgumentError

FEWEST = 6  # values behind an interval: fewer do not determine one


def _pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = (v - v.mean(-1, keepdims=True) for v in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))


def rank_correlation(a: Any, b: Any, resamples: int = 1000, seed: int = 0) -> tuple[float, float, float]:
    """Spearman's rank correlation of two `(N,)` arrays, and the ends of its 95 % percentile bootstrap interval.

    Pairs with a NaN are left out; infinite values are ranked. NaN with fewer than three pairs or a constant array;
    the ends are NaN with fewer than six pairs.

    Raises
    ------
    ArgumentError
        If the two arrays do not have one length.

    Examples
    --------
    >>> from vitgeom_nb.correlation import rank_correlation
    >>> round(rank_correlation([1, 2, 3, 4], [1, 4, 9, 16])[0], 6)
    1.0
    """
    a, b = (np.asarray(v, dtype=np.float64) for v in (a, b))
    if a.ndim != 1 or a.shape != b.shape:
        raise ArgumentError(f"Rank correlation needs two arrays of one length, not {a.shape} and {b.shape}.")
    known = ~(np.isnan(a) | np.isnan(b))
    a, b, n = a[known], b[known], int(known.sum())
    if n < 3:
        return float("nan"), float("nan"), float("nan")
    rho = float(_pearson(rankdata(a), rankdata(b)))
    if n < FEWEST:
        return rho, float("nan"), float("nan")
    drawn = torch.randint(n, (resamples, n), generator=generator(seed)).numpy()
    replicates = _pearson(rankdata(a[drawn], axis=1), rankdata(b[drawn], axis=1))
    replicates = replicates[~np.isnan(replicates)]  # a resample in which one array is constant has no ranks
    low, high = np.quantile(replicates, [0.025, 0.975]) if len(replicates) else (np.nan, np.nan)
    return rho, float(low), float(high)
