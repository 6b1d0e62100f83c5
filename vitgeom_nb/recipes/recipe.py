"""The two recipes: what every network is trained with, and what recipe B does otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """What every network is trained with; only `epochs` differs between a long and a short run.

    `before` counts the epochs behind the weights that it starts from, `epochs` those and its own.
    """

    epochs: float = 100
    before: float = 0
    batch: int = 128
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    warmup_steps: int = 500
    cooldown: float = 0.25
    label_smoothing: float = 0.1
    gradient_clip: float = 1.0
    crop_area: tuple[float, float] = (0.5, 1.0)
    constant_sizes: tuple[int, ...] = (32, 48)
    randaugment: tuple[int, int] = (0, 0)  # operations an image, and their magnitude of 30
    mixup: float = 0.0  # parameters of the Beta distributions of shares
    cutmix: float = 0.0
    drop_path: float = 0.0
    seed: int = 0

    def steps(self, images: int) -> int:
        return int(self.epochs * images / self.batch)

    def first(self, images: int) -> int:
        """The step at which this cycle starts."""
        return int(self.before * images / self.batch)

    def constant_steps(self, images: int) -> int:
        first = self.first(images)
        return first + int((self.steps(images) - first) * (1 - self.cooldown))

    def rate(self, step: int, images: int) -> float:
        """Learning rate at a step: linear warm-up, constant, linear to zero."""
        first, flat, last = self.first(images), self.constant_steps(images), self.steps(images)
        up, down = (step + 1 - first) / self.warmup_steps, (last - step) / max(1, last - flat)
        return self.learning_rate * min(1.0, up, down)


RECIPE_B: dict[str, Any] = {
    "label_smoothing": 0.0,
    "randaugment": (2, 9),
    "mixup": 0.8,
    "cutmix": 1.0,
    "drop_path": 0.1,
}
"""What recipe B does otherwise: the values of DeiT, without its repeated augmentation and random erasing."""
