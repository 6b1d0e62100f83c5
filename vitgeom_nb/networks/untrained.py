"""The embedded networks as they were before training: the same architecture, its weights drawn anew."""

from __future__ import annotations

import torch

from ..errors import ModelError
from .embedded import FAMILIES, architecture
from .loading import embedded
from .vision_model import VisionModel


def untrained(model: VisionModel, seed: int = 0) -> VisionModel:
    """An embedded network with freshly drawn weights, on the device and in the precision of `model`.

    Parameters
    ----------
    model
        What `load` gave for an embedded network.
    seed
        Of the weights.

    Raises
    ------
    ModelError
        If it is another network, whose weights before training are not known.
    """
    if architecture(model.name) not in FAMILIES:
        raise ModelError(f"How {model.name} looked before training is not known; it is of {', '.join(FAMILIES)}.")
    from .embedded.architectures import ARCHITECTURES

    with torch.random.fork_rng(devices=[]):  # constructors draw from the global generator, which is left as it was
        torch.manual_seed(seed)
        state = ARCHITECTURES[architecture(model.name)]().state_dict()
        return embedded(model.name, state, device=model.device, dtype=model.dtype)
