import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from torch import nn

import vitgeom_nb as vg
from vitgeom_nb.core.measurement import parameters
from vitgeom_nb.figures.bending import LOWEST

STEPS = np.geomspace(1e-4, 1e-1, 7)


def wrapped(name, *layers):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), *layers, nn.Flatten(), nn.Linear(32, 6))
    return vg.wrap(net, mean=[0.5] * 3, std=[0.25] * 3, size=4, name=name)


@pytest.fixture(scope="module")
def models():
    with torch.random.fork_rng():
        return [wrapped("vit", nn.GELU()), wrapped("resnet", nn.ReLU())]


@pytest.fixture(scope="module")
def images():
    return torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def laws(models, images):
    return [vg.step_law(model, images, lengths=STEPS, directions=4, resamples=20) for model in models]


def polygon(collection):
    return collection.get_paths()[0].vertices


def same_from_file(draw, measurements, tmp_path):
    """The figure of saved and reopened measurements has the same lines."""
    opened = [vg.open_measurement(vg.save_measurement(m, tmp_path / f"{i}.nc")) for i, m in enumerate(measurements)]
    for a, b in zip(draw(measurements).axes, draw(opened).axes, strict=True):
        for one, other in zip(a.lines, b.lines, strict=True):
            np.testing.assert_array_equal(one.get_xydata(), other.get_xydata())


def test_the_legend_of_one_network_fits_its_figure(models):
    bend = vg.direction_change(models[0], torch.full((1, 3, 4, 4), 0.5), directions=2, steps=4)
    figure = vg.figures.direction_change(bend)
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1


def test_trajectory_draws_the_plane_and_every_network(models, images, tmp_path):
    moved = [vg.trajectory(model, images[:1], points=7, curves=3) for model in models]
    figure = vg.figures.trajectory(moved)
    start, *panels = figure.axes
    assert len(panels) == 2
    np.testing.assert_array_equal(start.lines[4].get_xydata(), np.stack([moved[0]["a"][4], moved[0]["b"][4]], -1))
    assert "rms per pixel" in start.get_xlabel()
    for panel, m in zip(panels, moved, strict=True):
        assert len(panel.lines) == 6
        np.testing.assert_array_equal(panel.lines[2].get_xydata(), m["feature"][2])
        assert panel.lines[0].get_linestyle() != panel.lines[5].get_linestyle()
        assert f"{100 * float(m['explained'][0]):.0f} %" in panel.get_xlabel()
        assert f"{100 * float(m['nonlinear']):.2g} %" in panel.get_title()
    assert not plt.get_fignums()
    same_from_file(vg.figures.trajectory, moved, tmp_path)


def test_direction_change_draws_bands_median_mean_and_floor(models, images, tmp_path):
    bends = [vg.direction_change(model, images, directions=5, steps=8, epsilon=0.4) for model in models]
    figure = vg.figures.direction_change(bends)
    assert [axes.get_title().splitlines()[0] for axes in figure.axes] == ["ViT", "ResNet"]
    assert "6 images, 5 directions" in figure.axes[0].get_title()
    assert "0.05 rms per pixel" in figure.axes[0].get_ylabel()
    assert "degrees" in figure.axes[0].get_ylabel()
    for axes, bend in zip(figure.axes, bends, strict=True):
        angle = np.degrees(bend["angle"].values.reshape(30, 7))
        median, mean, floor = axes.lines
        np.testing.assert_array_equal(median.get_xdata(), np.arange(1, 8))
        np.testing.assert_allclose(median.get_ydata(), np.median(angle, axis=0), rtol=1e-6)
        np.testing.assert_allclose(mean.get_ydata(), angle.mean(axis=0), rtol=1e-6)
        assert floor.get_ydata()[0] == pytest.approx(np.degrees(np.median(bend["noise_floor"])))
        span, quartiles = axes.collections
        assert polygon(span)[:, 1].max() == pytest.approx(angle.max())
        assert polygon(span)[:, 1].min() == pytest.approx(angle.min())
        assert polygon(quartiles)[:, 1].max() == pytest.approx(np.quantile(angle, 0.75, axis=0).max())
    assert [text.get_text() for text in figure.legends[0].get_texts()][2:] == ["median", "mean", "rounding alone"]
    same_from_file(vg.figures.direction_change, bends, tmp_path)


