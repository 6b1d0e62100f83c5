"""What stands first on a chapter: the very numbers and verdicts of the table, and nothing else."""

from __future__ import annotations

import math
import re

import pandas as pd
import pytest

import vitgeom_nb as vg
from vitgeom_nb.claims.ledger import COLUMNS
from vitgeom_nb.claims.rules import INCONCLUSIVE, NOT_MEASURED, NOT_SUPPORTED, SUPPORTED
from vitgeom_nb.errors import ArgumentError


def row(claim: str, network: str, estimate: float, verdict: str, n: int = 50, unit: str = "1") -> dict[str, object]:
    values = dict.fromkeys(COLUMNS, math.nan) | {"family": "CNN", "quantity": "q", "unit": unit, "corrected": verdict}
    ends = {"low": estimate - 0.125, "high": estimate + 0.125}
    return values | ends | {"claim": claim, "network": network, "estimate": estimate, "verdict": verdict, "n": n}


def found(chapter: str, *rows: dict[str, object]) -> list[str]:
    return vg.claims.findings(chapter, pd.DataFrame(rows)).splitlines()


def test_each_network_is_told_with_its_interval_and_n_under_its_verdict() -> None:
    nothing = {"low": math.nan, "high": math.nan}
    first, second, third = found(
        "singular-spectra",
        row("S5", "vit", 0.25, SUPPORTED),
        row("S5", "swin", 0.5, SUPPORTED),
        row("S5", "mine", 0.75, NOT_SUPPORTED, n=7),
        row("S5", "other", 0.875, INCONCLUSIVE, n=3) | nothing,
        row("S5", "late", math.nan, NOT_MEASURED, n=0) | nothing,
    )
    assert second.startswith(
        "- “Steps into the null space barely change the embedding.” **Supported**: vit 0.25 [0.125, 0.375], "
        "swin 0.5 [0.375, 0.625]; n = 50; **not supported**: mine 0.75 [0.625, 0.875]; n = 7; "
        "**inconclusive**: other 0.875; n = 3; **not measured yet** on late ("
    )
    for line, sentence in ((first, "The singular spectrum separates"), (third, "The regions around images")):
        assert sentence in line
        assert line.endswith("**Not measured yet**.")


def test_classes_that_are_compared_are_told_by_their_difference() -> None:
    rows = [row("K1", name, 0.5, SUPPORTED) for name in ("vit", "resnet", "transformers", "CNNs")]
    (line, _) = found("reliability", *rows, row("K1", "transformers − CNNs", -0.5, NOT_SUPPORTED, n=10_000))
    assert "**Not supported**: transformers − CNNs −0.5 [−0.625, −0.375]; n = 10,000 (" in line
    assert "vit" not in line


def test_every_number_of_the_evidence_is_one_of_the_table(recorded_ledger: pd.DataFrame) -> None:
    table = recorded_ledger
    judged = table[table.verdict.isin([SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE])]
    for chapter in ("singular-spectra", "reliability", "curvature"):
        for name, value in re.findall(
            r"(?:: |, )(\w[\w −-]*?) (−?[\d.]+(?:e[−+]\d+)?)°? \[", vg.claims.findings(chapter, table)
        ):
            near = judged[judged.network == name].estimate - float(value.replace("−", "-"))
            assert near.abs().min() <= 0.006 * abs(float(value.replace("−", "-")))


def test_a_chapter_without_claims_is_one_sentence() -> None:
    with pytest.raises(ArgumentError, match="No claim belongs to the chapter 'speed'; those of equivalent-images, "):
        vg.claims.findings("speed", vg.claims.table({}, networks=["vit"]))
    with pytest.raises(ArgumentError, match="No claim belongs to the chapter 'speed'"):
        vg.claims.table({}, networks=["vit"], chapter="speed")


def test_the_table_of_a_chapter_is_a_part_of_the_whole(recorded_ledger: pd.DataFrame) -> None:
    whole = recorded_ledger
    part = vg.claims.table(chapter="singular-spectra")
    wanted = whole[whole.claim.isin(["S4", "S5", "S6"])]
    rest = [column for column in whole if column != "corrected"]  # fewer verdicts, less to correct for
    pd.testing.assert_frame_equal(part[rest], wanted[rest].reset_index(drop=True))


def test_a_difference_of_classes_says_which_networks_it_is_without() -> None:
    late = row("K1", "late", math.nan, NOT_MEASURED, n=0) | {"estimate": math.nan, "low": math.nan, "high": math.nan}
    measured = row("K1", "transformers − CNNs", -0.5, NOT_SUPPORTED, n=10_000)
    (line, _) = found("reliability", row("K1", "vit", 0.5, SUPPORTED), late, measured)
    assert "transformers − CNNs −0.5 [−0.625, −0.375]; n = 10,000; **not measured yet** on late (" in line
    assert "vit" not in line
