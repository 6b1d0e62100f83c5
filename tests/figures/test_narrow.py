"""The narrow form of a figure: the same panels with the same content, two by two, and letters that nothing covers."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

import vitgeom_nb as vg
from vitgeom_nb.figures.downloads import KEY, drawn, png
from vitgeom_nb.figures.narrow import ENOUGH, WIDTH, narrow
from vitgeom_nb.figures.style import panels, show_image, subplots

from ..claims import simulated


def curves(count: int) -> Figure:
    """Panels that share both axes and label the outer ones, as figures of several networks do."""
    figure, axes = panels(count, 2.75, 3.0, sharex=True, sharey=True)
    for number, one in enumerate(axes.flat[:count]):
        one.plot([0, 1], [number, number + 1], label="a curve")
        one.set(title=f"{number}", xlabel="step", ylabel="angle")
        one.label_outer()
    return figure


def places(figure: Figure) -> dict[str, tuple[int, int]]:
    """Title -> row and column."""
    spots = {axes.get_title(): axes.get_subplotspec() for axes in figure.axes}
    return {title: (spec.rowspan.start, spec.colspan.start) for title, spec in spots.items()}


def test_panels_follow_each_other_two_by_two() -> None:
    other = narrow(curves(5))
    assert other is not None
    assert other.get_size_inches() == pytest.approx([WIDTH, 3 * 3.0])
    assert places(other) == {"0": (0, 0), "1": (0, 1), "2": (1, 0), "3": (1, 1), "4": (2, 0)}


def test_the_figure_itself_stays_as_it_was() -> None:
    figure = curves(5)
    png(figure), png(figure)  # the layout settles
    before = png(figure)
    narrow(figure)
    assert png(figure) == before


def test_the_same_numbers_are_drawn() -> None:
    figure = curves(4)
    before, after = (
        [row.split(",")[3:] for row in drawn(one).splitlines()] for one in (figure, narrow(figure)) if one is not None
    )
    assert before == after
    assert len(before) == 1 + 2 * 4


def test_outer_panels_say_what_the_axes_are_and_inner_ones_do_not() -> None:
    other = narrow(curves(5))
    assert other is not None
    said = {axes.get_title(): (axes.get_xlabel(), axes.get_ylabel()) for axes in other.axes}
    assert said == {"0": ("", "angle"), "1": ("", ""), "2": ("", "angle"), "3": ("step", ""), "4": ("step", "angle")}
    numbered = {
        axes.get_title(): tuple(axis.get_major_ticks()[0].label1.get_visible() for axis in (axes.xaxis, axes.yaxis))
        for axes in other.axes
    }
    assert numbered == {title: (x != "", y != "") for title, (x, y) in said.items()}


def test_axes_of_their_own_keep_their_words() -> None:
    figure, axes = panels(3, 2.75, 3.0)
    for one in axes.flat:
        one.set(xlabel="across", ylabel="along")
    other = narrow(figure)
    assert other is not None
    assert [(one.get_xlabel(), one.get_ylabel()) for one in other.axes] == [("across", "along")] * 3


def test_columns_of_a_grid_of_numbers_stay_whole() -> None:
    figure, axes = subplots(2, 3, figsize=(9, 5), sharex="col", sharey="row")
    for (row, column), one in np.ndenumerate(axes):
        one.set_title(f"{row}{column}")
    other = narrow(figure)
    assert other is not None
    assert places(other) == {"00": (0, 0), "10": (1, 0), "01": (0, 1), "11": (1, 1), "02": (2, 0), "12": (3, 0)}


@pytest.mark.parametrize(("count", "across"), [(4, 2), (6, 3)])
def test_every_row_of_pictures_begins_a_line_and_pictures_keep_their_shape(count: int, across: int) -> None:
    figure, axes = subplots(2, count, figsize=(1.9 * count, 2 * 2.1), squeeze=False)
    for (row, column), one in np.ndenumerate(axes):
        show_image(one, np.full((3, 4, 4), 0.5), f"{row}{column}")
    other = narrow(figure)
    assert other is not None
    lines = count // across
    assert places(other) == {
        f"{row}{k}": (row * lines + k // across, k % across) for row in range(2) for k in range(count)
    }
    # 0.2 inches for the title as before, and a square
    assert other.get_size_inches() == pytest.approx([WIDTH, 2 * lines * (0.2 + WIDTH / across)])


def test_numbers_beside_pictures_have_a_line_of_their_own() -> None:
    figure, axes = subplots(1, 4, figsize=(9, 2.4))
    for one in axes[:3]:
        show_image(one, np.full((3, 4, 4), 0.5))
    axes[3].plot([1, 2])
    other = narrow(figure)
    assert other is not None
    spec = other.axes[3].get_subplotspec()
    assert (list(spec.rowspan), list(spec.colspan)) == ([2], [0, 1])


def extent(figure: Figure, text: Text) -> tuple[float, float]:
    box = text.get_window_extent()
    return box.x0 / figure.bbox.width, box.x1 / figure.bbox.width


def test_titles_are_broken_where_they_would_meet_and_formulas_are_not() -> None:
    figure, axes = panels(2, 4.5, 3.0)
    formula = r"$a + b + c + d + e + f$"
    for one in axes.flat:
        one.set_title(f"How far the embedding of a picture moves, {formula}")
    other = narrow(figure)
    assert other is not None
    other.draw_without_rendering()
    left, right = (one.title for one in other.axes)
    assert "\n" in left.get_text()
    assert formula in left.get_text()
    assert extent(other, left)[1] < extent(other, right)[0]


def test_legends_go_below_and_are_as_wide_as_the_figure_at_most() -> None:
    figure, axes = panels(3, 2.75, 3.0)
    for number, one in enumerate(axes.flat):
        one.plot([1, 2], label="the same everywhere")
        one.plot([1, 3], label=f"a curve with quite a long name, {number}")
        one.legend()
    other = narrow(figure)
    assert other is not None
    (legend,) = other.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert words == ["the same everywhere", *(f"a curve with quite a long name, {number}" for number in range(3))]
    assert all(one.get_legend() is None for one in other.axes)
    other.draw_without_rendering()
    assert legend.get_window_extent().width <= other.bbox.width
    assert legend.get_window_extent().y1 <= min(one.get_tightbbox().y0 for one in other.axes)


def test_a_low_figure_grows_by_its_legend() -> None:
    figure, axes = subplots(figsize=(8, 2.2))
    for number in range(8):
        axes.plot([1, 2], [number, 1], label=f"one of the curves with a long name, {number}")
    figure.legend(loc="outside lower center", ncols=2)
    figure.draw_without_rendering()
    before = axes.get_window_extent().height / figure.dpi
    other = narrow(figure)
    assert other is not None
    other.draw_without_rendering()
    assert other.axes[0].get_window_extent().height / other.dpi == pytest.approx(before, abs=0.2)


def test_panels_with_axes_of_one_scale_keep_their_shape() -> None:
    figure, axes = panels(3, 2.75, 3.25)
    for one in axes.flat:
        one.set_aspect("equal")
    other = narrow(figure)
    assert other is not None
    assert other.get_size_inches() == pytest.approx([WIDTH, 2 * (0.6 + WIDTH / 2)])


def test_a_line_is_as_high_as_its_highest_panel() -> None:
    figure, axes = subplots(1, 2, figsize=(9, 3.9))
    axes[0].set_aspect("equal")
    other = narrow(figure)
    assert other is not None
    assert other.get_size_inches() == pytest.approx([WIDTH, 3.9])


def test_the_legend_of_a_single_panel_stays_in_it() -> None:
    figure, axes = subplots(figsize=(7, 4))
    axes.plot([1, 2], label="a")
    axes.legend()
    other = narrow(figure)
    assert other is not None
    assert other.axes[0].get_legend() is not None
    assert other.legends == []


def test_numbers_that_meet_are_turned() -> None:
    figure, axes = subplots(figsize=(7, 4))
    axes.set_xticks(range(12), [f"{10**6 + k}" for k in range(12)])
    other = narrow(figure)
    assert other is not None
    assert other.axes[0].get_xticklabels()[0].get_rotation() == 45
    assert axes.get_xticklabels()[0].get_rotation() == 0


def test_a_figure_that_is_narrow_is_left_alone() -> None:
    assert narrow(subplots(figsize=(ENOUGH, 3))[0]) is None
    assert narrow(Figure(figsize=(9, 3))) is None


def test_panels_in_no_common_grid_are_left_alone() -> None:
    figure = Figure(figsize=(9, 3))
    figure.add_axes((0, 0, 1, 1))
    assert narrow(figure) is None


def test_the_ledger_names_sentences_by_their_signs() -> None:
    table = vg.claims.table({"vit": simulated.network(simulated.TRUE, n=20)})
    wide = vg.figures.ledger(table)
    other = narrow(wide)
    assert other is not None
    assert other.get_size_inches()[0] == WIDTH
    signs = [label.get_text() for label in other.axes[0].get_yticklabels()]
    assert signs == [label.get_text().split()[0] for label in wide.axes[0].get_yticklabels()]
    assert [text.get_text() for text in other.axes[0].texts] == [text.get_text() for text in wide.axes[0].texts]


def test_a_page_that_is_built_brings_it_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITGEOM_DOWNLOADS", "1")
    wide, small = curves(4), curves(1)
    assert wide._repr_mimebundle_()[1][KEY]["narrow"]
    assert small._repr_mimebundle_()[1][KEY]["narrow"] == ""
