"""What a page offers of a figure besides its picture: the drawing as SVG, and the numbers that are drawn as CSV."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection, PolyCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import AxLine, Line2D
from matplotlib.patches import Rectangle
from matplotlib.quiver import Quiver

from .. import settings
from .narrow import narrow

COLUMNS = ("panel", "x axis", "y axis", "series", "mark", "x", "y")
DOTS = 180  # an inch: two to a CSS pixel of a phone
KEY = "vitgeom"  # of the metadata of a notebook's output
Row = tuple[Any, ...]


class HouseFigure(Figure):
    """A figure of this package, which in a page that is being built brings its downloads along, and its narrow form."""

    blocks: Sequence[Sequence[Axes]] = ()
    drawn_narrow: Callable[[], Figure] | None = None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """No picture beside those that a notebook draws itself; the downloads in the metadata of the output."""
        if not settings.downloads():
            return {}, {}
        other = narrow(self)
        return {}, {KEY: {"svg": svg(self), "csv": drawn(self), "narrow": png(other) if other else ""}}


def svg(figure: Figure) -> str:
    """The drawing, the same text every time; letters are shapes, so that it looks alike with any fonts."""
    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": KEY}):
        figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
    return out.getvalue()


def png(figure: Figure) -> str:
    """The picture in base 64, as notebooks keep theirs."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DOTS, bbox_inches="tight")
    return base64.b64encode(out.getvalue()).decode()


def drawn(figure: Figure) -> str:
    """The numbers that a figure draws as CSV, a row a point; nothing where it shows only pictures.

    A line is a row a point, a band two rows (`from`, `to`) at each of its places, an error bar two rows for its ends,
    an arrow one for its foot and one for its length; a line that marks one value of an axis has no place on the other.
    What has no label takes that of what is drawn in the same colour.

    Examples
    --------
    >>> from vitgeom_nb.figures.style import subplots
    >>> figure, axes = subplots()
    >>> _ = axes.plot([1, 2], [0.5, 0.25], label="ViT"), axes.set(title="one", xlabel="step")
    >>> print(drawn(figure))
    panel,x axis,y axis,series,mark,x,y
    one,step,,ViT,line,1,0.5
    one,step,,ViT,line,2,0.25
    <BLANKLINE>
    """
    named = dict(_names(figure))
    rows = [
        (_words(axes.get_title() or axes.get_title("left")), _words(axes.get_xlabel()), _words(axes.get_ylabel()), *row)
        for axes in figure.axes
        for row in _rows(axes, named)
    ]
    if not rows:
        return ""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([COLUMNS, *rows])
    return out.getvalue()


def _words(text: str) -> str:
    return " ".join(text.split())


def _colour(artist: Any) -> str:
    """The one colour of a line, of marks, a band or a bar."""
    if isinstance(artist, Line2D):
        return str(to_hex(artist.get_color()))
    colours = artist.get_edgecolor() if isinstance(artist, LineCollection) else artist.get_facecolor()
    return str(to_hex(np.reshape(colours, (-1, 4))[0])) if np.size(colours) else ""


def _names(figure: Figure) -> Iterator[tuple[str, str]]:
    """Colour -> label of everything that has one."""
    for axes in figure.axes:
        for artist, label in zip(*axes.get_legend_handles_labels(), strict=True):
            first = artist[0] if isinstance(artist, tuple) else artist
            if isinstance(first, (Line2D, PathCollection)):
                yield _colour(first), label


def _rows(axes: Axes, named: dict[str, str]) -> Iterator[Row]:
    """Series, mark, x and y of everything in a panel that stands for numbers."""
    labels: dict[int, str] = {}
    caps: set[int] = set()
    for group in axes.containers:
        if isinstance(group, ErrorbarContainer):
            line, ends, bars = group.lines
            caps |= {id(end) for end in ends}
            labels |= {id(part): str(group.get_label()) for part in (line, *bars) if part is not None}
        elif isinstance(group, BarContainer):
            labels |= {id(patch): str(group.get_label()) for patch in group.patches}

    def series(artist: Any) -> str:
        label = labels.get(id(artist), str(artist.get_label()))
        return named.get(_colour(artist), "") if label in ("", "None") or label.startswith("_") else _words(label)

    for line in axes.lines:
        if id(line) not in caps and not isinstance(line, AxLine):  # which has a slope and no points
            yield from _line(axes, line, series(line))
    for shapes in axes.collections:
        if isinstance(shapes, PathCollection):
            yield from ((series(shapes), "point", *_pair(at)) for at in _known(shapes.get_offsets()))
        elif isinstance(shapes, LineCollection):
            yield from _ends(shapes, series(shapes))
        elif isinstance(shapes, QuadMesh):
            yield from _cells(axes)
        elif isinstance(shapes, Quiver):
            arrows = np.column_stack([shapes.X, shapes.Y, np.ravel(shapes.U), np.ravel(shapes.V)])
            for x, y, across, along in arrows:
                yield series(shapes), "arrow from", *_pair((x, y))
                yield series(shapes), "arrow by", *_pair((across, along))
        elif isinstance(shapes, PolyCollection):
            yield from _band(shapes, series(shapes))
    for patch in axes.patches:
        if isinstance(patch, Rectangle) and patch.get_facecolor()[3] > 0:
            middle = patch.get_x() + patch.get_width() / 2
            yield series(patch), "column", *_pair((middle, patch.get_y() + patch.get_height()))


def _line(axes: Axes, line: Line2D, series: str) -> Iterator[Row]:
    points = np.asarray(line.get_xydata(), dtype=float)
    mark = "point" if line.get_linestyle() in ("None", "", " ") else "line"
    across, along = (one(which="grid") for one in (axes.get_yaxis_transform, axes.get_xaxis_transform))
    if line.get_transform() == across:
        yield series, "level", "", _number(points[0, 1])
    elif line.get_transform() == along:
        yield series, "level", _number(points[0, 0]), ""
    else:
        yield from ((series, mark, *_pair(point)) for point in _known(points))


def _ends(bars: LineCollection, series: str) -> Iterator[Row]:
    for segment in bars.get_segments():
        for word, end in zip(("from", "to"), _known(segment[[0, -1]]) if len(segment) else (), strict=False):
            yield series, f"bar {word}", *_pair(end)


def _band(band: PolyCollection, series: str) -> Iterator[Row]:
    for path in band.get_paths():
        corners = _known(path.vertices)
        for x in np.unique(corners[:, 0]):
            heights = corners[corners[:, 0] == x, 1]
            yield series, "band from", *_pair((x, heights.min()))
            yield series, "band to", *_pair((x, heights.max()))


def _cells(axes: Axes) -> Iterator[Row]:
    """A table that is drawn: row, column and words of every cell."""
    columns, rows = (
        [_words(label.get_text()) for label in one] for one in (axes.get_xticklabels(), axes.get_yticklabels())
    )
    for text in axes.texts:
        x, y = (int(place) for place in text.get_position())
        yield rows[y], "cell", columns[x], _words(text.get_text())


def _known(points: Any) -> np.ndarray:
    points = np.ma.filled(np.ma.asarray(points, dtype=float), np.nan).reshape(-1, 2)
    return points[np.isfinite(points).all(1)]


def _pair(point: Any) -> tuple[str, str]:
    x, y = point
    return _number(x), _number(y)


def _number(value: float) -> str:
    return f"{value:.9g}"
