"""Straight lines of images: where they start and lead, the embeddings along them, the angle at which those turn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..core.batching import in_batches
from ..core.random_directions import direction_of, image_keys, random_directions, rms
from ..errors import ArgumentError
from ..networks.answers import Numbers
from ..networks.rounding import rounding
from ..networks.vision_model import VisionModel


def turning_angle(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    r"""Angle between vectors along the last dimension, in rad, exact near 0 and near pi.

    .. math:: \theta = 2\,\mathrm{atan2}\bigl(\|\hat a - \hat b\|,\ \|\hat a + \hat b\|\bigr),
              \qquad \hat a = a / \|a\|

    NaN where a vector is zero.
    """
    a, b = a / a.norm(dim=-1, keepdim=True), b / b.norm(dim=-1, keepdim=True)
    return 2 * torch.atan2((a - b).norm(dim=-1), (a + b).norm(dim=-1))


@dataclass(frozen=True)
class Lines:
    """`B x M` lines x + s d: every image `(B,3,H,W)` along every one of its directions, each of rms 1 per pixel.

    Directions are `along`, `(B,M,3,H,W)` or `(1,M,3,H,W)` where all images share them, or else random ones, which are
    drawn when they are asked for: all together they would not fit.
    """

    pixels: torch.Tensor
    count: int
    along: torch.Tensor | None = None
    seed: int = 0
    keys: tuple[bytes, ...] = ()

    @classmethod
    def make(cls, model: VisionModel, images: object, directions: int, along: torch.Tensor | None, seed: int) -> Lines:
        """Lines from checked images along as many random directions, or `along` those given as `(B,M,3,H,W)`.

        Raises
        ------
        ArgumentError
            If there are no directions, or they are of the wrong shape, zero or not finite.
        """
        pixels = model.pixels(images)
        if along is not None:
            if not isinstance(along, torch.Tensor):
                raise ArgumentError(
                    f"along takes a tensor of directions (B or 1, M, 3, H, W), not {type(along).__name__}."
                )
            given = along.detach().to(model.device, model.dtype)
            if given.ndim != 5 or given.shape[0] not in (1, len(pixels)) or given.shape[2:] != pixels.shape[1:]:
                raise ArgumentError(
                    f"along must have shape (B or 1, M, 3, H, W) for images {tuple(pixels.shape)}, "
                    f"not {tuple(given.shape)}."
                )
            size = rms(given.flatten(0, 1))
            if not size.numel() or not bool(torch.isfinite(size).all()) or not bool((size > 0).all()):
                raise ArgumentError("The directions in along must be finite and not zero, at least one an image.")
            return cls(pixels, given.shape[1], given / size.view(*given.shape[:2], 1, 1, 1))
        if not isinstance(directions, int) or directions < 1:
            raise ArgumentError(
                f"directions is {directions!r}, a number of random directions of at least one; along= takes your own."
            )
        return cls(pixels, directions, seed=seed, keys=tuple(image_keys(pixels)))

    @property
    def shape(self) -> tuple[int, int]:
        """Images B and directions M."""
        return len(self.pixels), self.count

    def each(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Numbers of image and direction of every line, image by image."""
        images, count = self.shape
        line = torch.arange(images * count, device=self.pixels.device)
        return line // count, line % count

    def start(self, image: torch.Tensor, direction: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Starting points and directions `(L,3,H,W)` of chosen lines."""
        x = self.pixels[image]
        if self.along is not None:
            return x, self.along[image % len(self.along), direction]
        chosen = zip(image.tolist(), direction.tolist(), strict=True)
        drawn = [direction_of(self.keys[i], number, x[0], self.seed) for i, number in chosen]
        return x, torch.stack(drawn) * math.sqrt(x[0].numel())

    @property
    def directions(self) -> torch.Tensor:
        """All directions at once, `(B,M,3,H,W)` or as given."""
        if self.along is not None:
            return self.along
        return random_directions(self.pixels, self.count, self.seed) * math.sqrt(self.pixels[0].numel())


@torch.no_grad()
def embeddings_along(
    model: VisionModel,
    start: torch.Tensor,
    direction: torch.Tensor,
    distances: torch.Tensor,
    images: Numbers = 0,
) -> torch.Tensor:
    """Embeddings `(L,K,D)` at `start + s direction` for every s of `(K,)`, computed in the model's precision.

    Points are made a batch at a time, however many there are. `images` are the numbers of those where lines start.
    """
    start, direction = (t.to(model.dtype) for t in (start, direction))
    distance, count = distances.to(start), len(distances)

    def embed(point: torch.Tensor) -> torch.Tensor:
        line, along = point // count, distance[point % count].view(-1, 1, 1, 1)
        return model.embed(direction[line].mul_(along).add_(start[line]))

    points = torch.arange(len(start) * count, device=start.device)
    found = in_batches(embed, points, size=model.batch_size).unflatten(0, (len(start), count))
    return model.finite(found, "embedding", "a line from image", images)


def rounding_along(model: VisionModel, lines: Lines, distances: torch.Tensor) -> torch.Tensor:
    """Rounding errors `(B,K,D)` of the embeddings along the first line of each image, in the model's own precision."""
    images = torch.arange(lines.shape[0], device=lines.pixels.device)
    first = lines.start(images, torch.zeros_like(images))
    return rounding(model, lambda m: embeddings_along(m, *first, distances, images))
