"""The index of published figures leads to what exists, and its last column is the verdicts."""

from __future__ import annotations

from operator import attrgetter

import pandas as pd
import pytest
from bs4 import BeautifulSoup

import vitgeom_nb as vg
from tests.chapters import ROOT, chapters
from vitgeom_nb.claims.published_figures import PAPERS, Published, agreement, figures_index, published, reason
from vitgeom_nb.claims.rules import JUDGED, NOT_MEASURED
from vitgeom_nb.claims.sentences import claims


@pytest.mark.parametrize("figure", published(), ids=lambda one: one.shows)
def test_page_function_and_tests_exist(figure: Published) -> None:
    assert figure.chapter in chapters()
    assert callable(attrgetter(figure.function)(vg))
    assert all((ROOT / path).is_file() for path in figure.tests)
    assert figure.paper in PAPERS
    assert f"{{{figure.paper}," in (ROOT / "references.bib").read_text()
    drawn = f"vg.{figure.function}(" in (ROOT / "book" / f"{figure.chapter}.md").read_text()
    assert drawn or not figure.function.startswith("figures.")


def test_every_sentence_but_the_one_about_all_of_them_rests_on_a_figure_of_its_own_paper() -> None:
    resting = {name: figure for figure in published() for name in figure.claims}
    assert set(resting) == set(claims()) - {"S10"}
    assert all(claims()[name].paper == figure.paper for name, figure in resting.items())
    assert all(figure.chapter in (claims()[name].chapter, "claims") for name, figure in resting.items())


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (["supported", "supported", "not measured yet"], "agrees"),
        (["not supported", "compared"], "does not agree"),
        (["supported", "not supported"], "agrees in part"),
        (["supported", "inconclusive"], "agrees in part"),
        (["not supported", "inconclusive"], "undecided"),
        (["inconclusive"], "undecided"),
        (["not measured yet", "compared"], "not measured yet"),
    ],
)
def test_agreement_follows_from_the_verdicts(verdicts: list[str], said: str) -> None:
    networks = ["vit", "swin", "mine"][: len(verdicts)]
    table = pd.DataFrame({"claim": "S4", "network": networks, "verdict": verdicts, "estimate": 0.5, "unit": "1"})
    figure = next(one for one in published() if one.claims == ("S4",))
    assert agreement(figure, table) == said


def test_a_comparison_of_classes_is_told_by_their_difference() -> None:
    table = vg.claims.table({}, networks=["vit", "resnet"], chapter="reliability")
    table.loc[(table.claim == "K2") & (table.network == "transformers − CNNs"), ["verdict", "estimate"]] = (
        "supported",
        0.25,
    )
    assert reason(claims()["K2"], table, {}) == (
        "K2 (transformers − CNNs above 0.02) supported: transformers − CNNs 0.25"
    )


def test_the_index_of_the_recorded_ledger_has_every_estimate_of_it(recorded_ledger: pd.DataFrame) -> None:
    table = recorded_ledger
    page = BeautifulSoup(figures_index(table, {}, "{chapter}.html"), "html.parser")
    cells = {row.th.text: row.find_all("td")[-1] for row in page.select("tbody tr")}
    assert len(cells) == len(published())
    for figure, cell in zip(published(), cells.values(), strict=True):
        about = table[table.claim.isin(figure.claims) & table.verdict.isin(JUDGED)]
        judged = about[about.network.isin(vg.models().index)]
        if judged.empty:  # a sentence that compares classes alone
            judged = about[about.network == "transformers − CNNs"]
        assert all(row.network in cell.text and row.verdict in cell.text for row in judged.itertuples())
        if judged.empty and figure.claims:
            assert cell.b.text == NOT_MEASURED
