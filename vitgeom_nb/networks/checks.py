"""What a network is checked for: its device, its normalisation, and that its answers have derivatives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from .. import settings
from ..errors import ArgumentError, ModelError, VitgeomError


@contextmanager
def noted(what: str, name: str, pixels: torch.Tensor) -> Iterator[None]:
    """Whatever the network `name` raises goes on as it is, with a line that says where."""
    try:
        yield
    except VitgeomError:
        raise
    except Exception as error:
        error.add_note(f"in the {what} of {name}, of pixels {tuple(pixels.shape)}")
        raise


def differentiable(out: Any, what: str, name: str, pixels: torch.Tensor) -> Any:
    """What a network answered, which has a derivative where the pixels ask for one.

    Raises
    ------
    ModelError
        If it has none.
    """
    if pixels.requires_grad and torch.is_grad_enabled() and isinstance(out, torch.Tensor) and not out.requires_grad:
        raise ModelError(
            f"The {what} of {name} has no derivative: it is detached, rounded or computed without gradients "
            "on its way; a measurement that takes derivatives needs a network without that."
        )
    return out


def device_named(name: torch.device | str) -> torch.device:
    """The device of a name, which holds and gives back a number.

    Raises
    ------
    ArgumentError
        If it does not.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
        return device
    except Exception as error:  # no such name, a torch without it, a machine without it, or a device that holds nothing
        reason = str(error).split("\n")[0].split(" (")[0].rstrip(".")
        asked = " that VITGEOM_DEVICE names" if str(name) == settings.device() else ""
        raise ArgumentError(
            f"There is no device {str(name)!r}{asked} here: {reason[:120]}; 'cpu' is everywhere."
        ) from None


def check_normalisation(mean: Sequence[float], std: Sequence[float]) -> None:
    """Raise ArgumentError unless there are a mean and a positive standard deviation of each channel."""
    for name, given in (("mean", mean), ("std", std)):
        if len(given) != 3:
            raise ArgumentError(f"{name} has {len(given)} values; pass one for each of the three channels.")
    if not all(value > 0 for value in std):
        raise ArgumentError("std holds a value that is not positive; pass the standard deviation of each channel.")
