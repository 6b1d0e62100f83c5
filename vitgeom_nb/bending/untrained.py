"""How the embedding turned before the network was trained."""

from __future__ import annotations

from typing import Any

import xarray as xr

from ..core.arguments import checked
from ..networks.untrained import untrained
from ..networks.vision_model import VisionModel
from .direction_change import direction_change


@checked
def untrained_direction_change(
    model: VisionModel,
    images: Any,
    *,
    directions: int = 1000,
    steps: int = 50,
    epsilon: float = 0.05,
    seed: int = 0,
) -> xr.Dataset:
    """Direction changes of an embedded network whose weights are drawn anew: what it was before training.

    Parameters
    ----------
    model
        What `load` gave for an embedded network; its weights do not matter.
    images, directions, steps, epsilon
        As for `direction_change`, to whose angles these compare image by image.
    seed
        Of the directions, as there, and of the weights.

    Returns
    -------
    xarray.Dataset
        As `direction_change` gives, under the name of the network and with the digest of the fresh weights.

    Raises
    ------
    ModelError
        If the network is no embedded one.
    ArgumentError, ImageError, Interrupted
        As for `direction_change`.

    References
    ----------
    [kim2024], the section on how the curvedness evolves during training.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> model = vg.load("resnet")
    >>> images = vg.samples("cifar10", n=1, size=model.size)
    >>> before = vg.untrained_direction_change(model, images, directions=2, steps=4)
    >>> before.attrs["model"], before.attrs["weights"] == model.digest
    ('resnet', False)
    """
    fresh = untrained(model, seed)
    fresh.batch_size = model.batch_size
    return direction_change(fresh, images, directions=directions, steps=steps, epsilon=epsilon, seed=seed)
