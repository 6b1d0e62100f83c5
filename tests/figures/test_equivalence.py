"""What the figures of equivalent images draw, read back from the axes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

import vitgeom_nb as vg
from tests.conftest import wrap_raw
from tests.equivalence.test_matching import Counting, pairs


@pytest.fixture(scope="module")
def model() -> vg.VisionModel:
    return wrap_raw(Counting(), 4, name="vit", dtype=torch.float64)


@pytest.fixture(scope="module")
def near(model: vg.VisionModel) -> xr.Dataset:
    return vg.match(model, *pairs(4, 0.1, 0.9), residual=1e-2)


@pytest.fixture(scope="module")
def descended(model: vg.VisionModel) -> xr.Dataset:
    return vg.match(model, *pairs(4, 0.1, 0.9), method="gradient-descent", max_evaluations=9, residual=1e-9)


@pytest.fixture(scope="module")
def walk(model: vg.VisionModel) -> xr.Dataset:
    return vg.fibre_walk(model, *pairs(2, 0.0, 1.0), steps=4)


def picture(axes) -> np.ndarray:
    return axes.get_images()[0].get_array().transpose(2, 0, 1)


def test_match_shows_the_four_pictures_of_each_pair(near: xr.Dataset, descended: xr.Dataset) -> None:
    figure = vg.figures.match([near, descended], pairs=(0, 2))
    grid = np.array(figure.axes).reshape(4, 4)
    for axes, measured, pair in zip(grid, (near, near, descended, descended), (0, 2, 0, 2), strict=True):
        one = measured.isel(pair=pair)
        for panel, name in zip(axes, ("source", "target", "matched"), strict=False):
            np.testing.assert_allclose(picture(panel), one[name])
        change = (one.matched - one.source).values
        factor = 0.5 / np.quantile(np.abs(change), 0.99)
        np.testing.assert_allclose(picture(axes[3]), (0.5 + factor * change).clip(0, 1))
        assert float(axes[3].get_title().split("change x ")[1]) == pytest.approx(factor, rel=0.01)
        assert f"{float(one.cosine):.4f}" in axes[2].get_title()
        assert f"{float(one.psnr):.1f} dB" in axes[2].get_title()
        assert axes[0].texts[0].get_text() == "ViT"
    assert "goal not met" in grid[2, 2].get_title()
    assert "goal not met" not in grid[0, 2].get_title()
    assert [axes.get_title().split("\n")[0] for axes in grid[0]] == ["source", "target", "match", "match - source"]


def test_history_draws_the_median_of_the_best_so_far(near: xr.Dataset, descended: xr.Dataset) -> None:
    figure = vg.figures.match_history([near, descended])
    loss, cosine = figure.axes
    assert loss.get_yscale() == "log"
    assert loss.get_title() == "ViT"
    assert [line.get_label() for line in loss.get_lines()] == ["minimum-change", "gradient-descent"]
    assert len({line.get_linestyle() for line in loss.get_lines()}) == 2
    for axes, name, best, first in ((loss, "loss", np.minimum, True), (cosine, "cosine_history", np.maximum, False)):
        values = near[name].to_pandas().ffill(axis=1).to_numpy()
        values = best.accumulate(values / values[:, :1] if first else values, axis=1)
        x, y = axes.get_lines()[0].get_data()
        np.testing.assert_array_equal(x, near.step)
        np.testing.assert_allclose(y, np.median(values, axis=0))
        band = axes.collections[0].get_paths()[0].vertices[:, 1]
        np.testing.assert_allclose(band.min(), np.quantile(values, 0.25, axis=0).min())
        np.testing.assert_allclose(band.max(), np.quantile(values, 0.75, axis=0).max())
    np.testing.assert_allclose(cosine.get_lines()[-1].get_ydata(), 0.999)  # the goal
    assert "evaluations" in cosine.get_xlabel()
    assert "cosine" in cosine.get_ylabel()
    assert "loss" in loss.get_ylabel()


def test_methods_are_drawn_by_cosine(near: xr.Dataset, descended: xr.Dataset) -> None:
    figure = vg.figures.match_methods([near, descended], budget=8)
    kept, cost = figure.axes
    assert kept.get_title() == "ViT"
    assert [line.get_label() for line in cost.get_lines()] == ["minimum-change", "gradient-descent"]
    for line, measured in zip(cost.get_lines(), (near, descended), strict=True):
        for left, drawn in zip(*line.get_data(), strict=True):
            spent = []
            for history in measured.cosine_history.values:
                there = [k for k, cosine in enumerate(history[:8], 1) if cosine >= 1 - left]
                spent.append(there[0] if there else np.inf)
            middle = sorted(spent)[1]  # the second of four
            assert drawn == middle or (np.isnan(drawn) and np.isinf(middle))
    solid = kept.get_lines()[0].get_ydata()
    assert np.nanmax(solid) <= np.nanmax(near.psnr_history.values[:, 1:])
    assert "PSNR" in kept.get_ylabel()
    assert "dB" in kept.get_ylabel()
    assert "evaluations" in cost.get_ylabel()
    assert "cosine" in cost.get_xlabel()
    first, last = cost.get_xlim()
    assert first > last  # nearer to the right


def test_plane_projects_on_the_components_of_sources_and_targets(near: xr.Dataset) -> None:
    figure = vg.figures.embedding_plane(near)
    (axes,) = figure.axes
    sample = np.concatenate([near.source_embedding, near.target_embedding])
    covariance = np.cov(sample.T, bias=True)
    variances, components = np.linalg.eigh(covariance)
    lines = {line.get_label(): np.array(line.get_data()).T for line in axes.get_lines()}
    for name in ("source", "target", "matched"):
        drawn = lines["match" if name == "matched" else name]
        exact = (near[f"{name}_embedding"].values - sample.mean(0)) @ components[:, [-1, -2]]
        np.testing.assert_allclose(np.abs(drawn), np.abs(exact), atol=1e-9)
    np.testing.assert_allclose(lines["match"], lines["target"], atol=0.05)  # residual 1e-2
    assert f"{variances[-1] / variances.sum():.0%}" in axes.get_xlabel()
    assert f"{variances[-2] / variances.sum():.0%}" in axes.get_ylabel()
    assert len([text for text in axes.texts if text.arrow_patch is not None]) == near.sizes["pair"]


def test_walk_shows_frames_and_drift(walk: xr.Dataset) -> None:
    broken = walk.copy(deep=True)
    broken["drift"][1, 2], broken["failed"][1, 2] = 0.01, True
    figure = vg.figures.fibre_walk(broken, pair=1, frames=3)
    *frames, panel = figure.axes
    for axes, step in zip(frames, (0, 2, 4), strict=False):
        np.testing.assert_allclose(picture(axes), walk.path[1, step])
    np.testing.assert_allclose(picture(frames[-1]), walk.target[1])
    lines = {line.get_label(): line.get_data() for line in panel.get_lines()}
    np.testing.assert_allclose(lines["along the fibre"][1], broken.drift[1, 1:])
    np.testing.assert_allclose(lines["straight blend"][1], walk.straight_drift[1, 1:])
    np.testing.assert_allclose(lines["failed"], [[2], [0.01]])
    assert panel.get_yscale() == "log"
    assert any(np.allclose(line.get_ydata(), 1e-3) for line in panel.get_lines())
    assert "drift" in panel.get_ylabel()
    assert panel.get_xlabel() == "step"


def test_homotopy_shows_frames_and_cosine(model: vg.VisionModel) -> None:
    path = vg.homotopy(model, *pairs(2), steps=4)
    *frames, panel = vg.figures.homotopy(path, pair=1, frames=3).axes
    for axes, k in zip(frames, (0, 2, 4), strict=False):
        np.testing.assert_allclose(picture(axes), path.path[1, k])
        assert axes.get_title() == f"s = {k / 4:.2f}"
    np.testing.assert_allclose(panel.get_lines()[0].get_data(), [path.s, path.cosine[1]])


def test_a_path_of_three_points_fills_three_frames(model: vg.VisionModel) -> None:
    path = vg.homotopy(model, *pairs(2), steps=2)
    walk = vg.fibre_walk(model, *pairs(2), steps=2)
    longer = vg.fibre_walk(model, *pairs(2), steps=4)
    frames = [axes for axes in vg.figures.homotopy(path).axes if axes.get_title().startswith("s = ")]
    assert [axes.get_title() for axes in frames] == ["s = 0.00", "s = 0.50", "s = 1.00"]
    assert len(vg.figures.fibre_walk(walk).axes) == 3 + 2
    first = vg.figures.fibre_walk([walk, longer]).axes[: 5 + 2]
    assert [axes.get_title().split("\n")[0] for axes in first] == [
        *("start", "step 1", "step 2", "", ""),
        *("walked toward", ""),
    ]
    np.testing.assert_allclose(picture(first[2]), walk.path[0, 2])
    assert not any(axes.axison or axes.get_images() for axes in first[3:5])


def test_figures_of_a_saved_measurement_are_the_same(near: xr.Dataset, walk: xr.Dataset, tmp_path) -> None:
    for draw, measured in (
        (vg.figures.match, near),
        (vg.figures.match_history, near),
        (vg.figures.match_methods, near),
        (vg.figures.fibre_walk, walk),
    ):
        again = vg.open_measurement(vg.save_measurement(measured, tmp_path / "again.nc"))
        one, other = (draw(m).axes for m in (measured, again))
        for a, b in zip(one, other, strict=True):
            for drawn, redrawn in zip(a.get_lines(), b.get_lines(), strict=True):
                np.testing.assert_array_equal(drawn.get_data(), redrawn.get_data())
            for drawn, redrawn in zip(a.get_images(), b.get_images(), strict=True):
                np.testing.assert_array_equal(drawn.get_array(), redrawn.get_array())
