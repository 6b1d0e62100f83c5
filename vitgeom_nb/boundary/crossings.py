"""The labels on both sides of crossings that were found, read once more."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from ..core.measurement import parameters
from ..networks.vision_model import VisionModel

SIDES = (-1.2, 0.1)
"""Where to look, in widths of the last bracket from its upper end: before the crossing, and just beyond it."""


def labels_beside(model: VisionModel, ways: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Labels `(image, path)` that a model gives just before, and just beyond, each crossing of a `random_jump`.

    Only the pictures of the measurement are used: where a way starts and where it crosses lie on its straight line. So
    the model may be another than the one that searched, say the same one in float64.

    Parameters
    ----------
    model
        Whom to ask.
    ways
        A measurement of `random_jump` with `pictures=True`.

    Returns
    -------
    tuple
        Before and beyond; both are the `label` to leave where a way did not cross.
    """
    start = np.stack([ways.pixels.values, ways.jumped.values], 1).astype(float)
    crossed, epsilon = ways.outcome.values == "crossed", ways.epsilon.values
    line = (ways.moved.values - start)[crossed] / epsilon[crossed, None, None, None]
    told = []
    for side in SIDES:
        length = (epsilon[crossed] + side * parameters(ways)["tolerance"]).clip(min=0)
        points = torch.from_numpy(start[crossed] + length[:, None, None, None] * line).to(model.device, model.dtype)
        label = np.broadcast_to(ways.label.values[:, None], crossed.shape).copy()
        label[crossed] = model.logits_in_batches(points).argmax(1).cpu().numpy()
        told.append(label)
    return told[0], told[1]
