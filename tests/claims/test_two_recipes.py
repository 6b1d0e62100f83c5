"""What a second recipe changes, on networks whose every number is known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import vitgeom_nb as vg
from vitgeom_nb.claims.two_recipes import CLASSES, COLUMNS, RECIPES, in_words
from vitgeom_nb.errors import ArgumentError

IMAGES = 200
OWN = np.random.default_rng(0).uniform(0.2, 0.8, IMAGES)  # what is hard in each picture, for every network


def sure(by: float) -> dict[str, xr.Dataset]:
    """Predictions that are always right, each as sure as its picture allows, more by this."""
    same = ("image", np.zeros(IMAGES, dtype=np.int64))
    return {"predictions": xr.Dataset({"label": same, "predicted": same, "confidence": ("image", OWN + by)})}


def bent(degrees: float) -> dict[str, xr.Dataset]:
    angle = np.radians(np.full((IMAGES, 2, 3), degrees))
    return {"direction_change": xr.Dataset({"angle": (("image", "direction", "step"), angle)})}


ALL = {
    "vit": sure(0.10), "vit-b": sure(0.02), "resnet": sure(0.00), "resnet-b": sure(-0.05),
    "convnext": sure(0.04), "convnext-b": sure(0.05), "swin": sure(0.0),
}  # fmt: skip


def at(table: pd.DataFrame, network: str, recipe: str) -> pd.Series:
    (row,) = (row for _, row in table.iterrows() if (row.network, row.recipe) == (network, recipe))
    return row


def test_what_the_recipe_changes_is_exact_where_it_is_the_same_for_every_picture() -> None:
    table = vg.claims.recipes("K1", ALL)
    assert tuple(table.columns) == COLUMNS
    assert list(dict.fromkeys(table.network)) == ["vit", "resnet", "convnext", CLASSES]  # swin has no second training
    gap = 1 - OWN.mean()
    for name, a, b in (("vit", 0.10, 0.02), ("resnet", 0.0, -0.05), ("convnext", 0.04, 0.05)):
        assert at(table, name, "A").estimate == pytest.approx(gap - a)
        assert at(table, name, "B").estimate == pytest.approx(gap - b)
        change = at(table, name, "B − A")
        # pictures are drawn together, so that what is hard in them leaves no width
        assert [change.estimate, change.low, change.high] == pytest.approx([a - b] * 3)
        assert at(table, name, "A").high - at(table, name, "A").low > 0.03
        assert change.n == IMAGES
    under_a, under_b = -(0.10 - (0.0 + 0.04) / 2), -(0.02 - (-0.05 + 0.05) / 2)
    for recipe, value in zip(RECIPES, (under_a, under_b, under_b - under_a), strict=True):
        row = at(table, CLASSES, recipe)
        assert [row.estimate, row.low, row.high] == pytest.approx([value] * 3)


def test_direction_changes_are_compared_as_well() -> None:
    table = vg.claims.recipes("K4", {"vit": bent(2.0), "vit-b": bent(3.5)})
    assert [at(table, "vit", recipe).estimate for recipe in RECIPES] == pytest.approx([2.0, 3.5, 1.5], rel=1e-3)
    assert set(table.unit) == {"degrees"}
    assert CLASSES not in set(table.network)  # one class alone


@pytest.mark.parametrize("lacks", ["vit", "vit-b"])
def test_one_recipe_alone_gives_no_row(lacks: str) -> None:
    table = vg.claims.recipes("K1", {name: found for name, found in ALL.items() if name != lacks})
    assert set(table.network) == {"resnet", "convnext"}
    assert tuple(vg.claims.recipes("K1", {}).columns) == COLUMNS


def test_a_claim_without_a_quantity_of_one_network_is_named() -> None:
    with pytest.raises(ArgumentError, match=r"no quantity of one network for a claim 'S10'; choose one of S1,"):
        vg.claims.recipes("S10", {})


def test_a_run_that_holds_no_measurements_is_one_sentence() -> None:
    with pytest.raises(ArgumentError, match="holds of vit is a mapping from names of measurements to these, not int"):
        vg.claims.recipes("K1", {"vit": 5})
    with pytest.raises(ArgumentError, match="A run is a mapping"):
        vg.claims.recipes("K1", 5)


def classes(a: float, b: float, wide: float = 0.01) -> pd.DataFrame:
    rows = [("vit", "B − A", b - a, b - a - wide, b - a + wide, 50, "1")]
    rows += [(CLASSES, r, v, v - wide, v + wide, 50, "1") for r, v in zip(RECIPES, (a, b, b - a), strict=True)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (0.1, -0.1, "its sign is the recipe's, not the architecture's."),
        (0.1, 0.15, "its sign survives the recipe, which moves it by less than what the architectures differ by."),
        (-0.1, -0.25, "its sign survives the recipe, which moves it by more than what the architectures differ by."),
        (0.1, 0.005, "with one of the recipes no sign is certain."),
        (math.nan, 0.1, "with one of the recipes no sign is certain."),
    ],
)
def test_the_sentence_follows_the_numbers(a: float, b: float, said: str) -> None:
    assert vg.claims.architecture_or_recipe(classes(a, b)).endswith(said)


def test_the_sentence_names_numbers_intervals_and_n() -> None:
    said = vg.claims.architecture_or_recipe(classes(0.1, 0.15))
    assert said.startswith("Recipe B moves vit by 0.05 [0.04, 0.06] (n = 50).")
    assert "Transformers minus CNNs is 0.1 [0.09, 0.11] under A and 0.15 [0.14, 0.16] under B" in said
    alone = vg.claims.architecture_or_recipe(vg.claims.recipes("K1", {"vit": sure(0.1), "vit-b": sure(0.0)}))
    assert alone == f"Recipe B moves vit by 0.1 [0.1, 0.1] (n = {IMAGES})."
    assert vg.claims.architecture_or_recipe(vg.claims.recipes("K1", {})) == (
        "No network is measured under both recipes yet."
    )


def test_the_table_in_words_has_a_row_an_architecture() -> None:
    words = in_words(classes(0.1, 0.15)[1:])
    assert list(words.index) == [CLASSES]
    assert list(words.loc[CLASSES]) == ["0.1 [0.09, 0.11]", "0.15 [0.14, 0.16]", "0.05 [0.04, 0.06]"]
