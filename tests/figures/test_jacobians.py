"""Figures of spectra and steps: what is drawn is what was measured."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

import vitgeom_nb as vg

from ..conftest import wrap_raw


def network(name, seed, components=6):
    torch.manual_seed(seed)
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(48, 8), torch.nn.GELU(), torch.nn.Linear(8, components)
    )
    return wrap_raw(net, 4, name=name, dtype=torch.float64)


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture(scope="module")
def networks():
    return [network("vit", 0), network("mine", 1)]


@pytest.fixture(scope="module")
def spectra(networks, images):
    return [vg.singular_spectrum(model, images, vectors=True) for model in networks]


@pytest.fixture(scope="module")
def steps(networks, images):
    return [vg.step_response(model, images, radii=(0.01, 0.1, 1.0), directions=3) for model in networks]


def test_every_image_has_its_line_and_its_stable_rank(spectra):
    figure = vg.figures.singular_spectrum(spectra)
    left, right = figure.axes
    assert len(left.lines) == 4
    for i, data in enumerate(spectra):
        for k in range(2):
            line = left.lines[2 * i + k]
            np.testing.assert_array_equal(line.get_xdata(), range(1, 7))
            np.testing.assert_allclose(line.get_ydata(), data.singular_value[k] / data.singular_value[k, 0])
        np.testing.assert_allclose(right.lines[i].get_ydata(), data.stable_rank)
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["ViT", "mine"]
    assert [text.get_text() for text in right.get_xticklabels()] == ["ViT", "mine"]
    assert left.get_xscale() == left.get_yscale() == "log"
    assert "s_i / s_1" in left.get_ylabel()
    assert "stable rank" in right.get_ylabel()
    assert right.get_ylim()[0] == 0
    assert left.lines[0].get_marker() != left.lines[2].get_marker()


def test_of_many_images_the_median_and_the_quartiles_are_drawn(networks, spectra):
    many = torch.rand(30, 3, 4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = vg.singular_spectrum(networks[0], many)
    left, right = vg.figures.singular_spectrum([found, spectra[1]]).axes
    assert len(left.lines) == 1 + 2
    relative = found.singular_value / found.singular_value[:, 0]
    np.testing.assert_allclose(left.lines[0].get_ydata(), relative.median("image"))
    ends = left.collections[0].get_paths()[0].vertices[:, 1]
    assert ends.min() == pytest.approx(float(relative.quantile(0.25, "image").min()))
    np.testing.assert_allclose(right.lines[0].get_ydata(), found.stable_rank)
    assert len(set(right.lines[0].get_xdata())) == 30
    assert abs(right.lines[0].get_xdata()).max() < 0.2
    assert left.get_title() == "Spectrum of the Jacobian"


def test_null_values_are_left_out(images):
    model = wrap_raw(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 4)), 4, dtype=torch.float64)
    model.module[1].weight.data[3] = 0
    figure = vg.figures.singular_spectrum(vg.singular_spectrum(model, images))
    assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [3, 3]


def test_leading_values_have_their_bounds(networks, images):
    top = [vg.leading_singular_values(model, images, k=4, tolerance=1e-2) for model in networks]
    (axes,) = vg.figures.leading_singular_values(top).axes
    assert len(axes.containers) == 4
    for i, data in enumerate(top):
        for k in range(2):
            line, _, (bars,) = axes.containers[2 * i + k].lines
            first = data.singular_value.values[k, 0]
            np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4])
            np.testing.assert_allclose(line.get_ydata(), data.singular_value[k] / first)
            spans = [segment[1, 1] - segment[0, 1] for segment in bars.get_segments()]
            np.testing.assert_allclose(spans, 2 * data.error_bound[k] / first, atol=1e-12)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["ViT", "mine"]
    assert axes.get_ylim()[0] == 0
    assert "s_i / s_1" in axes.get_ylabel()


def test_the_legend_of_one_network_fits_its_figure(steps):
    figure = vg.figures.step_response(steps[:1])
    figure.canvas.draw()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1


def test_singular_vectors_are_drawn_beside_their_image(spectra, images):
    figure = vg.figures.singular_vectors(spectra, image=1, k=3)
    axes = np.array(figure.axes).reshape(2, 4)
    for row, data in zip(axes, spectra, strict=True):
        np.testing.assert_allclose(row[0].images[0].get_array(), images[1].permute(1, 2, 0), atol=1e-6)
        for rank in range(3):
            v = data.right_vector[1, rank].values
            drawn = (np.asarray(row[rank + 1].images[0].get_array()) - 0.5) * 2 * abs(v).max()
            np.testing.assert_allclose(drawn, v.transpose(1, 2, 0), atol=1e-6)
            share = 100 * float(data.singular_value[1, rank] ** 2 / data.frobenius[1] ** 2)
            assert f"{share:.1f} %" in row[rank + 1].get_title()
    assert axes[1, 0].get_title() == "mine"


def test_responses_are_medians_over_images_and_directions(steps):
    figure = vg.figures.step_response(steps)
    axes = np.array(figure.axes).reshape(2, 2)
    for row, name in zip(axes, ("change", "linearisation_error"), strict=True):
        for axis, data in zip(row, steps, strict=True):
            lines = {line.get_label(): line for line in axis.lines}
            for kind, label in (("null", "null space"), ("random", "random"), ("normal", "normal space")):
                np.testing.assert_allclose(lines[label].get_xdata(), [0.01, 0.1, 1.0])
                median = data[name].sel(kind=kind).median(("image", "direction"))
                np.testing.assert_allclose(lines[label].get_ydata(), median)
            assert len({lines[label].get_linestyle() for label in ("null space", "random", "normal space")}) == 3
            assert axis.get_xscale() == axis.get_yscale() == "log"
    threshold = axes[1, 0].lines[-1]
    assert list(threshold.get_ydata()) == [0.1, 0.1]
    assert [axis.get_title() for axis in axes[0]] == ["ViT", "mine"]
    assert "pixel values" in axes[1, 0].get_xlabel()
    assert axes[1, 0].get_ylabel() == "linearisation error [relative]"
    # quartiles are drawn: one band a kind, and the grey of rounding
    assert len(axes[0, 0].collections) == 4
    assert to_hex(axes[0, 0].collections[-1].get_facecolor()[0]) == "#dddddd"


def test_one_measurement_and_a_saved_one_give_the_same_figure(spectra, steps, tmp_path):
    for draw, data in ((vg.figures.singular_spectrum, spectra[0]), (vg.figures.step_response, steps[0])):
        again = vg.open_measurement(vg.save_measurement(data, tmp_path / f"{draw.__name__}.nc"))
        for one, other in zip(draw(data).axes, draw([again]).axes, strict=True):
            for a, b in zip(one.lines, other.lines, strict=True):
                np.testing.assert_array_equal(a.get_xydata(), b.get_xydata())
