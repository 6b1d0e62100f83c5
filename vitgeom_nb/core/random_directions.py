"""Random directions in pixel space: each follows from a seed, an image and a number."""

from __future__ import annotations

import hashlib

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


def image_keys(pixels: torch.Tensor) -> list[bytes]:
    """What tells images `(B,3,H,W)` apart, in the 8 bits of a picture: whatever the batch, the dtype, the device."""
    pictures = (pixels.detach().float().cpu() * 255).round().clamp(0, 255).to(torch.uint8)
    return [hashlib.sha256(picture.numpy().tobytes()).digest() for picture in pictures]


def direction_of(key: bytes, number: int, like: torch.Tensor, seed: int) -> torch.Tensor:
    """An isotropic direction `(3,H,W)` of Euclidean norm 1, on the device and in the dtype of `like`.

    It follows from the seed, the key of an image and its own number alone, so neither batch nor block nor the count of
    directions changes it.
    """
    own = hashlib.sha256(b"%d %d " % (seed, number) + key).digest()
    # 32 bits, as many as torch's generator on the host reads
    drawn = torch.randn(like.shape, generator=generator(int.from_bytes(own[:4], "big")), dtype=torch.float64)
    return (drawn / drawn.norm()).to(like.device, like.dtype)


def random_directions(pixels: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """`(B,count,3,H,W)`: that many directions of norm 1 of each image `(B,3,H,W)`, as `direction_of` draws them.

    Multiply by sqrt(n) for root-mean-square 1 per pixel.
    """
    keys = image_keys(pixels)
    drawn = [direction_of(key, number, pixels[0], seed) for key in keys for number in range(count)]
    return torch.stack(drawn).unflatten(0, (len(keys), count))
