"""Fibre walks and homotopies against the projections of linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import vitgeom_nb as vg
from tests.conftest import wrap_raw
from tests.test_matching import Counting, least_norm, pairs, values
from vitgeom_nb.errors import ArgumentError
from vitgeom_nb.tangent import tangent


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
    torch.testing.assert_close(values(walk, "end_cosine"), F.cosine_similarity(f_b, f_0))
    straight = (f_b - f_0).norm(dim=1) / f_0.norm(dim=1)
    torch.testing.assert_close(values(walk, "straight_drift")[:, -1], straight)
    distance = (path - toward[:, None]).flatten(2).square().mean(2).sqrt()
    torch.testing.assert_close(values(walk, "distance"), distance)
    assert (walk.distance.isel(step=-1) < 0.8 * walk.distance.isel(step=0)).all()
    np.testing.assert_allclose(walk.psnr_end, -20 * np.log10(walk.distance))
    assert np.isinf(walk.psnr_start.isel(step=0)).all()


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


def test_linear_homotopy_walks_the_least_norm_line(affine: vg.VisionModel) -> None:
    source, target = pairs()
    path = vg.homotopy(affine, source, target, steps=4, residual=1e-9)
    end = least_norm(affine, source, target)
    assert path.converged.all()
    for s, frame in zip(path.s.values, values(path, "path").unbind(1), strict=True):
        torch.testing.assert_close(frame, source + float(s) * (end - source), rtol=0, atol=1e-7)


def test_homotopy_embeds_on_the_straight_line(smooth: vg.VisionModel) -> None:
    source, target = pairs(low=0.1, high=0.9)
    path = vg.homotopy(smooth, source, target, steps=5, residual=0.01)
    frames = values(path, "path")
    with torch.no_grad():
        f = smooth.embed(frames.flatten(0, 1)).unflatten(0, (3, 6))
        f_0, t = smooth.embed(source), smooth.embed(target)
    line = f_0[:, None] + values(path, "s")[None, :, None] * (t - f_0)[:, None]
    residual = (f - line).norm(dim=2) / (t - f_0).norm(dim=1)[:, None]
    torch.testing.assert_close(values(path, "residual"), residual, rtol=1e-6, atol=1e-14)
    assert path.converged.all()
    assert (residual <= 0.01).all()
    np.testing.assert_allclose(path.cosine[:, -1], F.cosine_similarity(f[:, -1], t))
    assert path.path.min() >= 0
    assert path.path.max() <= 1


def test_both_survive_netcdf(affine: vg.VisionModel, tmp_path: object) -> None:
    for name, measured in (
        ("walk", vg.fibre_walk(affine, *pairs(1), steps=2)),
        ("homotopy", vg.homotopy(affine, *pairs(1), steps=2)),
    ):
        path = vg.save_measurement(measured, tmp_path / f"{name}.nc")  # type: ignore[operator]
        assert vg.open_measurement(path).identical(measured)


def test_bad_input_names_the_fix(affine: vg.VisionModel) -> None:
    start, toward = pairs()
    for function in (vg.fibre_walk, vg.homotopy):
        with pytest.raises(ArgumentError, match="same image; choose two that differ"):
            function(affine, start, start)
        with pytest.raises(ArgumentError, match="steps is 0; a path needs at least one"):
            function(affine, start, toward, steps=0)
    with pytest.raises(ArgumentError, match="max_evaluations is 0; allow at least one"):
        vg.homotopy(affine, start, toward, max_evaluations=0)
    with pytest.raises(ArgumentError, match="residual is -1; ask for a positive one"):
        vg.homotopy(affine, start, toward, residual=-1)
