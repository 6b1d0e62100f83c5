"""Pictures of the images that measurements are made on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ..core.arguments import checked
from ..core.images import Images
from ..data.streaming import LabelledImages
from ..errors import ImageError
from .style import literal, show_image, subplots

Batch = Images | LabelledImages


@checked
def sample_images(batches: Batch | Sequence[Batch], columns: int = 6) -> Figure:
    """Batches of images one below the other, each image under its class or, where it has none, its name.

    Parameters
    ----------
    batches
        What `samples()` or `labelled()` returns, or several of them.
    columns
        Images in a row; a longer batch fills several rows.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> figure = vg.figures.sample_images(vg.samples("cifar10", n=2))
    >>> [axes.get_title() for axes in figure.axes[:2]]
    ['cat', 'ship']
    """
    each = [batches] if isinstance(batches, Batch) else list(batches)
    if not each:
        raise ImageError("There are no images to draw; pass what samples() or labelled() returns.")
    rows = [
        batch[list(range(i, min(i + columns, len(batch))))] for batch in each for i in range(0, len(batch), columns)
    ]
    figure, grid = subplots(len(rows), columns, figsize=(1.15 * columns, 1.3 * len(rows)), squeeze=False)
    for line, batch in zip(grid, rows, strict=True):
        for axes in line[len(batch) :]:
            axes.axis("off")
        for i, axes in zip(range(len(batch)), line, strict=False):
            show_image(axes, batch.pixels[i], _title(batch, i))
            axes.title.set_fontsize(8)
    return figure


def _title(batch: Images, i: int) -> str:
    if batch.labels is None:
        return literal(batch.names[i])
    label = int(np.asarray(batch.labels)[i])
    return literal(batch.class_names[label]) if batch.class_names else f"class {label}"
