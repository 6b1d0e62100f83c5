"""The table of models on the command line."""

from __future__ import annotations

import pytest

import vitgeom_nb as vg

from .running import run


def test_models_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "models")
    assert (status, err) == (0, "")
    for name in vg.models().index:
        (row,) = (line for line in out.splitlines() if line.startswith(f"{name} "))
        assert f"{vg.models().parameters[name]:,}" in row


def test_models_of_the_papers_tier(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "models", "--tier", "paper")
    assert status == 0
    assert "timm/resnet50.tv_in1k" in out
    assert "nan" not in out
