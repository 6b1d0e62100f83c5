"""`make evidence` hands its options on, prints what became of each measurement, and ends by it."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from vitgeom_nb.recipes import record


@pytest.mark.parametrize(("said", "status"), [("there before", 0), ("some could not be measured", 1)])
def test_options_are_handed_on_and_the_status_says_whether_all_is_there(
    said: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {}

    def stand_in(tier: str, **options: object) -> pd.DataFrame:
        given.update(options, tier=tier)
        rows = [("vit", "match", 100, "recorded"), ("vit", "lldlc", 100, said)]
        return pd.DataFrame(rows, columns=["network", "measure", "n", "said"])

    monkeypatch.setattr(record, "record", stand_in)
    words = ["record", "--tier", "paper", "--models", "vit", "swin", "--measures", "match", "--run", "there"]
    monkeypatch.setattr(sys, "argv", [*words, "--device", "cuda"])
    assert record.main() == status
    assert given == {
        "tier": "paper",
        "networks": ["vit", "swin"],
        "measures": ["match"],
        "run": Path("there"),
        "into": Path("evidence"),
        "workers": None,
        "scheduler": None,
        "device": "cuda",
    }
    assert said in capsys.readouterr().out


def test_what_ends_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["record", "--tier", "pocket"])
    assert record.main() == 2
    said = capsys.readouterr().err
    assert said == "There is no evidence of a tier 'pocket'; choose one of embedded, paper, controls, pretrained.\n"
