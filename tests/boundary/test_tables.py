import numpy as np
import torch
import xarray as xr

import vitgeom_nb as vg
from vitgeom_nb.summary import calibration_summary, interval, jump_summary, travel_summary

from .tiny_networks import pixels, random_network


def test_an_interval_is_printed_with_its_ends():
    logits = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    table = vg.reliability(logits, torch.arange(50) % 3)
    value, low, high = (float(table[k]) for k in ("sece", "sece_low", "sece_high"))
    assert interval(table, "sece", "+.2f") == f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"
    assert interval(table, "sece", ".1f", 100) == f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def test_a_missing_interval_is_said_in_words():
    numbers = xr.Dataset({"a": 0.5, "a_low": np.nan, "a_high": np.nan})
    assert interval(numbers, "a", ".1f") == "0.5 [too few images]"
    assert interval(numbers * np.nan, "a") == "too few images"


def test_calibration_summary():
    sure, shy = torch.tensor([[9.0, 0.0]]).repeat(100, 1), torch.tensor([[0.1, 0.0]]).repeat(100, 1)
    half, all_right = torch.arange(100) % 2, torch.zeros(100).long()
    tables = [vg.reliability(sure, half, name="a"), vg.reliability(shy, all_right, bins=10, name="b")]
    summary = calibration_summary(tables)
    assert summary.index.tolist() == ["a", "b"]
    assert summary["it is"].tolist() == ["over-confident", "under-confident"]
    assert summary["accuracy"].tolist() == [0.5, 1.0]
    assert summary["bins"].tolist() == [15, 10]
    assert summary["images"].tolist() == [100, 100]
    assert "class" not in summary
    assert calibration_summary(tables, {"a": "CNN", "b": "transformer"})["class"].tolist() == ["CNN", "transformer"]


def test_summaries_of_the_ways():
    model, labels = random_network(), torch.arange(60) % 5
    ways = vg.random_jump(model, pixels(60), labels, epsilon_max=0.1, tolerance=1e-5)
    row = travel_summary([ways]).iloc[0]
    direct, jumped = (ways.outcome.sel(path=p).values for p in ("direct", "jumped"))
    for kind in ("crossed", "already wrong", "never wrong"):
        assert row[kind] == (direct == kind).sum() > 0
    assert row["median distance, 10⁻³"] == round(1e3 * float(np.nanmedian(ways.epsilon.sel(path="direct"))), 2)
    alone = travel_summary([vg.travel_distance(model, pixels(60), labels, epsilon_max=0.1, tolerance=1e-5)]).iloc[0]
    assert alone.tolist() == row.tolist()
    assert row["with confidence, distance"] in ("falls", "rises", "undecided")
    row = jump_summary([ways]).iloc[0]
    assert row["cross both ways"] == ((direct == "crossed") & (jumped == "crossed")).sum()
    assert row["lost by the jump"] == ((direct == "crossed") & (jumped == "already wrong")).sum()
    assert row["median change of distance, 10⁻³"] == interval(ways, "median_change", "+.2f", 1e3)
    assert row["median PSNR, dB"] < 26.1
