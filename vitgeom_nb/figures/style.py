"""What every figure shares: the style sheet, the colour of each network, pictures of images."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from .downloads import HouseFigure

STYLE = str(files("vitgeom_nb.figures") / "vitgeom.mplstyle")
# Okabe-Ito colours and a few of their neighbours, blues for transformers and warm colours for CNNs; networks that are
# drawn together differ in colour to every kind of colour vision, and in their markers (tests/figures/test_colours.py)
LOOKS = {
    "vit": ("ViT", "#0072B2", "o"),
    "swin": ("Swin", "#56B4E9", "s"),
    "resnet": ("ResNet", "#D55E00", "^"),
    "mobilenetv2": ("MobileNetV2", "#E69F00", "D"),
    "convnext": ("ConvNeXt", "#882255", "P"),
    "efficientnet-lite0": ("EfficientNet-Lite0", "#888888", "X"),
    "clip": ("CLIP", "#0072B2", "o"),
    "beit": ("BEiT", "#56B4E9", "s"),
    "deit": ("DEiT", "#332288", "P"),
    "swin-t": ("Swin-T", "#009E73", "X"),
    "vitmae": ("ViTMAE", "#CC79A7", "v"),
    "vitmsn": ("ViTMSN", "#444444", "<"),
    "vit-b16": ("ViT-B/16", "#0072B2", "*"),
    "resnet50": ("ResNet-50", "#D55E00", "^"),
    "mobilenetv2_100": ("MobileNetV2", "#E69F00", "D"),
    "googlenet": ("GoogLeNet", "#882255", ">"),
    "dinov2": ("DINOv2", "#117733", "p"),
    "siglip": ("SigLIP", "#88CCEE", "h"),
}
SPARE = ("#009E73", "#CC79A7", "#444444")
SPARE_MARKERS = ("v", "<", ">", "d")


def literal(name: object) -> str:
    """A name of the reader's as matplotlib draws it letter by letter: between two dollars would stand a formula."""
    return str(name).replace("$", r"\$")


def look(name: str, index: int = 0) -> tuple[str, str, str]:
    """Label, colour and marker of a network; others take spare ones by `index`, no two of the first twelve the same."""
    spare = (literal(name), SPARE[index % len(SPARE)], SPARE_MARKERS[index % len(SPARE_MARKERS)])
    return LOOKS.get(name, spare)


def subplots(rows: int = 1, columns: int = 1, **options: Any) -> tuple[HouseFigure, Any]:
    """`plt.subplots` in the house style, closed at once so that a notebook shows the returned figure once."""
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(rows, columns, FigureClass=HouseFigure, **options)
    plt.close(figure)
    return figure, axes


def panels(
    count: int,
    width: float,
    height: float,
    extra: tuple[float, float] = (0.0, 0.0),
    columns: int | None = None,
    **options: Any,
) -> tuple[HouseFigure, Any]:
    """`count` panels of a size in inches, in rows of at most `columns`; `extra` width and height for labels.

    Without `columns` up to four stand in a row, six in two rows of three.
    """
    columns = min(count, columns or (3 if 4 < count <= 6 else 4))
    rows = -(-count // columns)
    size = (width * columns + extra[0], height * rows + extra[1])
    figure, axes = subplots(rows, columns, figsize=size, squeeze=False, **options)
    for spare in axes.flat[count:]:
        spare.remove()
    figure.blocks = [[one] for one in axes.flat[:count]]
    if options.get("sharex"):  # where nothing stands below a panel, its own numbers do
        for last in axes.flat[max(0, count - columns) : count]:
            last.tick_params(labelbottom=True)
    return figure, axes


def show_image(axes: Axes, image: Any, title: str = "") -> None:
    """Draw a `(3,H,W)` image in [0,1] without axes."""
    axes.imshow(np.asarray(image).transpose(1, 2, 0).clip(0, 1))
    axes.set_title(title)
    axes.axis("off")


def show_signed(axes: Axes, image: Any, title: str = "") -> None:
    """Draw a signed `(3,H,W)` image: its largest magnitude spans the colour range, zero is mid-grey."""
    image = np.asarray(image)
    show_image(axes, 0.5 + 0.5 * image / max(float(np.abs(image).max()), 1e-12), title)


def whiskers(value: Any, low: Any, high: Any) -> np.ndarray:
    """Lengths `(2,K)` of the bars below and above values, none negative, as `errorbar` takes them."""
    return np.maximum([np.atleast_1d(value - low), np.atleast_1d(high - value)], 0)


def quartiles(axes: Axes, x: Any, values: np.ndarray, line: str, colour: str, **options: Any) -> None:
    """The median over the rows of `values` `(samples, len(x))` as a line, the quartiles as a band."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(x, middle, line, color=colour, **options)


def as_list(measurements: xr.Dataset | Iterable[xr.Dataset]) -> list[xr.Dataset]:
    """One measurement, or several to compare, as a list."""
    return [measurements] if isinstance(measurements, xr.Dataset) else list(measurements)


def by_network(measurements: xr.Dataset | Iterable[xr.Dataset]) -> list[tuple[xr.Dataset, str, str, str]]:
    """Every measurement with the label, the colour and the marker of its network."""
    return [(data, *look(data.attrs["model"], i)) for i, data in enumerate(as_list(measurements))]
