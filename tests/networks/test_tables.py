"""The table of models says what cards and catalogue say, and `load` builds what it lists."""

from __future__ import annotations

import json

import pandas as pd

import vitgeom_nb as vg
from vitgeom_nb.networks.catalogue import CATALOGUE
from vitgeom_nb.networks.embedded import FAMILIES
from vitgeom_nb.networks.embedded.architectures import ARCHITECTURES, SIZE

from ..chapters import ROOT


def test_every_embedded_model_has_an_architecture() -> None:
    assert set(FAMILIES) <= set(ARCHITECTURES)


def test_rows_of_embedded_models_are_their_cards() -> None:
    table = vg.models("embedded")
    assert list(table.index) == list(FAMILIES)
    for name, row in table.iterrows():
        card = json.loads((ROOT / "vitgeom_nb" / "networks" / "embedded" / f"{name}.json").read_text())
        same = ("family", "input_size", "embedding_dim", "parameters", "top1", "licence")
        assert [row[key] for key in same] == [card[key] for key in same]
        assert row.input_size == SIZE
        assert row.classes == len(card["classes"])


def test_rows_of_published_models_are_the_catalogues() -> None:
    table = pd.concat([vg.models("paper"), vg.models("pretrained")])
    assert list(table.index) == list(CATALOGUE)
    assert list(table.source) == [entry.source for entry in CATALOGUE.values()]
    assert list(vg.models("pretrained").index) == ["efficientnet-lite0"]
    assert list(vg.models().index) == [*FAMILIES, *CATALOGUE]
