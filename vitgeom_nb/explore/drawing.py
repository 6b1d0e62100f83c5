"""Pictures and charts for explorers: WebP for images, SVG with a place for what moves over it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.markers import MarkerStyle
from PIL import Image

from ..figures.style import subplots
from .explorer import Panel, Picture

SIDE = 256  # pixels of a picture; small images are enlarged by a whole factor, so that their pixels stay squares
WIDTH, HEIGHT = 340, 250  # of a chart: fits a phone
CLASSES = 5  # rows of a chart of probabilities, more where more classes win
BLUE, GREY = "#0072B2", "#767676"
MARK = 12  # pixels across a mark


def picture(image: Any, side: int = SIDE) -> Picture:
    """An image `(3,H,W)` in [0,1] as WebP, enlarged by the largest whole factor that keeps it within `side`."""
    pixels = np.asarray(image, dtype=float).transpose(1, 2, 0).clip(0, 1)
    drawn = Image.fromarray((255 * pixels).round().astype(np.uint8))
    factor = max(1, side // max(drawn.size))
    drawn = drawn.resize((drawn.width * factor, drawn.height * factor), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    drawn.save(buffer, "WEBP", quality=70, method=6)
    return Picture("image/webp", buffer.getvalue(), *drawn.size)


def signed(image: Any, largest: float) -> np.ndarray:
    """A signed image about mid-grey, `largest` at the ends of the colour range."""
    return 0.5 + 0.5 * np.asarray(image) / max(largest, 1e-12)


def stripes(rows: Sequence[np.ndarray], low: float, high: float, height: int = 26) -> Picture:
    """Vectors as rows of grey stripes, dark for `low` and light for `high`, with a white gap between rows."""
    width, gap = 2 * SIDE, 6
    whole = Image.new("L", (width, len(rows) * (height + gap) - gap), 255)
    for k, row in enumerate(rows):
        grey = (255 * ((row - low) / max(high - low, 1e-12)).clip(0, 1)).round().astype(np.uint8)
        how = Image.Resampling.NEAREST if len(row) <= width else Image.Resampling.BOX
        whole.paste(Image.fromarray(grey[None]).resize((width, height), how), (0, k * (height + gap)))
    buffer = io.BytesIO()
    whole.save(buffer, "WEBP", lossless=True, method=6)
    return Picture("image/webp", buffer.getvalue(), *whole.size)


class Chart:
    """A drawn pair of axes, and where a point of its data lies on the picture.

    Parameters
    ----------
    draw
        Draws on matplotlib axes in the house style.
    width, height
        In pixels.
    """

    def __init__(self, draw: Callable[[Axes], None], width: int = WIDTH, height: int = HEIGHT) -> None:
        figure, axes = subplots(figsize=(width / 72, height / 72), dpi=72)
        draw(axes)
        buffer = io.StringIO()
        # without a date and with fixed names the same chart is the same text
        with _fixed_names():
            figure.savefig(buffer, format="svg", dpi=72, metadata={"Date": None, "Creator": None})
        svg = buffer.getvalue()
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r'(width|height)="([\d.]+)pt"', r'\1="\2"', svg, count=2)
        svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
        svg = re.sub(r">\s*\n\s*<", "><", svg)
        self.picture = Picture("image/svg+xml", svg.encode(), width, height)
        self._transform, self._height = axes.transData, height

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels from the left and from the top of a point of the data."""
        left, bottom = self._transform.transform((x, y))
        return float(left), float(self._height - bottom)

    def scale(self) -> dict[str, list[float]]:
        """Pixels of the points (0, 0) and (1, 1), for scripts."""
        return {"zero": list(self.at(0, 0)), "one": list(self.at(1, 1))}


def _fixed_names() -> Any:
    return mpl.rc_context({"svg.hashsalt": "vitgeom", "svg.fonttype": "none"})


def marked(colour: str, marker: str, points: int) -> dict[str, Any]:
    """How the line of a network is drawn: in its colour, with about five of its marks along the points."""
    return {"color": colour, "marker": marker, "linestyle": "-", "markevery": max(1, points // 5)}


def dot(at: tuple[float, float], colour: str, marker: str = "o") -> str:
    """A mark at a pixel, in the shape that matplotlib gives the marker."""
    x, y = at
    style = f'fill="{colour}" stroke="#fff" stroke-width="1.5"'
    if marker == "o":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5" {style}/>'
    shape = MarkerStyle(marker)
    corners = np.asarray(shape.get_path().transformed(shape.get_transform()).to_polygons()[0])
    points = " ".join(f"{x + MARK * dx:.1f},{y - MARK * dy:.1f}" for dx, dy in corners[:-1])
    return f'<polygon points="{points}" {style}/>'


def line(a: tuple[float, float], b: tuple[float, float], colour: str = "#444444", dashed: bool = False) -> str:
    """A line between two pixels."""
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return curve([a, b], colour, dash)


def curve(points: Sequence[tuple[float, float]], colour: str, more: str = "") -> str:
    """A line through pixels."""
    where = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path d="M{where}" stroke="{colour}" stroke-width="1.5" fill="none"{more}/>'


def box(a: tuple[float, float], b: tuple[float, float], colour: str, opacity: float = 1.0) -> str:
    """A filled box between two corners."""
    (x, y), w, h = (min(a[0], b[0]), min(a[1], b[1])), abs(a[0] - b[0]), abs(a[1] - b[1])
    size = f'x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"'
    return f'<rect {size} fill="{colour}" fill-opacity="{opacity:.3f}"/>'


class Probabilities:
    """A chart of the classes that matter along a path: one row each, a bar that moves.

    Every class that is the most probable somewhere on the path has a row, and so have others up to five rows.

    Parameters
    ----------
    probability
        Of every class at the points of the path, `(K,C)`.
    names
        Of the classes.
    """

    def __init__(self, probability: np.ndarray, names: np.ndarray) -> None:
        order = np.argsort(-probability.max(axis=0))
        wins = np.isin(order, probability.argmax(axis=1))
        shown = [*order[wins], *order[~wins]][: max(CLASSES, wins.sum())]
        self.rows = order[np.isin(order, shown)]
        self.names = names
        self.top = min(1.0, 1.08 * float(probability.max()))

        def draw(axes: Axes) -> None:
            axes.set(xlim=(0, self.top), ylim=(len(self.rows) - 0.4, -0.6), xlabel="probability")
            axes.set_yticks(range(len(self.rows)), [str(names[k])[:18] for k in self.rows])
            axes.grid(axis="y", visible=False)

        self.chart = Chart(draw, height=210)

    def panel(self, probability: np.ndarray, where: str) -> Panel:
        """The chart at one point of the path."""
        overlay = ""
        for row, k in enumerate(self.rows):
            p = float(min(probability[k], self.top))
            colour = BLUE if k == probability.argmax() else GREY
            overlay += box(self.chart.at(0, row - 0.32), self.chart.at(p, row + 0.32), colour)
        most = sorted(self.rows, key=lambda k: -probability[k])[:3]
        said = ", ".join(f"{self.names[k]} {probability[k]:.1%}" for k in most)
        return Panel("Label probabilities", self.chart.picture, f"Bars of probability {where}: {said}.", overlay)
