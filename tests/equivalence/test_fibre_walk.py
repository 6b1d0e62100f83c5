"""Fibre walks against the projections of linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import vitgeom_nb as vg
from tests.conftest import wrap_raw
from tests.equivalence.test_matching import Counting, least_norm, pairs, values
from vitgeom_nb.equivalence.fibre_step import tangent
from vitgeom_nb.equivalence.fibre_walk import fibre_at
from vitgeom_nb.errors import ArgumentError


@pytest.fixture
def smooth() -> vg.VisionModel:
    return wrap_raw(Counting(), 4, name="smooth", dtype=torch.float64)


def test_linear_walk_ends_at_the_point_of_the_fibre_nearest_to_the_end(affine: vg.VisionModel) -> None:
    start, toward = pairs()
    walk = vg.fibre_walk(affine, start, toward, steps=4)
    nearest = least_norm(affine, toward, start)  # b + J^+ (f(x_0) - f(b))
    torch.testing.assert_close(values(walk, "path")[:, -1], nearest, rtol=0, atol=1e-12)
    assert walk.drift.max() < 1e-13
    assert not walk.failed.any()
    halfway = (start + nearest) / 2
    torch.testing.assert_close(values(walk, "path")[:, 2], halfway, rtol=0, atol=1e-12)


def test_linear_walk_in_a_corner_of_the_box_stays_inside_and_on_the_fibre(affine: vg.VisionModel) -> None:
    start, toward = (x.round() for x in pairs(low=0.0, high=1.0))
    walk = vg.fibre_walk(affine, start, toward, steps=5)
    assert walk.path.min() >= 0
    assert walk.path.max() <= 1
    assert not walk.failed.any()
    assert (walk.distance.isel(step=-1) < walk.distance.isel(step=0)).all()


def test_tangent_step_is_null_and_points_inward() -> None:
    draw = torch.Generator().manual_seed(0)
    J = torch.randn(4, 30, generator=draw, dtype=torch.float64)
    x = torch.rand(30, generator=draw, dtype=torch.float64).round()
    step = tangent(J, x, torch.rand(30, generator=draw, dtype=torch.float64) - x).step
    assert (J @ step).norm() < 1e-12 * step.norm()
    assert (step[x == 0] >= 0).all()
    assert (step[x == 1] <= 0).all()
    assert step.norm() > 0.1


def test_curved_walk_holds_the_embedding_and_reports_itself(smooth: vg.VisionModel) -> None:
    start, toward = pairs(low=0.0, high=1.0)
    walk = vg.fibre_walk(smooth, start, toward, steps=6)
    path = values(walk, "path")
    torch.testing.assert_close(path[:, 0], start)
    with torch.no_grad():
        f = smooth.embed(path.flatten(0, 1)).unflatten(0, (3, 7))
        f_0, f_b = smooth.embed(start), smooth.embed(toward)
    drift = (f - f_0[:, None]).norm(dim=2) / f_0.norm(dim=1)[:, None]
    torch.testing.assert_close(values(walk, "drift"), drift, rtol=1e-6, atol=1e-14)
    np.testing.assert_array_equal(walk.failed, drift > 1e-3)
    assert not walk.failed.any()
    torch.testing.assert_close(values(walk, "cosine"), F.cosine_similarity(f, f_0[:, None], dim=2))
    torch.testing.assert_close(values(walk, "pair_cosine"), F.cosine_similarity(f_b, f_0))
    straight = (f_b - f_0).norm(dim=1) / f_0.norm(dim=1)
    torch.testing.assert_close(values(walk, "straight_drift")[:, -1], straight)
    distance = (path - toward[:, None]).flatten(2).square().mean(2).sqrt()
    torch.testing.assert_close(values(walk, "distance"), distance)
    assert (walk.distance.isel(step=-1) < 0.8 * walk.distance.isel(step=0)).all()
    np.testing.assert_allclose(walk.psnr_target, -20 * np.log10(walk.distance))
    assert np.isinf(walk.psnr_source.isel(step=0)).all()


def test_each_step_costs_a_jacobian_and_its_corrections(affine: vg.VisionModel, smooth: vg.VisionModel) -> None:
    assert (vg.fibre_walk(affine, *pairs(), steps=3).evaluations == 3 * (affine.dim + 1)).all()
    assert (vg.fibre_walk(smooth, *pairs(), steps=3).evaluations > 3 * (smooth.dim + 1)).all()


class Cliff(torch.nn.Module):
    """An embedding that jumps wherever blue rises at all, though its Jacobian says that it does not care."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        red, blue = x[:, 0].mean((1, 2)), x[:, 2].mean((1, 2))
        return torch.stack([red, red**2 + (blue > 0.2).to(x.dtype)], dim=1)


