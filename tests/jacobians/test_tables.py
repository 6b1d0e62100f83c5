"""Linear radii in words: sorted as numbers, whatever their words look like."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xarray as xr

import vitgeom_nb as vg
from vitgeom_nb.jacobians import tables

from ..conftest import wrap_raw
from .test_step_response import Quadratic, grey  # noqa: F401

WORDS = {0.0: "below the first radius", math.inf: "beyond the last radius"}


def response(*radii: float) -> xr.Dataset:
    """One image with a direction for every linear radius given, of steps from 0.1 to 20."""
    outcome = ["undefined" if math.isnan(r) else WORDS.get(r, "crossed") for r in radii]
    radius = [r if o == "crossed" else np.nan for r, o in zip(radii, outcome, strict=True)]
    dims = ("kind", "image", "direction")
    return xr.Dataset(
        {"linear_outcome": (dims, [[outcome]]), "linear_radius": (dims, [[radius]])},
        coords={"kind": ["random"], "radius": [0.1, 20.0]},
    )


def test_the_median_linear_radius_of_a_quadratic(grey):  # noqa: F811
    model = wrap_raw(Quadratic(0.3), 4, dtype=torch.float64)
    result = vg.step_response(model, grey, radii=(0.01, 0.1, 1.0, 10.0), directions=3)
    middle = float(result.linear_radius.sel(kind="random").median())
    assert tables.median_linear_radius(result) == pytest.approx(middle)
    assert tables.linear_radius(result) == f"{middle:.2g}"
    near = vg.step_response(model, grey, radii=(0.01, 0.02), directions=3)
    assert tables.linear_radius(near) == "beyond 0.02"
    far = vg.step_response(model, grey, radii=(10.0, 20.0), directions=3)
    assert tables.linear_radius(far) == "below 10"


@pytest.mark.parametrize(
    ("radii", "words"),
    [
        ([9.0, 10.0, 0.5], "between 0.5 and 10"),
        ([math.inf, 0.0, 1.0], "between below 0.1 and beyond 20"),
        ([math.inf, math.inf], "of beyond 20"),
        ([3.0, math.nan, 2.0], "between 2 and 3 (undefined for b)"),
        ([math.nan, math.nan], "that no network has (undefined for a, b)"),
        ([1.5, 1.5001, 1.5], "of 1.5"),
    ],
)
def test_several_are_sorted_as_numbers_and_undefined_ones_are_named(radii, words):
    assert tables.linear_radii(dict(zip("abc", map(response, radii), strict=False))) == words


def test_one_undefined_direction_leaves_the_median_undefined():
    assert math.isnan(tables.median_linear_radius(response(1.0, math.nan, 2.0)))
    assert tables.linear_radius(response(1.0, math.nan)) == "undefined"
