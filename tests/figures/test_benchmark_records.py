"""Figures of recorded speeds: what is drawn is what was recorded."""

import numpy as np
import pytest

import vitgeom_nb as vg

from ..test_benchmark_records import contest, record, table, write  # noqa: F401


def marks(axis, label):
    """Positions of the marks of a contender."""
    lines = [bars[0] for bars in axis.containers if bars.get_label() == label]
    return sorted((float(line.get_ydata()[0]), float(line.get_xdata()[0])) for line in lines)


def test_ratios_stand_in_the_row_of_their_network_with_their_quartiles(table):  # noqa: F811
    cpu, cuda = vg.figures.speed(table, "jacobian").axes
    rows = [text.get_text() for text in cpu.get_yticklabels()]
    assert rows == ["ViT\n20 ms", "ViT-B/16\n4 s"]
    assert [text.get_text() for text in cuda.get_yticklabels()] == ["ViT\n1 ms"]
    for name, wanted in {"slow": [3.0, 2.0], "quick": [0.8, 1.5], "passes": [0.5, 0.5]}.items():
        found = marks(cpu, name)
        np.testing.assert_allclose([ratio for _, ratio in found], wanted)
        assert [round(row) for row, _ in found] == [0, 1]
    quick = next(bars for bars in cpu.containers if bars.get_label() == "quick")
    (ends,) = quick[2][0].get_segments()
    np.testing.assert_allclose(ends[:, 0], [0.72, 0.96])
    assert {tuple(line.get_xdata()) for line in cpu.lines} >= {(1, 1)}
    assert cpu.get_xscale() == "log"
    assert cuda.get_xlabel() == "time relative to ours"
    assert cpu.get_title(loc="left") == "jacobian on the CPU"


def test_contenders_are_told_apart_and_failures_are_crosses(table):  # noqa: F811
    figure = vg.figures.speed(table, "jacobian")
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries == ["ours, us", "slow", "quick", "big", "passes", "did not finish"]
    handles = figure.legends[0].legend_handles
    assert len({(h.get_marker(), h.get_color()) for h in handles}) == len(handles)
    (cross,) = (line for line in figure.axes[0].lines if line.get_marker() == "x")
    assert cross.get_label() == "big"
    assert round(float(cross.get_ydata()[0])) == 0


def test_a_peer_that_falls_short_is_hollow(tmp_path):
    each = [record("us", "ours", 1.0, converged=1.0), record("close", "peer", 2.0, ratio=2.0, converged=1.0)]
    write(
        tmp_path,
        "matching-cpu",
        [r | {"engine": "matching"} for r in [*each, record("hasty", "peer", 0.5, ratio=0.5, converged=0.4)]],
    )
    (axis,) = vg.figures.speed(vg.speed(tmp_path), "matching").axes
    fills = {bars.get_label(): bars[0].get_markerfacecolor() for bars in axis.containers}
    assert fills["hasty"] == "white"
    assert fills["close"] != "white"


def test_an_engine_without_times_of_ours_is_still_drawn(table):  # noqa: F811
    without = table[table.role != "ours"]
    axis = vg.figures.speed(without, "jacobian").axes[0]
    assert axis.get_yticklabels()[0].get_text() == "ViT\nno time of ours"


@pytest.mark.parametrize(
    "draw", [lambda t: vg.figures.speed(t, "nonsense"), vg.figures.speed_memory, vg.figures.speed_growth]
)
def test_what_was_not_recorded_is_said(table, draw):  # noqa: F811
    (axis,) = draw(table[table.engine == "jacobian"]).axes
    assert "recorded" in axis.texts[0].get_text()


def test_memory_is_drawn_by_role(tmp_path):
    each = [*contest("vit", 1.0, a=2.0, b=3.0), record("us, in half", "variant", 0.5, ratio=0.5)]
    each = [r | {"peak_memory_mb": 10.0 * (i + 1)} for i, r in enumerate(each)]
    write(tmp_path, "jacobian-cpu", each)
    figure = vg.figures.speed_memory(vg.speed(tmp_path))
    (axis,) = figure.axes
    drawn = {line.get_label(): list(line.get_xdata()) for line in axis.lines}
    assert drawn == {"ours": [10.0], "variant": [50.0], "peer": [20.0, 30.0], "floor": [40.0]}
    assert axis.get_title() == "jacobian on the CPU"
    assert "MB" in axis.get_xlabel()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ours", "variant", "peer", "floor"]


def test_growth_has_a_panel_for_what_was_varied(table):  # noqa: F811
    figure = vg.figures.speed_growth(table)
    pixels, threads = figure.axes
    curve, ideal = pixels.lines
    np.testing.assert_allclose(curve.get_xydata(), [[1, 0.5], [2, 1.0], [4, 2.0]])
    np.testing.assert_allclose(ideal.get_xydata(), [[1, 0.5], [4, 2.0]])
    np.testing.assert_allclose(threads.lines[1].get_ydata(), [0.5, 0.125])
    assert [axis.get_xlabel() for axis in figure.axes] == ["pixel values $n$", "threads"]
    assert pixels.get_xscale() == pixels.get_yscale() == "log"
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["us", "proportional (to threads: inversely)"]


def test_work_in_other_portions_has_no_line_of_proportion(tmp_path):
    grown = [record("us", "ours", 1.0, engine="growth", axis="at a time", at=at) for at in (1, 8)]
    write(tmp_path, "growth-cpu", grown)
    (axis,) = vg.figures.speed_growth(vg.speed(tmp_path)).axes
    assert axis.get_xlabel() == "images at a time"
    assert [line.get_label() for line in axis.lines] == ["us"]
