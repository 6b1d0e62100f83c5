"""What the authors' own toolkit says of its networks, beside what a run has of the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..calibration.reliability import in_bins
from ..core.arguments import checked
from ..statistics.bootstrap import absolute_sums
from ..statistics.intervals import Interval, mean_interval, wilson
from .ledger import NOTHING
from .quantities import Lacking, Measured, confidence_and_hits, need
from .rules import NOT_AT_HAND, NOT_MEASURED
from .runs import Shipped, opened
from .sentences import toolkit_values

TOOLKIT_BINS = 10


@checked
def references(run: Any = None) -> pd.DataFrame:
    """What the authors' own toolkit gives, beside what a run has of the same weights.

    Parameters
    ----------
    run
        As for `table`.

    Returns
    -------
    pandas.DataFrame
        Columns `network`, `quantity`, `value` (to meet), `images` (behind it), `measured`, `low`, `high`, `n`, and
        `verdict`: `met` where the 95 % interval holds the value, `not met`, `not measured yet` or `not at hand`. The
        expected error is that of ten bins.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> vg.claims.references({}).verdict.unique().tolist()
    ['not measured yet']
    """
    measured, rows = opened(run), []
    without = NOT_AT_HAND if isinstance(measured, Shipped) else NOT_MEASURED
    for entry in toolkit_values():
        try:
            found, n = _toolkit(measured.get(entry["network"], {}), entry["quantity"])
            word = "met" if found.low <= entry["value"] <= found.high else "not met"
        except Lacking:
            found, n, word = NOTHING, 0, without
        row = {"network": entry["network"], "quantity": entry["quantity"], "value": entry["value"]}
        row |= {"images": entry["n"], "measured": found.value, "low": found.low, "high": found.high}
        rows.append(row | {"n": n, "verdict": word})
    return pd.DataFrame(rows)


def _toolkit(measured: Measured, quantity: str) -> tuple[Interval, int]:
    import torch

    confidence, hits = confidence_and_hits(need(measured, "predictions"))
    gap = hits.astype(np.float64) - confidence
    if quantity == "accuracy":
        return Interval(*(float(end) for end in wilson(hits.sum(), len(hits)))), len(hits)
    if quantity == "signed ECE":
        return mean_interval(gap), len(gap)
    bins = in_bins(torch.from_numpy(np.asarray(confidence)), torch.from_numpy(hits), TOOLKIT_BINS)
    return absolute_sums(gap, bins.which.numpy(), TOOLKIT_BINS), len(gap)