def test_a_walk_that_cannot_hold_the_embedding_fails_openly() -> None:
    cliff = wrap_raw(Cliff(), 4, name="cliff", dtype=torch.float64)
    start = torch.full((1, 3, 4, 4), 0.2, dtype=torch.float64)
    toward = start.clone()
    toward[:, 2] = 0.9
    walk = vg.fibre_walk(cliff, start, toward, steps=2)
    assert walk.failed.isel(step=1).all()
    assert (walk.drift.isel(step=1) > 1).all()


def test_between_two_steps_the_walk_is_brought_back_to_the_fibre(smooth: vg.VisionModel) -> None:
    walk = vg.fibre_walk(smooth, *pairs(low=0.0, high=1.0), steps=4)
    path = values(walk, "path")
    between = fibre_at(smooth, walk, 1.5)
    frame = values(between, "path")[:, 0]
    with torch.no_grad():
        drift = (smooth.embed(frame) - smooth.embed(path[:, 0])).norm(dim=1) / smooth.embed(path[:, 0]).norm(dim=1)
        blend = (smooth.embed((path[:, 1] + path[:, 2]) / 2) - smooth.embed(path[:, 0])).norm(dim=1)
    torch.testing.assert_close(values(between, "drift")[:, 0], drift)
    assert (drift <= 1e-3).all()
    assert (drift * smooth.embed(path[:, 0]).norm(dim=1) <= blend + 1e-12).all()
    assert float(between.step[0]) == 1.5
    exact = fibre_at(smooth, walk, 4)
    torch.testing.assert_close(values(exact, "path")[:, 0], path[:, 4], rtol=0, atol=1e-3)
    torch.testing.assert_close(values(exact, "straight_drift")[:, 0], values(walk, "straight_drift")[:, 4])


def test_embeddings_are_those_of_the_frames(smooth: vg.VisionModel) -> None:
    start, toward = pairs()
    walk = vg.fibre_walk(smooth, start, toward, steps=2)
    with torch.no_grad():
        f = smooth.embed(values(walk, "path").flatten(0, 1)).unflatten(0, (3, 3))
        half = smooth.embed((start + toward) / 2)
    torch.testing.assert_close(values(walk, "embedding"), f)
    torch.testing.assert_close(values(walk, "straight_embedding")[:, 1], half)


def test_survives_netcdf(affine: vg.VisionModel, tmp_path: object) -> None:
    measured = vg.fibre_walk(affine, *pairs(1), steps=2)
    path = vg.save_measurement(measured, tmp_path / "walk.nc")  # type: ignore[operator]
    assert vg.open_measurement(path).identical(measured)


def test_bad_input_names_the_fix(affine: vg.VisionModel) -> None:
    start, toward = pairs()
    with pytest.raises(ArgumentError, match="same image; choose two that differ"):
        vg.fibre_walk(affine, start, start)
    with pytest.raises(ArgumentError, match="steps is 0; a path needs at least one"):
        vg.fibre_walk(affine, start, toward, steps=0)
