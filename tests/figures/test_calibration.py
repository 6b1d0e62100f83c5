import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr

import vitgeom_nb as vg
from vitgeom_nb.statistics.intervals import ratio_interval
from vitgeom_nb.statistics.tables import interval

CUTS = ((8, 40, 80), (0, 20, 60))  # of the 80 right ones, so many become wrong


@pytest.fixture(scope="module")
def tables():
    own = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(400, 4, generator=own)
    labels = torch.multinomial(logits.softmax(1), 1, generator=own)[:, 0]
    return [
        vg.reliability(logits=logits, labels=labels, bins=10, name="vit", resamples=50),
        vg.reliability(logits=logits, labels=labels, bins=10, name="my network", temperature=3.0, resamples=50),
    ]


def test_bars_are_the_bins_and_fade_with_their_share(tables):
    figure = vg.figures.reliability(tables)
    assert len(figure.axes) == 2
    for axes, table in zip(figure.axes, tables, strict=True):
        full = np.flatnonzero(table["count"].values)
        bars = axes.patches
        assert len(bars) == len(full)
        assert len(full) < 10  # four classes: no confidence below 1/4
        np.testing.assert_allclose([b.get_x() for b in bars], table.lower_edge[full])
        np.testing.assert_allclose([b.get_width() for b in bars], 0.1)
        np.testing.assert_allclose([b.get_height() for b in bars], table.accuracy[full])
        alpha = np.array([b.get_alpha() for b in bars])
        count = table["count"].values[full]
        assert (np.argsort(alpha) == np.argsort(count, kind="stable")).all() or len(set(count)) < len(count)
        assert alpha[count.argmax()] == pytest.approx(1)
        np.testing.assert_allclose((alpha - 0.12) / 0.88, count / count.max())
        assert axes.get_xlim() == axes.get_ylim() == (0, 1)
        assert axes.get_xlabel() == "confidence"
        assert "400 images" in axes.get_title()
        assert interval(table, "ece") in axes.get_title()
        dots = [c for c in axes.containers if c.get_label() is not None and hasattr(c, "has_yerr") and c.has_yerr]
        at = sorted(float(c.lines[0].get_xdata()[0]) for c in dots)
        np.testing.assert_allclose(at, sorted(table.confidence.values[full]))
    assert figure.axes[0].get_ylabel() == "accuracy"
    assert figure.axes[0].get_title().startswith("ViT")
    assert figure.axes[1].get_title().startswith("my network")


def test_five_measurements_fill_two_rows_of_three(tables):
    assert len(vg.figures.reliability([*tables, *tables, tables[0]]).axes) == 5


def test_whiskers_are_the_intervals_of_the_accuracy(tables):
    axes = vg.figures.reliability(tables[0]).axes[0]
    full = np.flatnonzero(tables[0]["count"].values)
    segments = [c.get_segments()[0] for c in axes.collections]
    np.testing.assert_allclose([s[0, 1] for s in segments], tables[0].accuracy_low[full], atol=1e-12)
    np.testing.assert_allclose([s[1, 1] for s in segments], tables[0].accuracy_high[full], atol=1e-12)


def test_calibration_errors_side_by_side(tables):
    figure = vg.figures.calibration_errors({"as trained": tables, "scaled": tables[:1]})
    left, right = figure.axes
    for axes, key in ((left, "ece"), (right, "sece")):
        shown = [c.lines[0] for c in axes.containers]
        assert [float(line.get_xdata()[0]) for line in shown] == [float(t[key]) for t in (*tables, tables[0])]
        spans = [c.get_segments()[0][:, 0] for c in axes.collections]
        np.testing.assert_allclose(spans[0], [float(tables[0][f"{key}_low"]), float(tables[0][f"{key}_high"])])
        assert key == "ece" or axes.get_xlabel().startswith("signed")
    assert [t.get_text() for t in left.get_yticklabels()] == ["ViT", "my network"]
    rows = [float(c.lines[0].get_ydata()[0]) for c in left.containers]
    assert [round(r) for r in rows] == [0, 1, 0]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["as trained", "scaled"]


def test_a_saved_measurement_draws_the_same_figure(tables, tmp_path):
    again = vg.open_measurement(vg.save_measurement(tables[0], tmp_path / "r.nc"))
    first, second = (vg.figures.reliability(t).axes[0] for t in (tables[0], again))
    assert first.get_title() == second.get_title()
    assert [b.get_height() for b in first.patches] == [b.get_height() for b in second.patches]
    assert plt.get_fignums() == []


def test_smooth_curves_are_what_was_measured():
    own = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(400, 4, generator=own)
    curve = vg.smooth_calibration(logits=logits, labels=torch.arange(400) % 4, name="vit", resamples=20)
    figure = vg.figures.smooth_calibration([curve, curve])
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), curve.accuracy)
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), curve.level)
    assert f"{float(curve.smece):.3f}" in axes.get_title()
    band = axes.collections[1].get_paths()[0].vertices[:, 1]
    known = curve.accuracy_low.notnull()
    assert set(np.round(curve.accuracy_low[known].values, 9)) <= set(np.round(band, 9))
    assert len(figure.axes) == 2
    assert axes.get_title().startswith("ViT")


def test_what_corruption_leaves_is_drawn_over_the_clean_accuracy():
    label = np.zeros(100, dtype=int)
    clean = (np.arange(100) >= 80).astype(int)  # 80 are right
    under = np.stack([np.stack([np.maximum(clean, np.arange(100) < cut) for cut in cuts], 1) for cuts in CUTS], 1)
    seen = xr.Dataset(
        {
            "label": ("image", label),
            "predicted": ("image", clean),
            "corrupted_predicted": (("image", "corruption", "strength"), under),
        },
        {"corruption": ["noise", "blur"], "strength": [1, 2, 3]},
        {"model": "vit"},
    )
    figure = vg.figures.corrupted_accuracy([seen, seen.assign_attrs(model="mine")])
    assert [axes.get_title() for axes in figure.axes] == ["noise", "blur"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ViT", "mine"]
    for axes, cuts in zip(figure.axes, CUTS, strict=True):
        first, second = (group.lines[0] for group in axes.containers)
        np.testing.assert_allclose(first.get_ydata(), [(80 - cut) / 80 for cut in cuts])
        np.testing.assert_allclose(first.get_ydata(), second.get_ydata())
        assert (second.get_xdata() > first.get_xdata()).all()  # marks stand beside each other
        low, high = axes.containers[0].lines[2][0].get_segments()[1][:, 1]
        right = (under[:, list(CUTS).index(cuts), 1] == 0).astype(float)
        assert [low, high] == pytest.approx(ratio_interval(right, clean == 0)[1:])
