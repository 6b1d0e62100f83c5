"""The numbers of a figure as a table: everything that is drawn, and nothing that is not."""

from __future__ import annotations

import csv
import io
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

import vitgeom_nb as vg
from vitgeom_nb.figures.downloads import KEY, drawn, svg
from vitgeom_nb.figures.style import quartiles, show_image, subplots


def rows(figure: Figure) -> list[tuple[str, ...]]:
    """Series, mark, x and y of every row."""
    table = csv.DictReader(io.StringIO(drawn(figure)))
    return [tuple(row[name] for name in ("series", "mark", "x", "y")) for row in table]


def test_a_line_and_its_band() -> None:
    figure, axes = subplots()
    quartiles(axes, [1.0, 2.0], np.array([[0, 10], [1, 11], [2, 12], [3, 13], [9, 90.0]]), "--", "#0072B2", label="a")
    band = [("a", "band from", "1", "1"), ("a", "band to", "1", "3"), ("a", "band from", "2", "11")]
    assert rows(figure) == [
        ("a", "line", "1", "2"), ("a", "line", "2", "12"), *band, ("a", "band to", "2", "13"),
    ]  # fmt: skip


def test_error_bars_are_their_ends_and_their_caps_are_nothing() -> None:
    figure, axes = subplots()
    axes.errorbar([1.0, 2.0], [5.0, 6.0], [[0.5, 1.0], [0.25, 2.0]], fmt="o", capsize=2, label="a")
    points = [("a", "point", "1", "5"), ("a", "point", "2", "6")]
    bars = [("a", "bar from", "1", "4.5"), ("a", "bar to", "1", "5.25"), ("a", "bar from", "2", "5")]
    assert rows(figure) == [*points, *bars, ("a", "bar to", "2", "8")]


def test_arrows_are_their_feet_and_their_lengths() -> None:
    figure, axes = subplots()
    axes.quiver([[1.0, 2.0]], [[3.0, 4.0]], [[0.5, -0.5]], [[0.25, 0.0]], label="a")
    feet = [("a", "arrow from", "1", "3"), ("a", "arrow by", "0.5", "0.25"), ("a", "arrow from", "2", "4")]
    assert rows(figure) == [*feet, ("a", "arrow by", "-0.5", "0")]


def test_marks_columns_and_levels() -> None:
    figure, axes = subplots()
    axes.scatter([1.0, np.nan], [2.0, 3.0], label="a")
    axes.bar([0.5], [0.75], 0.5, align="edge", color="#D55E00", label="b")
    axes.axhline(0.1)
    axes.axvline(0.2)
    axes.axline((0, 0), slope=1)
    assert rows(figure) == [
        ("", "level", "", "0.1"), ("", "level", "0.2", ""), ("a", "point", "1", "2"), ("b", "column", "0.75", "0.75"),
    ]  # fmt: skip


def test_what_has_no_label_takes_that_of_its_colour() -> None:
    figure, (left, right) = subplots(1, 2)
    left.plot([0], [1], color="#0072B2", label="ViT")
    right.plot([2], [3], "o", color="#0072B2")
    right.plot([4], [5], "o", color="#D55E00")
    assert rows(figure) == [("ViT", "line", "0", "1"), ("ViT", "point", "2", "3"), ("", "point", "4", "5")]


def test_panels_and_axes_are_named_in_one_line() -> None:
    figure, axes = subplots()
    axes.plot([0], [1])
    axes.set(title="ViT,\n20 images", xlabel='radius "r"')
    assert drawn(figure).splitlines()[1] == '"ViT, 20 images","radius ""r""",,,line,0,1'


def test_pictures_have_no_numbers() -> None:
    figure, axes = subplots()
    show_image(axes, np.zeros((3, 2, 2)))
    assert drawn(figure) == ""


def test_a_ledger_is_its_cells() -> None:
    table = vg.claims.table({}, networks=["vit", "resnet"])
    judged = table[table["verdict"] != ""]
    cells = rows(vg.figures.ledger(table))
    assert {mark for _, mark, *_ in cells} == {"cell"}
    assert len(cells) == len(judged)
    assert {column for *_, column, _ in cells} >= {"ViT", "ResNet"}


def test_the_drawing_is_the_same_text_every_time_and_needs_no_font() -> None:
    figure, axes = subplots()
    axes.set_title("a title")
    text = svg(figure)
    assert text == svg(figure)
    assert ElementTree.fromstring(text).findall(".//{http://www.w3.org/2000/svg}text") == []


@pytest.mark.parametrize(("said", "kinds"), [("1", {"svg", "csv", "narrow"}), ("0", None)])
def test_a_figure_brings_them_along_where_pages_are_built(
    monkeypatch: pytest.MonkeyPatch, said: str, kinds: set[str] | None
) -> None:
    monkeypatch.setenv("VITGEOM_DOWNLOADS", said)
    pictures, metadata = subplots()[0]._repr_mimebundle_()
    assert pictures == {}
    assert metadata.get(KEY, {}).keys() == (kinds or set())
