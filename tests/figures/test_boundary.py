import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.figures.boundary import binned_means

from ..tiny_networks import crossing_images, pixels, random_network


@pytest.fixture(scope="module")
def model():
    return random_network()


@pytest.fixture(scope="module")
def ways(model):
    labels = torch.arange(40) % 5
    return vg.random_jump(model, pixels(40), labels, epsilon_max=0.1, tolerance=1e-5, pictures=True)


def test_one_step(model):
    x = pixels(2)
    step = vg.fgsm_step(model, x, model.labels(x), epsilon=0.1)
    left, middle, right = vg.figures.fgsm_step(step, image=1).axes
    np.testing.assert_allclose(left.images[0].get_array(), x[1].permute(1, 2, 0), atol=1e-6)
    d = vg.fgsm_direction(model, x, model.labels(x))[1].permute(1, 2, 0)
    np.testing.assert_allclose(middle.images[0].get_array(), (d + 1) / 2, atol=1e-6)
    np.testing.assert_allclose(right.images[0].get_array(), (x[1].permute(1, 2, 0) + 0.1 * d).clip(0, 1), atol=1e-6)
    confidence = float(model.logits(x).softmax(1).amax(1)[1])
    assert f"{confidence:.1%} confidence" in left.get_title()
    assert "20.0 dB" in right.get_title()
    assert [t.get_text() for ax in (left, middle) for t in ax.texts] == ["+ 0.1 ×", "="]


def test_what_the_network_says_of_the_three_pictures(model):
    x = pixels(3)
    labels = model.labels(x)
    step = vg.fgsm_step(model, x, labels, epsilon=0.1)
    d = vg.fgsm_direction(model, x, labels)
    for stage, shown in (("image", x), ("direction", (d + 1) / 2), ("moved", x + 0.1 * d)):
        logits = model.logits(shown)
        assert step.seen.sel(stage=stage).values.tolist() == logits.argmax(1).tolist()
        np.testing.assert_allclose(step.confidence.sel(stage=stage), logits.softmax(1).amax(1), atol=1e-9)
    assert step.seen_name.values.tolist() == step.seen.values.astype(str).tolist()


@pytest.mark.parametrize("kind", ["jump", "travel"])
def test_travel_distance_shows_every_image_that_starts_right(model, ways, kind):
    if kind == "travel":
        ways = vg.travel_distance(model, pixels(40), torch.arange(40) % 5, epsilon_max=0.1, tolerance=1e-5)
    way = ways.sel(path="direct") if kind == "jump" else ways
    axes = vg.figures.travel_distance(ways).axes[0]
    crossed, never = (way.outcome.values == o for o in ("crossed", "never wrong"))
    assert crossed.any()
    assert never.any()
    shown, top = (np.asarray(axes.collections[i].get_offsets()) for i in (0, 1))
    np.testing.assert_allclose(shown, np.stack([way.confidence[crossed], way.epsilon[crossed]], 1))
    np.testing.assert_allclose(top, np.stack([way.confidence[never], np.full(never.sum(), 0.1)], 1))
    assert axes.get_xlabel() == "confidence"
    assert "ε (pixel)" in axes.get_ylabel()
    assert f"{crossed.sum() + never.sum()} of 40 images" in axes.get_title()
    assert f"{float(ways.rank_correlation):+.2f}" in axes.get_title()


def test_means_per_bin_on_paper():
    confidence = np.array([0.05, 0.1, 0.08, 0.02, 0.03, 0.04, 0.11, 0.12, 0.13, 0.14, 0.15, 0.2, *[0.9] * 5])
    distance = np.array([1.0, 2.0, 3.0, 1.0, 2.0, 3.0, *[4.0] * 6, *[9.0] * 5])
    found = binned_means(confidence, distance, bins=10)  # 0.1 and 0.2 close their bins; five at 0.9 are too few
    half = 2.570582 * np.sqrt(4 / 5 / 6)  # Student's t of 5 degrees of freedom
    np.testing.assert_allclose(found, [[0.05, 2.0, half], [0.15, 4.0, 0.0]], atol=1e-6)


