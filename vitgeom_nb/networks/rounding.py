"""What rounding does to the answers of a network, measured against the same network in float64."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..errors import ModelError
from .vision_model import VisionModel


def rounding(model: VisionModel, answer: Callable[[VisionModel], torch.Tensor]) -> torch.Tensor:
    """Rounding error, in float64, of what `answer` computes with a model in the model's own precision.

    It is measured in float32, as the difference from float64, and scaled to the machine epsilon of the model: there is
    no higher precision to hold float64 against.

    Raises
    ------
    ModelError
        If the module does not compute in float64.
    """
    try:
        single, double = (answer(model.in_dtype(dtype)).double() for dtype in (torch.float32, torch.float64))
    except RuntimeError as error:
        if "dtype" not in str(error):
            raise
        raise ModelError(
            f"Rounding is measured against float64, in which {model.name} does not compute; keep its constants as "
            "parameters or buffers, which change their precision with the module."
        ) from error
    return (single - double) * (torch.finfo(model.dtype).eps / torch.finfo(torch.float32).eps)


def rounding_of_change(model: VisionModel, pixels: torch.Tensor) -> torch.Tensor:
    """Norm `(B,)` of the rounding error of a difference of two embeddings, one of them at each of `pixels`.

    The errors of the two are taken as independent and of one size; where the two points are close they partly cancel.
    None is taken to be smaller than the last rounding, that of the embedding itself to the nearest number.
    """
    found: list[torch.Tensor] = []

    def embeddings(same: VisionModel) -> torch.Tensor:
        found.append(same.embed_in_batches(pixels.to(same.dtype)))
        return found[-1]

    error = rounding(model, embeddings).norm(dim=-1)
    last = torch.finfo(model.dtype).eps / 2 * found[-1].double().norm(dim=-1)
    return 2**0.5 * torch.maximum(error, last)
