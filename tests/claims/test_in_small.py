"""The ledger of the front page says what the whole ledger says, in one line a claim."""

from __future__ import annotations

import pandas as pd
from bs4 import BeautifulSoup

import vitgeom_nb as vg
from vitgeom_nb.claims.in_small import counted, in_words, ledger_in_small, listed, of_networks
from vitgeom_nb.claims.rules import JUDGED, NOT_MEASURED

NAMES = {"vit": "ViT", "swin": "Swin"}


def rows(**verdicts: str) -> pd.DataFrame:
    return pd.DataFrame({"network": list(verdicts), "verdict": list(verdicts.values()), "claim": "K1"})


def test_networks_stand_under_their_verdicts_and_what_is_not_measured_says_so() -> None:
    some = rows(vit="supported", swin="supported", mine="inconclusive", late="not measured yet")
    assert in_words(some, NAMES) == "supported on ViT and Swin; inconclusive on mine; not measured yet on late"
    assert in_words(rows(vit=NOT_MEASURED, swin=NOT_MEASURED), NAMES) == NOT_MEASURED
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_classes_and_networks_beside_are_left_out() -> None:
    some = pd.DataFrame(
        {
            "network": ["vit", "all networks", "transformers", "transformers − CNNs (paper)", "resnet"],
            "verdict": ["supported"] * 4 + ["compared"],
        }
    )
    assert list(of_networks(some).network) == ["vit"]


def test_the_recorded_ledger_is_the_same_in_small(recorded_ledger: pd.DataFrame) -> None:
    table = recorded_ledger
    networks = vg.models().index
    of_one = table[table.network.isin(networks) & table.verdict.isin([*JUDGED, NOT_MEASURED])]
    found = counted(table, {})
    for (network, verdict), some in of_one.groupby(["network", "verdict"]):
        assert found.loc[network, verdict] == len(some)
    assert found.to_numpy().sum() == len(of_one)
    page = BeautifulSoup(ledger_in_small(table, {}, "{chapter}.html"), "html.parser")
    cells = {row.th.a.text: row.td.text for row in page.select("tbody tr")}
    assert list(cells) == list(vg.claims.sentences().index)
    for claim, some in of_one.groupby("claim"):
        judged = some[some.verdict.isin(JUDGED)]
        if judged.empty:  # a sentence that compares classes alone
            judged = table[
                (table.claim == claim) & table.verdict.isin(JUDGED) & (table.network == "transformers − CNNs")
            ]
        assert all(row.network in cells[claim] and row.verdict in cells[claim] for row in judged.itertuples())
        assert (cells[claim] == NOT_MEASURED) == judged.empty