def test_step_law_draws_marks_fits_and_the_step_of_the_other_figures(laws, tmp_path):
    axes = vg.figures.step_law(laws).axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    named = {line.get_label().split(":")[0]: line for line in axes.lines if not line.get_label().startswith("_")}
    np.testing.assert_allclose(named["ViT"].get_xdata(), STEPS)
    rms = laws[0].sel(statistic="rms")
    np.testing.assert_allclose(named["ViT"].get_ydata(), np.degrees(rms["typical"]))
    assert f"{float(rms['exponent']):.2f}" in named["ViT"].get_label()
    assert f"[{float(rms['exponent_low']):.2f}, {float(rms['exponent_high']):.2f}]" in named["ViT"].get_label()
    few = [law.assign(exponent_low=np.nan * law["exponent"], exponent_high=np.nan * law["exponent"]) for law in laws]
    named_few = vg.figures.step_law(few).axes[0].lines
    assert f"ViT: $h^{{{float(rms['exponent']):.2f}}}$" in [line.get_label() for line in named_few]
    fit = axes.lines[1]
    assert np.polyfit(np.log(fit.get_xdata()), np.log(fit.get_ydata()), 1)[0] == pytest.approx(float(rms["exponent"]))
    assert named["step of the other figures"].get_xdata()[0] == 1e-3
    assert "other figures" not in str(vg.figures.step_law(laws, marked=None).axes[0].get_legend_handles_labels()[1])
    assert named["ViT"].get_marker() != named["ResNet"].get_marker()
    same_from_file(vg.figures.step_law, laws, tmp_path)


def test_curvature_puts_smooth_networks_on_the_diagonal_and_relu_at_zero(models, images, laws):
    exact = [vg.curvature(model, images, directions=4) for model in models]
    axes = vg.figures.curvature(exact, laws).axes[0]
    smooth, relu, diagonal = axes.lines
    assert len(smooth.get_xdata()) == 24
    np.testing.assert_allclose(smooth.get_ydata(), smooth.get_xdata(), rtol=1e-2)
    assert (relu.get_xdata() == 0).all()
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    at = laws[0]["angle"].sel(step_size=1e-3, method="nearest")
    np.testing.assert_allclose(smooth.get_ydata(), np.degrees(at.values.ravel()))
    assert "degrees" in axes.get_xlabel()
    assert "degrees" in axes.get_ylabel()


def test_additivity_groups_layers_by_kind(models, images, tmp_path):
    parts = [vg.additivity(model, images) for model in models]
    residual, bend = vg.figures.additivity(parts).axes
    kinds = [text.get_text() for text in bend.get_xticklabels()]
    assert kinds == ["convolution", "linear", "activation"]
    line = bend.lines[0]
    np.testing.assert_array_equal(np.round(line.get_xdata()), [0, 2, 1])
    expected = np.degrees(parts[0]["bend"].median(("image", "direction")).values)
    np.testing.assert_allclose(line.get_ydata(), np.maximum(expected, LOWEST))
    assert line.get_ydata()[1] > 1e3 * line.get_ydata()[0]
    np.testing.assert_allclose(
        residual.lines[1].get_ydata(), np.maximum(parts[1]["residual"].median(("image", "direction")), LOWEST)
    )
    assert "degrees" in bend.get_ylabel()
    same_from_file(vg.figures.additivity, parts, tmp_path)


def test_one_measurement_is_enough(models, images):
    bend = vg.direction_change(models[0], images, directions=2, steps=3)
    assert len(vg.figures.direction_change(bend).axes) == 1
    assert parameters(bend)["steps"] == 3
