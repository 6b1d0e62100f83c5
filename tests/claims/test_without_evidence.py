"""Where the recorded evidence is not at hand: what ships is judged, the rest says so, and a warning what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr

import vitgeom_nb as vg
from tests.commands.running import run
from vitgeom_nb.claims import runs
from vitgeom_nb.claims.in_small import counted, in_words, told
from vitgeom_nb.claims.provenance import planned_and_recorded, recorded_files
from vitgeom_nb.claims.published_figures import agreement, published, reason
from vitgeom_nb.claims.rules import JUDGED, NOT_AT_HAND, NOT_MEASURED
from vitgeom_nb.claims.sentences import claims
from vitgeom_nb.errors import EvidenceWarning

SENTENCE = r"^The recorded measurements are not at hand, .*; put its folder evidence where you work to have them, or "


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two folders below one without evidence, as if only the package were installed."""
    place = tmp_path / "above" / "here"
    place.mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.setattr(runs, "__file__", str(tmp_path / "site" / "vitgeom_nb" / "claims" / "runs.py"))
    return place


@pytest.fixture
def table(nowhere: Path) -> pd.DataFrame:
    with pytest.warns(EvidenceWarning, match=SENTENCE):
        return vg.claims.table()


def test_only_what_ships_has_verdicts_and_nothing_counts_as_not_measured(table: pd.DataFrame) -> None:
    assert set(vg.models("embedded").index) <= set(table.network)
    judged = table[table.verdict.isin(JUDGED)]
    assert set(judged.claim) == {"K1"}
    assert (judged.n == 10_000).all()
    waiting = table[~table.verdict.isin([*JUDGED, "compared"])]
    assert set(waiting.verdict) == set(waiting.corrected) == {NOT_AT_HAND}


def test_whatever_is_made_of_the_table_says_that_it_is_not_at_hand(table: pd.DataFrame) -> None:
    assert vg.claims.findings("lldlc", table).splitlines()[0].count("**Not at hand** on vit, swin, resnet") == 1
    assert "**Supported**" in vg.claims.findings("reliability", table).replace("**Not supported**", "**Supported**")
    assert list(counted(table, {}).columns) == [*JUDGED, NOT_AT_HAND]
    claim = claims()["S6"]
    assert in_words(told(table, claim), {}) == NOT_AT_HAND
    assert reason(claim, table, {}).endswith("is not at hand")
    assert NOT_AT_HAND in {agreement(figure, table) for figure in published()}
    figure = vg.figures.ledger(table)
    assert "not here  not at hand" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert NOT_MEASURED not in vg.claims.html(table)


def test_measurements_stand_as_they_are_and_nothing_is_recorded(nowhere: Path) -> None:
    live = xr.Dataset(attrs={"model": "vit", "weights": vg.load("vit").digest})
    with pytest.warns(EvidenceWarning, match=SENTENCE):
        assert vg.claims.recorded("travel_distance", [live]) == [live]
    with pytest.warns(EvidenceWarning, match=SENTENCE):
        assert vg.claims.recorded("travel_distance") == []
    with pytest.warns(EvidenceWarning, match=SENTENCE):
        assert set(vg.claims.references().verdict) == {NOT_AT_HAND}
    with pytest.warns(EvidenceWarning, match=SENTENCE):
        files = recorded_files()
    assert planned_and_recorded(files).recorded.sum() == 0


def test_a_run_that_is_named_takes_its_place_without_a_warning(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = xr.Dataset(attrs={"model": "vit", "weights": "a digest"})
    swept = live.assign_attrs(more="images")
    monkeypatch.setenv("VITGEOM_RUN", "a run")
    monkeypatch.setattr(runs, "open_run", lambda: {"vit": {"lldlc": swept}})
    assert vg.claims.recorded("lldlc", [live])[0].attrs == swept.attrs
    assert len(vg.claims.recorded("lldlc")) == 1
    assert set(vg.claims.table({}, networks=["vit"]).verdict) == {NOT_MEASURED}


def test_a_folder_of_evidence_beside_or_above_is_at_hand(nowhere: Path) -> None:
    for place in (nowhere, nowhere.parent):
        (place / "evidence").mkdir()
        assert runs.evidence_folder() == place / "evidence"
        assert isinstance(runs.opened(None), runs.Recorded)
        (place / "evidence").rmdir()
    with pytest.warns(EvidenceWarning, match=SENTENCE):
        assert isinstance(runs.opened(None), runs.Shipped)


def test_the_command_ends_in_one_sentence_unless_a_run_is_given(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "claims")
    assert (status, out) == (2, "")
    assert err.startswith("vitgeom-nb: There is no folder evidence here; put that of a working copy")
    (nowhere / "mine").mkdir()
    status, out, _ = run(capsys, "claims", "--run", "mine", "--models", "vit")
    assert status == 0
    assert "not measured yet" in out
    assert NOT_AT_HAND not in out
