import math

import pytest
import xarray as xr

from vitgeom_nb.statistics.verdicts import INCONCLUSIVE, NOT_SUPPORTED, SUPPORTED, side, verdict


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [(0.1, 0.2, "up"), (-0.2, -0.1, "down"), (-0.1, 0.1, "flat"), (0.0, 0.1, "flat"), (math.nan, math.nan, "flat")],
)
def test_side_of_zero(low, high, word):
    assert side(xr.Dataset({"a_low": low, "a_high": high}), "a", "down", "up", "flat") == word


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["up", "up"], SUPPORTED),
        (["up", "flat"], INCONCLUSIVE),
        (["up", "down"], NOT_SUPPORTED),
        (["flat", "down"], NOT_SUPPORTED),
        ([], INCONCLUSIVE),
    ],
)
def test_verdict(found, expected):
    assert verdict(found, "up", "down") == expected