def test_examples_of_the_jump(ways):
    both = np.flatnonzero((ways.outcome == "crossed").all("path"))[:2].tolist()
    figure = vg.figures.random_jump(ways, image=both)
    assert len(figure.axes) == 8
    for row, i in enumerate(both):
        one = ways.isel(image=i)
        panels = figure.axes[4 * row : 4 * row + 4]
        shown = (one.pixels, one.moved[0], one.jumped, one.moved[1])
        for axes, picture in zip(panels, shown, strict=True):
            expected = picture.values.transpose(1, 2, 0).clip(0, 1)
            np.testing.assert_allclose(axes.images[0].get_array(), expected, atol=1e-6)
        titles = [axes.get_title() for axes in panels]
        assert f"confidence {float(one.confidence):.2f}" in titles[0]
        assert f"ε {float(one.epsilon.sel(path='direct')):.4f}" in titles[1]
        assert "26.02 dB" in titles[2]
        assert f"{float(one.psnr.sel(path='jumped')):.1f} dB" in titles[3]
        assert f"“{one.name_reached.sel(path='jumped').item()}”" in titles[3]
    wrong = np.flatnonzero(ways.outcome.sel(path="direct") == "already wrong")[:1].tolist()
    assert vg.figures.random_jump(ways, image=wrong).axes[1].get_title().startswith("already wrong")


def test_paired_change(ways):
    axes = vg.figures.jump_change([ways, ways]).axes[1]
    both = (ways.outcome == "crossed").all("path").values
    shown = np.asarray(axes.collections[0].get_offsets())
    np.testing.assert_allclose(shown, ways.epsilon.values[both])
    assert f"{both.sum()} of {(~np.isnan(ways.change.values)).sum()} images" in axes.get_title()
    assert f"{1e3 * float(ways.median_change):+.2f}" in axes.get_title()
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_bend_against_distance(ways):
    axes = vg.figures.bend_and_distance(ways).axes[0]
    way = ways.sel(path="direct")
    crossed = way.outcome.values == "crossed"
    shown = np.asarray(axes.collections[0].get_offsets())
    np.testing.assert_allclose(shown, np.stack([np.degrees(way.direction_change), way.epsilon], 1)[crossed])
    assert "degrees" in axes.get_xlabel()
    assert f"{float(ways.bend_correlation):+.2f}" in axes.get_title()


def test_the_plane_shows_three_legs_three_points_and_the_boundary(model, tmp_path):
    x, labels = crossing_images(model, 2)
    plane = vg.path_plane(model, x, labels, head=model.module[3], epsilon_max=1.0, resolution=31, points=11)
    figure = vg.figures.path_plane(plane)
    assert len(figure.axes) == 2
    for i, axes in enumerate(figure.axes):
        legs = axes.lines[:3]
        for leg, name in zip(legs, ("direct", "jump", "jumped"), strict=True):
            np.testing.assert_allclose(leg.get_xydata(), plane.position.sel(leg=name)[i])
        assert len({leg.get_linestyle() for leg in legs}) == 3
        points = np.concatenate([line.get_xydata() for line in axes.lines[3:]])
        np.testing.assert_allclose(points, plane.corner_position[i])
        # the drawn level line passes through both crossings
        line = np.concatenate([v for c in axes.collections for p in c.get_paths()[-1:] for v in [p.vertices]])
        size = float(plane.horizontal[i, -1] - plane.horizontal[i, 0])
        for crossing in points[1:]:
            assert np.linalg.norm(line - crossing, axis=1).min() < size / 15
        assert axes.get_aspect() == 1
        assert f"{float(plane.off_plane_share[i].max()):.0%}" in axes.get_title()
        assert "embedding" in axes.get_xlabel()
    again = vg.open_measurement(vg.save_measurement(plane, tmp_path / "p.nc"))
    other = vg.figures.path_plane(again)
    assert [a.get_title() for a in other.axes] == [a.get_title() for a in figure.axes]


def test_several_networks_make_rows(model):
    x, labels = crossing_images(model, 2)
    options = {"head": model.module[3], "epsilon_max": 1.0, "resolution": 9, "points": 5}
    two, one = (vg.path_plane(model, x[:n], labels[:n], **options) for n in (2, 1))
    assert len(vg.figures.path_plane([two, one]).axes) == 3
