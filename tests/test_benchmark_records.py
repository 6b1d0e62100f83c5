"""Recorded speeds: what is read is what was written, and the words follow from the numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vitgeom_nb as vg
from vitgeom_nb.benchmark_records import (
    duration,
    earlier_weights,
    falls_short,
    faster_peers,
    growth_exponents,
    overview,
    provenance,
    results,
    sentence,
)

MACHINE = {"processor": "a processor", "cores": 2, "threads": 1, "date": "2030-01-02", "versions": {"torch": "9.9"}}


def record(contender: str, role: str, *seconds: float, ratio: float = 1.0, network: str = "vit", **more) -> dict:
    """As the harness writes it, for the engine `jacobian` unless told otherwise."""
    return {
        "engine": "jacobian",
        "network": network,
        "contender": contender,
        "role": role,
        "share": 1.0,
        "seconds": list(seconds),
        "median": float(np.median(seconds)),
        "ratio": ratio,
        "ratio_lower_quartile": 0.9 * ratio if role != "ours" else 1.0,
        "ratio_upper_quartile": 1.2 * ratio if role != "ours" else 1.0,
        "machine": MACHINE,
    } | more


def contest(network: str, ours: float, **ratios: float) -> list[dict]:
    """A contest of `us`, peers by name, and a floor at half of ours."""
    each = [record("us", "ours", ours, network=network, error=1e-7)]
    each += [record(name, "peer", ours * r, ratio=r, network=network, error=3e-6) for name, r in ratios.items()]
    return [*each, record("passes", "floor", ours / 2, ratio=0.5, network=network)]


def write(folder: Path, name: str, records: list[dict]) -> None:
    (folder / f"{name}.json").write_text(json.dumps({"records": records}))


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    """Two networks on the CPU, one on the GPU; the peer `slow` is slow, `quick` is faster on one, `big` failed."""
    failed = record("big", "peer", 1.0, error="RuntimeError: no memory")
    failed = {
        k: v
        for k, v in failed.items()
        if k not in ("seconds", "median", "ratio", "ratio_lower_quartile", "ratio_upper_quartile")
    }
    cpu = [*contest("vit", 0.02, slow=3.0, quick=0.8), failed, *contest("ViT-B/16", 4.0, slow=2.0, quick=1.5)]
    write(tmp_path, "jacobian-cpu", cpu)
    there = MACHINE | {"accelerator": "an accelerator", "date": "2030-01-03"}
    write(tmp_path, "jacobian-cuda", [r | {"machine": there} for r in contest("vit", 0.001, slow=4.0)])
    grown = [
        record("us", "ours", 0.5 * at**p, engine="growth", axis=axis, at=at)
        for axis, p in (("pixels", 1.0), ("threads", -0.5))
        for at in (1, 2, 4)
    ]
    write(tmp_path, "growth-cpu", grown)
    return vg.speed(tmp_path)


def test_a_row_is_a_record(table: pd.DataFrame) -> None:
    assert len(table) == 4 + 1 + 4 + 3 + 6
    row = table[(table.network == "vit") & (table.contender == "quick")].iloc[0]
    assert (row.engine, row.role, row.device, row.rounds, row.share) == ("jacobian", "peer", "cpu", 1, 1.0)
    assert (row["median"], row.ratio) == (pytest.approx(0.016), 0.8)
    assert (row.processor, row.cores, row.threads, row.date) == ("a processor", 2, 1, "2030-01-02")
    assert (row.versions, row.error, row.failure) == ("torch 9.9", 3e-6, "")
    assert np.isnan(row.peak_memory_mb)
    assert set(table.device) == {"cpu", "cuda"}
    # engines in the order of the book, growth last
    assert list(dict.fromkeys(table.engine)) == ["jacobian", "growth"]


def test_a_failure_has_a_reason_and_no_time(table: pd.DataFrame) -> None:
    (failed,) = (row for _, row in table[table.failure != ""].iterrows())
    assert failed.failure == "RuntimeError: no memory"
    assert failed[["median", "ratio", "error"]].isna().all()
    assert failed.rounds == 0


def test_columns_are_there_whatever_was_recorded(tmp_path: Path) -> None:
    write(tmp_path, "travel-cpu", [record("us", "ours", 1.0, engine="travel", converged=True, peak_memory_mb=None)])
    table = vg.speed(tmp_path)
    assert {"accelerator", "axis", "at", "failure", "peak_memory_mb", "error"} <= set(table.columns)
    assert table.converged[0] == 1.0
    assert not falls_short(table).any()


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_no_records_are_an_error_that_says_how_to_get_them(tmp_path: Path, folder: str) -> None:
    with pytest.raises(vg.errors.DataError, match=r"no recorded speeds in .*make bench"):
        vg.speed(tmp_path / folder)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"records": [', "Expecting"),
        ("[]", "list indices"),
        ("{}", "records"),
        ('{"records": [{}]}', "machine"),
        (json.dumps({"records": [record("us", "winner", 1.0)]}), "role"),
        (json.dumps({"records": [{"machine": {}, "seconds": [1.0], "median": 1.0}]}), "engine and network"),
        (json.dumps({"records": [{**record("us", "ours", 1.0), "median": None}]}), "time"),
        (json.dumps({"records": [{**record("us", "ours", 1.0), "ratio": "fast"}]}), "fast"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "jacobian-cpu.json").write_text(text)
    with pytest.raises(vg.errors.DataError, match=rf"jacobian-cpu.json does not hold .*{reason}.*make bench"):
        vg.speed(tmp_path)


def test_durations_have_two_digits() -> None:
    assert [duration(s) for s in (0.00085, 0.0234, 4.12, 209.7)] == ["0.85 ms", "23 ms", "4.1 s", "210 s"]


def test_overview_has_the_ranges_over_networks(table: pd.DataFrame) -> None:
    seen = overview(table)
    assert list(seen.index) == ["jacobian, CPU", "jacobian, GPU"]
    assert list(seen.loc["jacobian, CPU"]) == ["2.00", "0.80–1.50", "1 of 2"]
    assert list(seen.loc["jacobian, GPU"]) == ["2.00", "4.00", "0 of 1"]


def test_faster_peers_are_named_with_what_they_pay(table: pd.DataFrame) -> None:
    (row,) = faster_peers(table).values
    assert list(row) == ["jacobian", "CPU", "quick on vit (0.80; error 3e-06, ours 1e-07)"]
    assert faster_peers(table[table.contender != "quick"]).empty


def test_a_variant_of_ours_is_not_a_peer(tmp_path: Path) -> None:
    each = contest("vit", 1.0, slow=3.0)
    write(tmp_path, "jacobian-cpu", [*each, record("us, in half", "variant", 0.5, ratio=0.5)])
    table = vg.speed(tmp_path)
    assert overview(table)["fastest peer / ours"].item() == "3.00"
    assert faster_peers(table).empty
    assert list(results(table, "jacobian").index.get_level_values("contender")) == [
        "us",
        "us, in half",
        "slow",
        "passes",
    ]


def test_a_peer_that_falls_short_is_not_the_fastest(tmp_path: Path) -> None:
    goals = [record("us", "ours", 1.0, converged=1.0), record("close", "peer", 2.0, ratio=2.0, converged=1.0)]
    write(tmp_path, "jacobian-cpu", [*goals, record("hasty", "peer", 0.5, ratio=0.5, converged=0.4)])
    table = vg.speed(tmp_path)
    assert list(falls_short(table)) == [False, False, True]
    assert overview(table)["fastest peer / ours"].item() == "2.00"
    assert faster_peers(table).words.item() == "hasty on vit (0.50; reaching the goal less often)"


def test_the_sentence_says_what_the_table_holds(table: pd.DataFrame) -> None:
    here, there = sentence(table, "jacobian").split("\n\n")
    assert here.startswith("On the CPU, ours takes 20 ms on vit to 4 s on ViT-B/16: 2.00 times the floor.")
    assert "The fastest peer takes 0.80 to 1.50 times as long as ours." in here
    assert "Faster than ours: quick on vit (0.80; error 3e-06, ours 1e-07)." in here
    assert here.endswith("Did not finish: big on vit (RuntimeError: no memory).")
    assert there.startswith("On the GPU, ours takes 1 ms on vit: 2.00 times the floor.")
    assert there.endswith("No peer is faster.")
    assert sentence(table, "nonsense") == "No speed of “nonsense” is recorded here."


def test_the_sentence_does_without_ours_and_without_floor(table: pd.DataFrame) -> None:
    assert sentence(table[table.failure != ""], "jacobian") == "Did not finish: big on vit (RuntimeError: no memory)."
    alone = table[(table.device == "cuda") & (table.role == "ours")]
    assert sentence(alone, "jacobian") == "On the GPU, ours takes 1 ms on vit."


def test_results_put_ours_first_and_the_floor_last(table: pd.DataFrame) -> None:
    shown = results(table, "jacobian")
    first = shown.droplevel(["device", "network"]).iloc[:5]
    assert list(first.index) == ["us", "quick", "slow", "big", "passes"]
    assert list(first.loc["quick"]) == ["16 ms", "0.8", "0.72–0.96", "–", "3e-06"]
    assert first.time["big"] == "RuntimeError: no memory"
    assert first.quartiles["big"] == "–"
    here = results(table[table.device == "cpu"], "jacobian")
    assert here.index.names == ["network", "contender"]


def test_results_leave_settings_out_and_say_what_was_extrapolated(tmp_path: Path) -> None:
    each = [
        record("us", "ours", 1.0, rows=5, evaluations=60),
        record("loop", "peer", 50.0, share=0.1, rows=5, evaluations=80),
    ]
    write(tmp_path, "jacobian-cpu", each)
    shown = results(vg.speed(tmp_path), "jacobian")
    assert list(shown.columns) == ["time", "× ours", "quartiles", "MB", "evaluations"]
    assert shown.time.iloc[1] == "50 s (from 10%)"


def test_provenance_is_a_line_a_machine(table: pd.DataFrame) -> None:
    assert provenance(table).splitlines() == [
        "- CPU: a processor, 2 cores, 1 thread; 2030-01-02; torch 9.9",
        "- GPU: an accelerator, a processor, 2 cores, 1 thread; 2030-01-03; torch 9.9",
    ]


def test_days_of_one_machine_stand_together(tmp_path: Path) -> None:
    late = record("us", "ours", 1.0, network="swin") | {"machine": MACHINE | {"date": "2030-02-01"}}
    write(tmp_path, "jacobian-cpu", [record("us", "ours", 1.0), late])
    assert "2030-01-02, 2030-02-01" in provenance(vg.speed(tmp_path))


def test_exponents_of_exact_powers(table: pd.DataFrame) -> None:
    assert growth_exponents(table).to_dict("index") == {"us": {"pixels": 1.0, "threads": -0.5}}
    assert growth_exponents(table[table.engine == "jacobian"]).empty
    both = pd.concat([table, table.assign(device="cuda")])
    assert list(growth_exponents(both).index) == ["us, CPU", "us, GPU"]
    assert growth_exponents(table.assign(axis="at a time")).empty  # the same work in other portions does not grow


def test_records_of_earlier_weights_are_named(tmp_path):
    now = vg.load("swin").digest
    write(
        tmp_path,
        "jacobian-cpu",
        [
            record("us", "ours", 1.0, network="swin", weights=now),
            record("us", "ours", 1.0, network="swin", weights="another", engine="travel"),
            record("us", "ours", 1.0, network="swin", engine="matching"),
            record("us", "ours", 1.0, network="resnet", weights=vg.load("resnet").digest),
            record("us", "ours", 1.0, network="ViT-B/16"),
        ],
    )
    table = vg.speed(tmp_path)
    assert earlier_weights(table) == {"swin": ["matching", "travel"]}
    assert "weights" not in results(table, "jacobian").columns
