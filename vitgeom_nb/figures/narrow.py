"""A figure laid out anew for a phone: what stands in a row stands two by two, with letters of the size they had."""

from __future__ import annotations

import copy
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.text import Text

PHONE = "(max-width: 600px)"  # windows that show this form
WIDTH = 4.2  # inches; letters of 9 points are 10 CSS pixels high in a column of 340
ENOUGH = 5.4  # a figure as narrow as this is left as it is: 8 pixels
WORDS = 0.6  # inches that numbers and words below a panel, and its title, take at least
FORMULA = re.compile(r"\$[^$]*\$")  # is not broken
GLUE = "\0"
Block = Sequence[Axes]  # panels one below the other that stay together
Line = tuple[Block, ...]


def narrow(figure: Figure) -> Figure | None:
    """The same figure, `WIDTH` inches wide, or None if it is narrow enough or its panels are in no grid.

    Panels of numbers keep their height; pictures, and panels with axes of one scale, their shape. A grid of numbers is
    read by columns, which stay whole; one of pictures by rows, each of which begins a line. A figure whose panels
    follow each other in another way says how, in blocks of panels that stand one below the other (`figure.blocks`);
    one that is drawn in another way brings a function that draws it (`figure.drawn_narrow`).
    """
    draw: Callable[[], Figure] | None = getattr(figure, "drawn_narrow", None)
    if draw is not None:
        return draw()
    grids = {id(_grid(axes)): _grid(axes) for axes in figure.axes}
    if figure.get_size_inches()[0] <= ENOUGH or len(grids) != 1 or None in grids.values():
        return None
    other: Figure = copy.deepcopy(figure)
    _arrange(other, list(_lines(other)))
    _gather_legends(other)
    _fit(other)
    return other


def _place(axes: Axes) -> Any:
    """The cells of a grid that a panel fills."""
    return axes.get_subplotspec()


def _grid(axes: Axes) -> Any:
    return _place(axes) and _place(axes).get_gridspec()


def _is_picture(axes: Axes) -> bool:
    return not axes.axison


def _panel(figure: Figure, axes: Axes) -> tuple[float, float]:
    """Width and height in inches that a panel has with its labels."""
    spec, grid, (width, height) = _place(axes), _grid(axes), figure.get_size_inches()
    across, along = grid.get_width_ratios(), grid.get_height_ratios()
    return (
        width * sum(across[spec.colspan.start : spec.colspan.stop]) / sum(across),
        height * sum(along[spec.rowspan.start : spec.rowspan.stop]) / sum(along),
    )


def _height(figure: Figure, axes: Axes, width: float) -> float:
    """Of a panel in inches that is to be so wide: its own, or where it has a shape what that and its words need."""
    was, high = _panel(figure, axes)
    if _is_picture(axes):
        return width + high - was
    return high if axes.get_aspect() == "auto" else width + max(high - was, WORDS)


def _lines(figure: Figure) -> Iterator[Line]:
    """Blocks that stand side by side, line by line: two at most, of long rows of pictures three."""
    panels: list[Axes] = figure.axes
    columns = _grid(panels[0]).ncols
    blocks: Sequence[Block] = getattr(figure, "blocks", ())
    if not blocks and any(map(_is_picture, panels)):
        for row in sorted({_place(axes).rowspan.start for axes in panels}):
            ours = [axes for axes in panels if _place(axes).rowspan.start == row]
            pictures = [(axes,) for axes in ours if _is_picture(axes)]
            yield from _side_by_side(pictures, 2 if len(pictures) < 5 else 3)
            yield from (((axes,),) for axes in ours if not _is_picture(axes))
        return
    blocks = blocks or [[axes for axes in panels if _place(axes).colspan.start == column] for column in range(columns)]
    yield from _side_by_side(blocks, 2)


def _side_by_side(blocks: Sequence[Block], most: int) -> Iterator[Line]:
    yield from (tuple(blocks[i : i + most]) for i in range(0, len(blocks), most))


