"""Homotopies against the least-norm line of linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import vitgeom_nb as vg
from tests.conftest import wrap_raw
from tests.equivalence.test_matching import Counting, least_norm, pairs, values
from vitgeom_nb.equivalence.embedding_line import homotopy_at
from vitgeom_nb.errors import ArgumentError

from ..tiny_networks import linear


@pytest.fixture
def smooth() -> vg.VisionModel:
    return wrap_raw(Counting(), 4, name="smooth", dtype=torch.float64)


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


def test_between_two_points_the_path_is_matched_anew(affine: vg.VisionModel, smooth: vg.VisionModel) -> None:
    source, target = pairs()
    path = vg.homotopy(affine, source, target, steps=4, residual=1e-9)
    end = least_norm(affine, source, target)
    between = homotopy_at(affine, path, 0.6)
    torch.testing.assert_close(values(between, "path")[:, 0], source + 0.6 * (end - source), rtol=0, atol=1e-7)
    assert between.converged.all()
    curved = homotopy_at(smooth, vg.homotopy(smooth, source, target, steps=2, residual=0.01), 0.25)
    with torch.no_grad():
        f_0, t, f = (smooth.embed(x) for x in (source, target, values(curved, "path")[:, 0]))
    residual = (f - (0.75 * f_0 + 0.25 * t)).norm(dim=1) / (t - f_0).norm(dim=1)
    torch.testing.assert_close(values(curved, "residual")[:, 0], residual, rtol=1e-6, atol=1e-12)
    assert (residual <= 0.01).all()


def test_probabilities_are_those_of_the_classifier(affine: vg.VisionModel) -> None:
    path = vg.homotopy(affine, *pairs(), steps=2)
    with torch.no_grad():
        p = affine.logits(values(path, "path").flatten(0, 1)).softmax(1).unflatten(0, (3, 3))
    torch.testing.assert_close(values(path, "probability"), p)
    headless = vg.wrap(linear(torch.randn(3, 12).double()).module, mean=[0] * 3, std=[1] * 3, size=2)
    a, b = torch.rand(2, 1, 3, 2, 2)
    assert "probability" not in vg.homotopy(headless, a, b, steps=1)


def test_survives_netcdf(affine: vg.VisionModel, tmp_path: object) -> None:
    measured = vg.homotopy(affine, *pairs(1), steps=2)
    path = vg.save_measurement(measured, tmp_path / "homotopy.nc")  # type: ignore[operator]
    assert vg.open_measurement(path).identical(measured)


def test_bad_input_names_the_fix(affine: vg.VisionModel) -> None:
    start, toward = pairs()
    with pytest.raises(ArgumentError, match="same image; choose two that differ"):
        vg.homotopy(affine, start, start)
    with pytest.raises(ArgumentError, match="steps is 0; a path needs at least one"):
        vg.homotopy(affine, start, toward, steps=0)
    with pytest.raises(ArgumentError, match="max_evaluations is 0; allow at least one"):
        vg.homotopy(affine, start, toward, max_evaluations=0)
    with pytest.raises(ArgumentError, match="residual is -1; ask for a positive one"):
        vg.homotopy(affine, start, toward, residual=-1)
