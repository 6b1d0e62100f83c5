"""Random directions in pixel space, from a seed and a generator of their own."""

from __future__ import annotations

import torch


def generator(seed: int) -> torch.Generator:
    """A generator on the host: the same numbers on every device."""
    return torch.Generator().manual_seed(seed)


def rms(v: torch.Tensor) -> torch.Tensor:
    r"""Root-mean-square per pixel, `||v|| / sqrt(n)`, of each image of a batch `(B, ...)` -> `(B,)`."""
    return v.flatten(1).square().mean(1).sqrt()


def unit(v: torch.Tensor) -> torch.Tensor:
    """Each image of a batch divided by its Euclidean norm."""
    return v / v.flatten(1).norm(dim=1).view(-1, *[1] * (v.ndim - 1))


def random_directions(count: int, like: torch.Tensor, seed: int) -> torch.Tensor:
    """`(count, *like.shape)` isotropic directions of Euclidean norm 1, on the device and in the dtype of `like`.

    Multiply by sqrt(n) for root-mean-square 1 per pixel.
    """
    drawn = torch.randn(count, *like.shape, generator=generator(seed), dtype=torch.float64)
    return unit(drawn).to(like.device, like.dtype)