def _arrange(figure: Figure, lines: Sequence[Line]) -> None:
    """Give every panel its place in the new grid, and the numbers and words of its axes."""
    width = WIDTH / max(map(len, lines))
    heights = [max(_height(figure, block[k], width) for block in line) for line in lines for k in range(len(line[0]))]
    before = {axes: (axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes}
    shared = {
        axes: (_sharing(axes.get_shared_x_axes(), axes), _sharing(axes.get_shared_y_axes(), axes)) for axes in before
    }
    columns = max(map(len, lines))
    figure.set_size_inches(WIDTH, sum(heights))
    grid = GridSpec(len(heights), columns, figure=figure, height_ratios=heights)
    row = 0
    for number, line in enumerate(lines):
        for column, block in enumerate(line):
            below = number + 1 < len(lines) and column < len(lines[number + 1])
            for k, axes in enumerate(block):
                wide = len(line) == 1 and not _is_picture(axes) and any(map(_is_picture, figure.axes))
                axes.set_subplotspec(grid[row + k, :] if wide else grid[row + k, column])
                last = k == len(block) - 1 and not below
                _label(axes, "x", last, shared[axes][0], before)
                _label(axes, "y", column == 0, shared[axes][1], before)
        row += len(line[0])


def _sharing(group: Any, axes: Axes) -> list[Axes]:
    """The other panels of the figure that share an axis with this one."""
    return [one for one in axes.figure.axes if one is not axes and group.joined(axes, one)]


def _label(
    axes: Axes, name: Literal["x", "y"], outer: bool, shared: Sequence[Axes], before: dict[Axes, tuple[str, str]]
) -> None:
    """Numbers and words of an axis that panels share stand at the outer ones alone; others keep theirs."""
    if not shared:
        return
    at = "xy".index(name)
    words = before[axes][at] or next((before[one][at] for one in shared if before[one][at]), "")
    axes.tick_params(name, **{"labelbottom" if name == "x" else "labelleft": outer})
    axes.set(**{f"{name}label": words if outer else ""})


def _gather_legends(figure: Figure) -> None:
    """One legend below the panels, in as many columns as there is room for; that of a single panel stays in it."""
    inside = figure.axes if len(figure.axes) > 1 else []
    old = [*figure.legends, *filter(None, (axes.get_legend() for axes in inside))]
    if not old:
        return
    handles: dict[str, Any] = {
        text.get_text(): handle
        for legend in old
        for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
    }
    before = sum(legend.get_window_extent().height for legend in figure.legends)
    figure.legends.clear()  # a copied legend does not know the list that holds it
    for axes in inside:
        axes.legend_ = None
    across, along = figure.get_size_inches()
    figure.set_size_inches(across, along + 0.3 * len(handles))  # room for any legend
    for columns in (3, 2, 1):
        new = figure.legend(
            handles.values(), handles, ncols=columns, loc="outside lower center", prop=old[0].prop, frameon=False
        )
        figure.draw_without_rendering()
        if columns == 1 or new.get_window_extent().width <= figure.bbox.width:
            break
        new.remove()
    figure.set_size_inches(across, along + max(0, new.get_window_extent().height - before) / figure.dpi)


def _fit(figure: Figure) -> None:
    """Break the words that are longer than their room, and turn numbers that meet."""
    figure.draw_without_rendering()
    for axes in figure.axes:
        spec, high, shown = _place(axes), axes.get_window_extent().height, not _is_picture(axes)
        columns = 1 if len(spec.colspan) > 1 else _grid(axes).ncols
        across = figure.bbox.width * (0.9 if columns == 1 else 0.8) / columns
        for title in (axes.title, *(getattr(axes, f"_{side}_title") for side in ("left", "right"))):
            _broken(title, title.get_window_extent().width, across)
        if shown:
            _broken(axes.xaxis.label, axes.xaxis.label.get_window_extent().width, across)
            _broken(axes.yaxis.label, axes.yaxis.label.get_window_extent().height, high)
            numbers = [one.get_window_extent() for one in axes.get_xticklabels() if one.get_text()]
            if any(a.overlaps(b) for a, b in pairwise(numbers)):
                axes.tick_params(axis="x", labelrotation=45)


def _broken(text: Text, length: float, room: float) -> None:
    """Break the words of a text that is longer than its room."""
    if length <= room:
        return
    lines = FORMULA.sub(lambda formula: formula[0].replace(" ", GLUE), text.get_text()).split("\n")
    most = max(8, int(max(map(len, lines)) * room / length))
    wrapped = (part for line in lines for part in textwrap.wrap(line, most, break_long_words=False))
    text.set_text("\n".join(wrapped).replace(GLUE, " "))
