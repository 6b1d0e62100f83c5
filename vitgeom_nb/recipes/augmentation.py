"""What training shows instead of the pictures: crops, mirror images, and the mixtures of the second recipe."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torchvision.transforms import v2

from ..networks.embedded.architectures import CLASSES
from .recipe import Recipe


def augment(pixels: torch.Tensor, size: int, recipe: Recipe, generator: torch.Generator) -> torch.Tensor:
    """Random square crop of `crop_area` and random mirror image, resampled to `size`; uint8 -> [0,1] floats."""
    count, low, high = len(pixels), *recipe.crop_area
    draw = torch.rand(4, count, generator=generator)
    side = (low + (high - low) * draw[0]).sqrt()
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = torch.where(draw[1] < 0.5, -side, side)
    theta[:, 1, 1] = side
    theta[:, :, 2] = (2 * draw[2:].T - 1) * (1 - side)[:, None]
    images = pixels.float() / 255
    grid = F.affine_grid(theta.to(pixels.device), list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    if size != images.shape[-1]:
        images = F.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return images.clamp(0, 1)


def distorted(pixels: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """RandAugment of each image by itself: `recipe.randaugment` operations at that magnitude; uint8 -> uint8."""
    operations, magnitude = recipe.randaugment
    if not operations:
        return pixels
    draw = v2.RandAugment(operations, magnitude)
    return torch.stack([draw(image) for image in pixels])


def mixed(images: torch.Tensor, labels: torch.Tensor, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixup or CutMix, by even chances, of a batch with itself; labels become probabilities of the classes."""
    if not recipe.mixup:
        return images, labels
    kinds = [v2.MixUp(alpha=recipe.mixup, num_classes=CLASSES), v2.CutMix(alpha=recipe.cutmix, num_classes=CLASSES)]
    return v2.RandomChoice(kinds)(images, labels)
