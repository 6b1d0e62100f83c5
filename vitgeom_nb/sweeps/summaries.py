"""Statistics of a whole run, which no shard can know: what the public function says beside its images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import xarray as xr

from ..bending.step_law import STATISTICS, law_of
from ..boundary.label_search import beyond
from ..calibration.reliability import bin_edges
from ..calibration.reliability import reliability as reliability_of
from ..core.measurement import Variable
from ..statistics.bootstrap import rank_correlation
from ..statistics.intervals import median_interval

RESAMPLES = 1000
BINS = 15

Said = Mapping[str, Variable]


class Summary(NamedTuple):
    """What makes the statistics, from which variables, and what they are without their values."""

    function: Callable[[xr.Dataset, int], Said]
    of: Sequence[str]
    gives: Mapping[str, tuple[Sequence[str], str, str, str]]
    """Name -> dimensions, kind of its values, units and long name."""
    coords: Mapping[str, Any]


def _interval(name: str, units: str, words: str, dims: Sequence[str] = ()) -> dict[str, Any]:
    ends = {"": "", "_low": "lower end of the 95 % interval of the ", "_high": "upper end of the 95 % interval of the "}
    return {name + end: (dims, "f8", units, prefix + words) for end, prefix in ends.items()}


_BY_CONFIDENCE = ("rank_correlation", "1", "rank correlation of confidence and travel distance")
_BY_BEND = ("bend_correlation", "1", "rank correlation of direction change and travel distance")
_CHANGE = ("median_change", "pixel", "median change of the travel distance by the jump")
_BEND_CHANGE = ("median_bend_change", "rad", "median change of the direction change by the jump")


def _travel_distance(found: xr.Dataset, seed: int) -> Said:
    distance = beyond(found.epsilon.values, found.outcome.values)
    return rank_correlation(found.confidence.values, distance, RESAMPLES, seed).variables(*_BY_CONFIDENCE)


def _random_jump(found: xr.Dataset, seed: int) -> Said:
    direct = found.sel(path="direct")
    distance = beyond(direct.epsilon.values, direct.outcome.values)
    bend = direct.direction_change.values.astype(float)
    return {
        **median_interval(found.change.values).variables(*_CHANGE),
        **median_interval(found.bend_change.values).variables(*_BEND_CHANGE),
        **rank_correlation(found.confidence.values, distance, RESAMPLES, seed).variables(*_BY_CONFIDENCE),
        **rank_correlation(bend, distance, RESAMPLES, seed).variables(*_BY_BEND),
    }


def _step_law(found: xr.Dataset, seed: int) -> Said:
    floor = found.image_noise_floor.to_pandas().median().to_numpy()  # NaN, silently, where all are
    words = "direction change of a straight line by rounding, median over images"
    law = law_of(found.angle.values, found.step_size.values, floor, RESAMPLES, seed)
    return {"noise_floor": Variable(("step_size",), floor, "rad", words), **law}


def _reliability(found: xr.Dataset, seed: int) -> Said:
    logits, labels = torch.from_numpy(found.logits.values), torch.from_numpy(found.label.values)
    table = reliability_of(logits=logits, labels=labels, bins=BINS, resamples=RESAMPLES, seed=seed)
    return {
        str(name): Variable([str(dim) for dim in one.dims], one.values, one.units, one.long_name)
        for name, one in table.data_vars.items()
    }


_LAW = ("statistic", "step_size")
_BIN = ("bin",)
SUMMARIES: dict[str, Summary] = {
    "travel_distance": Summary(_travel_distance, ("epsilon", "outcome", "confidence"), _interval(*_BY_CONFIDENCE), {}),
    "random_jump": Summary(
        _random_jump,
        ("epsilon", "outcome", "confidence", "direction_change", "change", "bend_change"),
        _interval(*_CHANGE) | _interval(*_BEND_CHANGE) | _interval(*_BY_CONFIDENCE) | _interval(*_BY_BEND),
        {},
    ),
    "step_law": Summary(
        _step_law,
        ("angle", "noise_floor"),
        {
            "noise_floor": (("step_size",), "f8", "rad", "direction change of a straight line by rounding"),
            "typical": (_LAW, "f8", "rad", "typical direction change"),
            "fitted": (_LAW, "?", "1", "whether the step takes part in the fit"),
            "reason": (("statistic",), "O", "1", "why there is no exponent"),
            **_interval("exponent", "1", "exponent of the step law", ("statistic",)),
        },
        {"statistic": list(STATISTICS)},
    ),
    "reliability": Summary(
        _reliability,
        ("logits", "label"),
        {
            "count": (_BIN, "i8", "1", "number of images"),
            **_interval("accuracy", "1", "accuracy", _BIN),
            "confidence": (_BIN, "f8", "1", "mean confidence"),
            **_interval("ece", "1", "expected calibration error"),
            **_interval("sece", "1", "signed calibration error, accuracy minus mean confidence"),
            "top1": ((), "f8", "1", "accuracy"),
            "mean_confidence": ((), "f8", "1", "mean confidence"),
        },
        {
            "lower_edge": Variable(_BIN, bin_edges(BINS)[:-1].numpy(), "1", "lower edge of the bin (excluded)"),
            "upper_edge": Variable(_BIN, bin_edges(BINS)[1:].numpy(), "1", "upper edge of the bin (included)"),
        },
    ),
}
