"""From an interval to a verdict: which side of a border it lies on, and what is left after Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.stats import norm

from ..statistics.intervals import LEVEL, Interval
from ..statistics.verdicts import INCONCLUSIVE, NOT_SUPPORTED, SUPPORTED
from .sentences import Rule

NOT_MEASURED = "not measured yet"
NOT_AT_HAND = "not at hand"  # it may be recorded, but the recorded evidence is not here
WAITING = (NOT_MEASURED, NOT_AT_HAND)
COMPARED = "compared"  # measured beside the networks that the sentence is about, and not judged by itself
DOES_NOT_APPLY = "does not apply"  # the network lacks what the sentence is about
JUDGED = (SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE)
WORDS = (*JUDGED, COMPARED, DOES_NOT_APPLY, *WAITING)
"""Every word that stands in the column of verdicts."""


def waiting(verdicts: Iterable[str]) -> str:
    """The word of these verdicts for what has no measurement: there is one in a table.

    Examples
    --------
    >>> waiting(["supported", "not at hand"]), waiting(["supported"])
    ('not at hand', 'not measured yet')
    """
    return NOT_AT_HAND if NOT_AT_HAND in set(verdicts) else NOT_MEASURED


def judged(found: Interval, rule: Rule) -> str:
    """The verdict of an interval: it lies where the rule wants it, where the rule forbids it, or over a border.

    Examples
    --------
    >>> from vitgeom_nb.claims.sentences import Rule
    >>> rule = Rule("within", 0.0, 0.2, "a correlation below 0.2 counts as none")
    >>> [judged(Interval(0.1, *ends), rule) for ends in ((0.05, 0.15), (-0.1, 0.3))]
    ['supported', 'inconclusive']
    """
    low, high = rule.bounds
    if math.isnan(found.low) or math.isnan(found.high):
        return INCONCLUSIVE
    under, over = found.high < low, found.low > high
    inside = found.low > low and found.high < high
    wanted, against = {
        "above": (over, under),
        "below": (under, over),
        "within": (inside, under or over),
        "outside": (under or over, inside),
    }[rule.comparison]
    return SUPPORTED if wanted else NOT_SUPPORTED if against else INCONCLUSIVE


def surprise(found: Interval, rule: Rule, n: int) -> float:
    """The p-value that goes with the verdict of n images: below 0.05 exactly where it is not inconclusive.

    Of the distance to the border, in units of the half of the interval on that side, as a normal distribution would
    have it, two-sided. Where two borders must both be kept, the larger of their two. Never less than `2^(1 - n)`, the
    smallest that n images can give a sign test: the tail of a normal distribution is not known from a few.
    """
    low, high = rule.bounds
    if math.isnan(found.low) or math.isnan(found.high):
        return 1.0
    if low < found.value < high:
        p = max(_beyond(found, low), _beyond(found, high))
    else:
        p = _beyond(found, low if found.value <= low else high)
    return max(p, 2.0 ** (1 - n))


def _beyond(found: Interval, border: float) -> float:
    distance = abs(found.value - border)
    half = found.value - found.low if border < found.value else found.high - found.value
    if distance == 0:
        return 1.0
    if half <= 0:
        return 0.0  # all images say the same
    if math.isinf(half) or math.isinf(distance):  # ranks alone are known there: the interval decides, and no more
        return 1 - LEVEL - 1e-9 if border < found.low or border > found.high else 1.0
    return float(2 * norm.sf(norm.ppf((1 + LEVEL) / 2) * distance / half))


def holm(p: Sequence[float]) -> np.ndarray:
    """P-values corrected for their number by Holm's step-down method [holm1979]; those that are NaN do not count.

    The k-th smallest of m is multiplied by m - k + 1, and none is smaller than one before it.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p, dtype=np.float64)
    out = np.full(given.shape, np.nan)
    known = np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    out[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1.0)
    return out
