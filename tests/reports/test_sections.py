"""The one table of a report: everything that it names is there, and fits together."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

import vitgeom_nb as vg
from vitgeom_nb.claims.sentences import claims
from vitgeom_nb.reports.drawn import EXPLORERS, FIGURES
from vitgeom_nb.reports.quantities import OWN
from vitgeom_nb.reports.sections import Planned, Section, planned, sections
from vitgeom_nb.sweeps.entries import made

LABELS = [one.label for one in planned()]
NEEDS = {"head", "classes", "labels", "pairs", "jacobian", "no-jacobian"}


@pytest.mark.parametrize("one", planned(), ids=lambda one: one.label)
def test_every_measurement_is_one_of_a_sweep(one: Planned) -> None:
    entry = made(one.label, one.made_by, dict(one.parameters))  # refuses parameters that there are not
    assert set(one.needs) <= NEEDS
    assert entry.measure.head == ("head" in one.needs)
    assert (entry.measure.unit == "pair" or entry.measure.partner is not None) <= ("pairs" in one.needs)
    assert one.quick <= one.full
    assert one.full >= 1


@pytest.mark.parametrize("one", sections(), ids=lambda one: one.name)
def test_every_section_names_what_there_is(one: Section) -> None:
    assert one.title.endswith("?")
    assert set(one.reads) <= set(LABELS)
    assert {label for _, label in (*one.figures, *one.explorers)} <= set(LABELS)
    assert all(name in FIGURES or hasattr(vg.figures, name) for name, _ in one.figures)
    assert all(name in EXPLORERS or hasattr(vg.explore, name) for name, _ in one.explorers)
    assert one.figures
    assert one.shows.endswith(".")
    for finding in one.findings:
        assert finding.quantity in OWN
        assert re.findall(r"\{(\w+)\}", finding.sentence).count("value") == 1
        assert finding.sentence.endswith(".")
        assert finding.unit or finding.quantity not in claims() or claims()[finding.quantity].unit


def test_labels_and_names_are_there_once() -> None:
    assert len(set(LABELS)) == len(LABELS)
    names = [one.name for one in sections()]
    assert len(set(names)) == len(names)
    assert not {"summary", "ledger", "left-out", "settings"} & set(names)


def test_what_is_measured_is_shown_or_read_by_a_claim() -> None:
    shown = {label for one in sections() for label in one.reads}
    shown |= {label for one in sections() for _, label in (*one.figures, *one.explorers)}
    assert set(LABELS) <= shown | {label for claim in claims().values() for label in claim.reads}


def test_only_sizes_differ_between_quick_and_full() -> None:
    """So that a full report goes on from a quick one: the table has no place for anything else."""
    text = (files("vitgeom_nb.reports") / "sections.toml").read_text()
    keys = {line.split(" =")[0] for line in text.split("[[section]]")[0].splitlines() if " = " in line}
    assert {key for key in keys if not key.startswith("#")} == {
        "quick", "full", "label", "measure", "needs", "parameters", "block",
    }  # fmt: skip
