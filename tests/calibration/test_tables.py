import numpy as np
import pytest
import torch
import xarray as xr

import vitgeom_nb as vg
from vitgeom_nb.calibration.tables import calibration_summary, training_summary


def test_calibration_summary():
    sure, shy = torch.tensor([[9.0, 0.0]]).repeat(100, 1), torch.tensor([[0.1, 0.0]]).repeat(100, 1)
    half, all_right = torch.arange(100) % 2, torch.zeros(100).long()
    tables = [
        vg.reliability(logits=sure, labels=half, name="a"),
        vg.reliability(logits=shy, labels=all_right, bins=10, name="b"),
    ]
    summary = calibration_summary(tables)
    assert summary.index.tolist() == ["a", "b"]
    assert summary["it is"].tolist() == ["over-confident", "under-confident"]
    assert summary["accuracy"].tolist() == [0.5, 1.0]
    assert summary["bins"].tolist() == [15, 10]
    assert summary["images"].tolist() == [100, 100]
    assert "class" not in summary
    assert calibration_summary(tables, {"a": "CNN", "b": "transformer"})["class"].tolist() == ["CNN", "transformer"]


def test_training_summary():
    history = xr.Dataset(
        {"top1": ("epoch", [0.0, 0.3, 0.5]), "direction_change": ("epoch", np.radians([2.0, 8.0, 4.0]))},
        coords={"epoch": [0.0, 1.0, 4.0]},
        attrs={"model": "vit"},
    )
    row = training_summary([history]).loc["vit"]
    assert row["top-1, %"] == 50
    assert row[["untrained", "largest", "largest at epoch", "trained"]].tolist() == pytest.approx([2, 8, 1, 4])
    assert row["training left it"] == "more bent"
    for first, words in ((8.0, "straighter"), (3.9, "as bent as before"), (4.1, "as bent as before")):
        other = history.assign(direction_change=("epoch", np.radians([first, 3.0, 4.0])))
        assert training_summary([other]).loc["vit", "training left it"] == words
