"""Measurements as tables: a row an image, medians over what has more dimensions."""

from __future__ import annotations

import numpy as np
import xarray as xr

from vitgeom_nb.reports.tables import rows


def test_a_row_an_image_and_a_column_a_path() -> None:
    found = xr.Dataset(
        {
            "epsilon": (("image", "path"), [[0.1, 0.2], [0.3, np.nan]]),
            "outcome": (("image", "path"), [["crossed", "crossed"], ["crossed", "never wrong"]]),
            "angle": (("image", "direction", "step"), [[[1.0, 2.0], [3.0, 10.0]], [[np.nan] * 2] * 2]),
            "pixels": (("image", "channel", "y", "x"), np.zeros((2, 3, 1, 1))),
            "name": (("class",), ["a", "b", "c"]),
        },
        {"image": [3, 5], "path": ["direct", "jumped"]},
    )
    table = rows(found)
    assert list(table.columns) == [
        "image", "epsilon_direct", "epsilon_jumped", "outcome_direct", "outcome_jumped", "angle_median",
    ]  # fmt: skip
    assert table["image"].tolist() == [3, 5]
    assert table["outcome_jumped"].tolist() == ["crossed", "never wrong"]
    np.testing.assert_array_equal(table["angle_median"], [2.5, np.nan])


def test_pairs_have_rows_too() -> None:
    found = xr.Dataset({"cosine": ("pair", [0.5, 1.0])}, {"pair": [0, 1]})
    assert rows(found).to_dict("list") == {"pair": [0, 1], "cosine": [0.5, 1.0]}
