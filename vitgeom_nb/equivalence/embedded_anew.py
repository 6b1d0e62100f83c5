"""Where matches and walks stand, from their pictures alone and in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import xarray as xr

from ..networks.vision_model import VisionModel


def goal_of(model: VisionModel, matched: xr.Dataset, source: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Cosine to the target's embedding, and share of the distance to it that is left, `(pair,)` each, of a `match`."""
    exact = model.in_dtype(torch.float64)
    f, f_0, t = map(exact.embeddings, (torch.from_numpy(matched.matched.values), source, target))
    return F.cosine_similarity(f, t).numpy(), ((f - t).norm(dim=1) / (f_0 - t).norm(dim=1)).numpy()


def drift_of(model: VisionModel, walk: xr.Dataset) -> np.ndarray:
    """Drift `(pair, step)` of the embedding along a `fibre_walk`, relative to its first picture."""
    frames = torch.from_numpy(walk.path.values)
    f = model.in_dtype(torch.float64).embeddings(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
    return ((f - f[:, :1]).norm(dim=2) / f[:, :1].norm(dim=2)).numpy()
