"""Figures of the foundations show the numbers they were given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

import vitgeom_nb as vg
from vitgeom_nb import foundations


@pytest.fixture(scope="module")
def model() -> vg.VisionModel:
    return foundations.folded_model()


@pytest.fixture(scope="module")
def seen(model: vg.VisionModel) -> xr.Dataset:
    return foundations.plane(model, points=8)


def marked(axes, marker: str) -> np.ndarray:
    return np.concatenate([line.get_xydata() for line in axes.lines if line.get_marker() == marker])


def test_plane_shows_four_regions_and_the_gradients(seen: xr.Dataset) -> None:
    left, right = vg.figures.plane(seen, every=2).axes
    assert (left.get_xlabel(), left.get_ylabel()) == ("mean red", "mean green")
    shade = right.images[0].get_array()
    assert len(np.unique(shade.reshape(-1, 3), axis=0)) == 4
    assert (shade[:4, :4] == shade[0, 0]).all()
    first, second = (c for c in right.collections if hasattr(c, "U"))
    assert set(np.sign(first.U)) == {-1, 1}
    assert (second.U == 0).all()
    assert set(np.asarray(second.V).round(9)) == {0, 3}


def test_matches_are_drawn_from_source_to_match_and_failures_crossed(model: vg.VisionModel, seen: xr.Dataset) -> None:
    start = foundations.colours([0.9, 0.2], [0.95, 0.2])
    matched = vg.match(model, start, foundations.colours([0.7] * 2, 0.7, 0.9), residual=1e-6)
    (axes,) = vg.figures.plane_matches(seen, matched).axes
    np.testing.assert_allclose(marked(axes, "o"), [[0.9, 0.95], [0.2, 0.2]])
    np.testing.assert_allclose(marked(axes, "*"), [[0.7, 0.7]] * 2)
    np.testing.assert_allclose(marked(axes, "x"), [[0.1, 0.2]], atol=1e-4)
    np.testing.assert_allclose(axes.texts[0].xy, [0.7, 0.7], atol=1e-4)


def test_ways_to_the_boundary_end_where_the_measurement_says(model: vg.VisionModel, seen: xr.Dataset) -> None:
    image = foundations.colours(0.8, 0.7)
    way = vg.travel_distance(model, image, torch.tensor([0]), epsilon_max=0.2, pictures=True)
    (axes,) = vg.figures.plane_travel(seen, way).axes
    np.testing.assert_allclose(axes.texts[0].xy, [0.66, 0.56], atol=1e-3)
    assert not [line for line in axes.lines if line.get_marker() == "x"]


def test_walks_are_drawn_step_by_step(model: vg.VisionModel, seen: xr.Dataset) -> None:
    walk = vg.fibre_walk(model, foundations.colours(0.3, 0.2), foundations.colours(0.2, 0.8), steps=4)
    (axes,) = vg.figures.plane_walk(seen, walk).axes
    path = marked(axes, ".")
    assert path.shape == (5, 2)
    np.testing.assert_allclose(path[:, 0], 0.3, atol=1e-3)
    np.testing.assert_allclose(path[-1, 1], 0.5, atol=1e-3)
    np.testing.assert_allclose(marked(axes, "*"), [[0.2, 0.8]])


def test_turns_sum_up_to_the_staircase(model: vg.VisionModel) -> None:
    lines = torch.zeros(1, 1, 3, 4, 4, dtype=torch.float64)
    lines[:, :, 0] = 1
    bend = vg.direction_change(model, foundations.colours(0.3, 0.4), along=lines, steps=10, epsilon=0.3)
    (axes,) = vg.figures.turns(bend, [[(0.2 / np.sqrt(3), np.pi)]]).axes
    staircase, measured = axes.lines
    np.testing.assert_allclose(staircase.get_ydata(), [0, 180, 180])
    np.testing.assert_allclose(sorted(set(measured.get_ydata().round(6))), [0, 180])
    assert "rms per pixel" in axes.get_xlabel()
    assert "degrees" in axes.get_ylabel()
