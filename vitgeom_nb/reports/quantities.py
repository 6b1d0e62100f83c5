"""Numbers of a report that no claim asks for: each a sample over images, and words that stand beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..boundary.label_search import beyond
from ..claims.quantities import QUANTITIES, Measured, accuracy, descent_success, need
from ..claims.samples import Sample, median
from ..statistics.bootstrap import Interval

Words = Mapping[str, str]


def changed_quality(measured: Measured) -> Sample:
    """PSNR in dB of a match against its source, of those that arrived."""
    found = need(measured, "match", "psnr", "cosine")
    return median(found.psnr.where(descended(measured).values == 1))


def descended(measured: Measured) -> Sample:
    """Pairs whose match reaches a cosine of 0.99."""
    return descent_success(measured, "match")


def stable_rank(measured: Measured) -> Sample:
    """Squared Frobenius norm over the largest squared singular value."""
    return median(need(measured, "singular_spectrum", "stable_rank").stable_rank)


def fall(measured: Measured) -> Sample:
    """The last of the leading singular values over the first."""
    values = need(measured, "leading_singular_values", "singular_value").singular_value
    with np.errstate(invalid="ignore", divide="ignore"):
        return median(values.isel(rank=-1).values / values.isel(rank=0).values)


def largest_bend(measured: Measured) -> Sample:
    """Mean bend in degrees of the kind of component that bends most, image by image."""
    return median(np.degrees(_bends(measured)[most_bent(measured)]))


def most_bent(measured: Measured) -> str:
    """The kind of component whose mean bend is largest in the median over images."""
    bends = _bends(measured)
    return max(bends, key=lambda kind: float(np.nan_to_num(np.nanmedian(bends[kind]), nan=-1)))


def _bends(measured: Measured) -> dict[str, np.ndarray]:
    bend = need(measured, "additivity", "bend", "kind").bend.mean("direction")
    return {str(kind): bend.isel(layer=bend.kind.values == kind).mean("layer").values for kind in np.unique(bend.kind)}


def distance(measured: Measured) -> Sample:
    """Way to the decision boundary, of images that start right; those never wrong are beyond all others."""
    found = need(measured, "travel_distance", "epsilon", "outcome")
    return median(beyond(found.epsilon, found.outcome))


def exponent(measured: Measured) -> tuple[Interval, int]:
    """Power with which the root mean square of the turn grows, with the interval that the measurement brings."""
    found = need(measured, "step_law", "exponent").sel(statistic="rms")
    ends = (float(found[name]) for name in ("exponent", "exponent_low", "exponent_high"))
    return Interval(*ends), int(found.sizes["image"])


OWN: dict[str, Callable[[Measured], Sample | tuple[Interval, int]]] = {
    "descended": descended,
    "change_quality": changed_quality,
    "stable_rank": stable_rank,
    "fall": fall,
    "largest_bend": largest_bend,
    "distance": distance,
    "exponent": exponent,
    "accuracy": accuracy,
    **QUANTITIES,
}
"""Name -> the sample that a sentence tells, or the interval that a measurement brings with how many images it is of."""

WORDS: dict[str, Callable[[Measured], Words]] = {"largest_bend": lambda measured: {"kind": most_bent(measured)}}
"""Name -> words that the sentence asks for beside the number."""
