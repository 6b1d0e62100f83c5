"""Figures of local directional Lipschitz constants: what is drawn is what was measured."""

import numpy as np
import pytest
import torch

import vitgeom_nb as vg

from .test_jacobians import network


@pytest.fixture(scope="module")
def results():
    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 0.6 + 0.2
    return [
        vg.lldlc(network(name, seed, 4), images, radii=(0.01, 0.1, 1.0), directions=5) for seed, name in enumerate("ab")
    ]


def test_constants_are_medians_over_images_and_directions(results):
    figure = vg.figures.lldlc(results)
    labels = {"random": "random", "gradient": "gradient", "matching": "matching"}
    labels |= {"top": r"top, $\pm v_1$", "null": "null space"}
    for axis, data in zip(figure.axes, results, strict=True):
        lines = {line.get_label(): line for line in axis.lines}
        for kind, label in labels.items():
            np.testing.assert_allclose(lines[label].get_xdata(), [0.01, 0.1, 1.0])
            median = data.lldlc.sel(kind=kind).median(("image", "direction"))
            np.testing.assert_allclose(lines[label].get_ydata(), median, rtol=1e-9)
        assert len({lines[label].get_marker() for label in labels.values()}) == 5
        np.testing.assert_allclose(lines["$s_1$"].get_ydata(), float(data.top_singular_value.median()))
        np.testing.assert_allclose(lines["distance to the match"].get_xdata(), float(data.match_distance.median()))
        assert axis.get_xscale() == axis.get_yscale() == "log"
        assert "pixel values" in axis.get_xlabel()
        low, high = axis.get_ylim()
        assert low < float(data.lldlc.sel(kind="random").min())
        assert high > float(data.lldlc.max())
    assert len(figure.legends[0].get_texts()) == 8
    assert "L(x; v, r)" in figure.axes[0].get_ylabel()


def test_measured_ratios_are_drawn_against_predicted_ones_with_their_errors(results):
    left, right = vg.figures.lipschitz_ratio(results).axes
    for bars, data in zip(left.containers, results, strict=True):
        points, _, (segments,) = bars
        np.testing.assert_allclose(points.get_xdata(), data.predicted_ratio)
        np.testing.assert_allclose(points.get_ydata(), data.limit_ratio)
        lengths = [float(segment[1, 1] - segment[0, 1]) for segment in segments.get_segments()]
        np.testing.assert_allclose(lengths, 4 * data.ratio_error * data.limit_ratio)
    identity = next(line for line in left.lines if line.get_label() == "measured = predicted")
    np.testing.assert_array_equal(identity.get_xdata(), identity.get_ydata())
    assert left.get_xlim() == left.get_ylim()
    assert "predicted" in left.get_xlabel()
    assert "measured" in left.get_ylabel()
    for i, data in enumerate(results):
        law, own = right.lines[2 * i : 2 * i + 2]
        sides = np.array([4, 32, 64, 224, 384])
        np.testing.assert_allclose(law.get_xdata(), sides)
        np.testing.assert_allclose(law.get_ydata(), np.sqrt(3 * sides**2 / float(data.stable_rank.median())))
        np.testing.assert_allclose(own.get_xdata(), 4)
    assert [text.get_text() for text in right.get_xticklabels()] == ["32", "64", "224", "384"]


def test_a_saved_measurement_gives_the_same_figure(results, tmp_path):
    again = vg.open_measurement(vg.save_measurement(results[0], tmp_path / "lldlc.nc"))
    for draw in (vg.figures.lldlc, vg.figures.lipschitz_ratio):
        for one, other in zip(draw(results[0]).axes, draw(again).axes, strict=True):
            for a, b in zip(one.lines, other.lines, strict=True):
                np.testing.assert_array_equal(a.get_xydata(), b.get_xydata())


def test_constants_without_a_spectrum_have_no_line_of_its_largest_value():
    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    data = vg.lldlc(network("c", 3, 4), images, kinds=("random",), radii=(0.01, 0.1, 1.0), directions=5)
    axis = vg.figures.lldlc(data).axes[0]
    assert "$s_1$" not in {line.get_label() for line in axis.lines}
    np.testing.assert_allclose(axis.get_ylim()[1], 3 * float(data.lldlc.max()))
