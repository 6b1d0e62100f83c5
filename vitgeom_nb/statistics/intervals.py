"""Intervals that a formula gives: of means, medians and proportions; 95 %, NaN ends where there are too few images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm, quantile_test, t

from ..core.measurement import Variable

LEVEL = 0.95
FEWEST = 6  # the fewest whose range holds the median with 95 %: 1 - 2/2^6; below, there is no interval of any kind


class Interval(NamedTuple):
    """A value, or an array of them, and the ends of its 95 % interval, NaN where there is none."""

    value: Any
    low: Any
    high: Any

    def variables(self, name: str, units: str, words: str, dims: Sequence[str] = ()) -> dict[str, Variable]:
        """Variables `name`, `name_low` and `name_high` of a measurement; `words` name the quantity."""
        named = {
            name: (self.value, words),
            f"{name}_low": (self.low, f"lower end of the 95 % interval of the {words}"),
            f"{name}_high": (self.high, f"upper end of the 95 % interval of the {words}"),
        }
        return {key: Variable(dims, values, units, long_name) for key, (values, long_name) in named.items()}


def mean_interval(values: Any) -> Interval:
    r"""Mean of the values `(N,)` that are not NaN, with Student's interval.

    .. math:: \bar v \pm t_{0.975,\,N-1}\, \frac{s}{\sqrt N}

    Examples
    --------
    >>> from vitgeom_nb.statistics.intervals import mean_interval
    >>> [round(end, 3) for end in mean_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])]
    [3.5, 1.537, 5.463]
    """
    known = _known(values)
    if len(known) < FEWEST:
        return no_interval(known.mean() if len(known) else np.nan)
    middle = float(known.mean())
    half = float(t.ppf((1 + LEVEL) / 2, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)))
    return Interval(middle, middle - half, middle + half)


def ratio_interval(numerators: Any, denominators: Any) -> Interval:
    r"""Mean of the numerators over mean of the denominators, both `(N,)`, with an interval over the N pairs.

    .. math:: r = \frac{\bar a}{\bar b}, \qquad
              r \pm t_{0.975,\,N-1}\, \frac{s_{a - r b}}{\sqrt N\, |\bar b|},

    to first order in the errors of both means [cochran1977]: what varies in a and b alike cancels. Pairs of which a
    part is NaN are left out; where :math:`\bar b` is 0 there is no ratio.

    Examples
    --------
    >>> from vitgeom_nb.statistics.intervals import ratio_interval
    >>> [round(end, 3) for end in ratio_interval([1, 2, 3, 4, 5, 6], [2, 4, 6, 8, 10, 12])]
    [0.5, 0.5, 0.5]
    """
    a, b = (np.asarray(v, dtype=np.float64) for v in (numerators, denominators))
    both = ~np.isnan(a) & ~np.isnan(b)
    a, b = a[both], b[both]
    if not len(b) or b.mean() == 0:
        return no_interval(np.nan)
    ratio = float(a.mean() / b.mean())
    if len(b) < FEWEST:
        return no_interval(ratio)
    spread = (a - ratio * b).std(ddof=1) / np.sqrt(len(b)) / abs(b.mean())
    half = float(t.ppf((1 + LEVEL) / 2, len(b) - 1) * spread)
    return Interval(ratio, ratio - half, ratio + half)


def median_interval(values: Any) -> Interval:
    """Median of the values `(N,)` that are not NaN, with the interval between two of them that the sign test gives.

    Values may be infinite, where all that is known of them is that they lie beyond all others. The interval
    holds the median of any continuous distribution with at least 95 %.

    Examples
    --------
    >>> from vitgeom_nb.statistics.intervals import median_interval
    >>> [float(end) for end in median_interval([1, 2, 3, 4, 5, 6])]
    [3.5, 1.0, 6.0]
    """
    known = _known(values)
    with np.errstate(invalid="ignore"):  # half of them at one infinity, half at the other
        middle = float(np.median(known)) if len(known) else np.nan
    if len(known) < FEWEST:
        return no_interval(middle)
    # not the bootstrap: of 6 to 10 values it would hold the median with 90 % only
    low, high = quantile_test(known, p=0.5).confidence_interval(LEVEL)
    return Interval(middle, float(low), float(high))


def wilson(successes: Any, count: Any) -> Interval:
    r"""Proportions k / n with Wilson's interval [wilson1927]; NaN where there was no trial.

    .. math:: \frac{p + z^2 / 2n \pm z \sqrt{p (1 - p) / n + z^2 / 4n^2}}{1 + z^2 / n}, \qquad p = k / n,\ z = 1.96

    The distribution of a proportion is known whatever the count, so this one interval also stands for fewer than six.

    Examples
    --------
    >>> from vitgeom_nb.statistics.intervals import wilson
    >>> [round(float(end), 3) for end in wilson(50, 100)]
    [0.5, 0.404, 0.596]
    """
    k, n = (np.asarray(v, dtype=np.float64) for v in (successes, count))
    z = norm.ppf((1 + LEVEL) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = k / n
        centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = np.maximum(centre - half, 0), np.minimum(centre + half, 1)
    # exact at the ends, where rounding would leave 1e-18
    return Interval(share, np.where(k == 0, share, low), np.where(k == n, share, high))


def _known(values: Any) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return values[~np.isnan(values)]


def no_interval(value: Any) -> Interval:
    """A value of which no interval is known."""
    return Interval(float(value), float("nan"), float("nan"))
