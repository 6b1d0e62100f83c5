import numpy as np
import torch
import xarray as xr

import vitgeom_nb as vg
from vitgeom_nb.statistics.tables import interval


def test_an_interval_is_printed_with_its_ends():
    logits = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    table = vg.reliability(logits=logits, labels=torch.arange(50) % 3)
    value, low, high = (float(table[k]) for k in ("sece", "sece_low", "sece_high"))
    assert interval(table, "sece", "+.2f") == f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"
    assert interval(table, "sece", ".1f", 100) == f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def test_a_missing_interval_is_said_in_words():
    numbers = xr.Dataset({"a": 0.5, "a_low": np.nan, "a_high": np.nan})
    assert interval(numbers, "a", ".1f") == "0.5 [too few images]"
    assert interval(numbers * np.nan, "a") == "too few images"
