"""The random jump: a small random step first, then FGSM from there."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
import xarray as xr

from .batching import in_batches
from .boundary import rank_variables, walk
from .correlation import FEWEST, rank_correlation
from .crossing import ALREADY_WRONG, CROSSED, Search, Travel, beyond, moved, outcome_names
from .directions import generator, rms
from .errors import ArgumentError
from .lines import embeddings_along, turning_angle
from .measurement import Stopwatch, Variable, measurement
from .predictions import checked, class_words
from .similarity import psnr
from .vision_model import VisionModel

PATHS = ("direct", "jumped")
STAGES = ("image", "moved", "jumped", "jumped and moved")


def jump_noise(pixels: torch.Tensor, seed: int) -> torch.Tensor:
    """One random direction an image, `(B,3,H,W)`, each of root-mean-square 1 per pixel.

    It depends on the seed and the image (in 8 bits) alone, not on the place in the batch.
    """
    bytes_of = (pixels.detach().cpu() * 255).round().to(torch.uint8)
    drawn = torch.stack(
        [
            torch.randn(image.shape, generator=generator(_own_seed(image, seed)), dtype=torch.float64)
            for image in bytes_of
        ]
    )
    return (drawn / rms(drawn).view(-1, 1, 1, 1)).to(pixels.device, pixels.dtype)


def _own_seed(image: torch.Tensor, seed: int) -> int:
    """32 bits, as many as torch's generator on the host reads."""
    return int.from_bytes(hashlib.sha256(str(seed).encode() + image.numpy().tobytes()).digest()[:4], "big")


def early_bend(
    model: VisionModel, start: torch.Tensor, direction: torch.Tensor, steps: int, step: float, batch: int
) -> torch.Tensor:
    """Mean direction change in rad `(B,)` over the first `steps` steps of the way."""
    distances = torch.arange(steps + 1, dtype=torch.float64) * step

    def bend(start: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        moves = embeddings_along(model, start, direction, distances, batch).diff(dim=1)
        return turning_angle(moves[:, 1:], moves[:, :-1]).mean(1)

    return in_batches(bend, start, direction, size=max(1, batch // (steps + 1))).cpu()


def random_jump(
    model: VisionModel,
    images: Any,
    labels: Any = None,
    size: float = 0.05,
    seed: int = 0,
    epsilon_max: float = 0.1,
    grid: int = 100,
    tolerance: float = 1e-4,
    clamp: bool = False,
    pictures: bool = False,
    early_steps: int = 5,
    early_step: float = 1e-3,
    resamples: int = 1000,
    batch: int | None = None,
) -> xr.Dataset:
    r"""Travel distance from the image, and from a point a small random jump away from it.

    .. math:: x_r = x + r u, \qquad \mathrm{rms}(u) = 1, \qquad d_r = \mathrm{sign}\, \nabla_x L(x_r, y), \qquad
              \epsilon_r = \min \{ \epsilon : \arg\max_j z_j(x_r + \epsilon d_r) \ne y \}

    with a random u for every image. The jump alone changes an image by exactly r per pixel, which for r = 0.05 is
    a peak signal-to-noise ratio of 26.02 dB (before clamping).

    Parameters
    ----------
    model
        A model with a classifier head.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns.
    labels
        The classes to leave, `(B,)`. Without them, the labels that `images` carry.
    size
        r, root-mean-square per pixel.
    seed
        Seed of the jumps and of the bootstrap. A jump depends on it and on the image, not on the batch.
    epsilon_max, grid, tolerance, clamp, pictures, resamples, batch
        As for `travel_distance`. With `clamp` the jumped image is clamped too.
    early_steps, early_step
        How many steps of which size, rms per pixel, the direction change at the beginning of each way is averaged over.

    Returns
    -------
    xarray.Dataset
        Over `image` and `path` (`"direct"`, `"jumped"`): `epsilon` from where the path starts, `outcome`,
        `label_reached` (its name: `name_reached`) as for `travel_distance`; `total`, the rms of the whole change, jump
        included, and its `psnr` in dB, NaN unless crossed; `direction_change` in rad, NaN where
        the way starts wrong. Over `image`: `psnr_jump` in dB,
        `confidence`, `label` (its name: `name`); `change`, epsilon with the jump minus epsilon without, NaN unless
        both ways crossed; `bend_change`, the same of the direction change. Scalars, each with the ends `_low`, `_high`
        of a 95 % bootstrap interval: `median_change`; `median_bend_change`; for the direct path over the images that
        start right, `rank_correlation` (Spearman) of confidence and distance, and `bend_correlation` of direction
        change and distance.
        With `pictures`, `picture(image, stage, channel, y, x)`.

    Raises
    ------
    ImageError, LabelError, ModelError
        If the images are not what the model takes, labels are missing or not classes, or there is no head.
    ArgumentError
        If a size is not positive or the search has nothing to search.

    References
    ----------
    [kim2024], section on the random jump.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    >>> net[1].weight.data, net[1].bias.data = torch.stack([torch.ones(12), -torch.ones(12)]), torch.zeros(2)
    >>> model = vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=2, logits=lambda m, x: m(x))
    >>> ways = vg.random_jump(model, torch.full((1, 3, 2, 2), 0.05), torch.tensor([0]))
    >>> round(float(ways.psnr_jump[0]), 2)
    26.02
    """
    clock = Stopwatch()
    search = Search.make(epsilon_max, grid, tolerance, clamp, model.batch_size(batch))
    if not (size > 0 and early_step > 0):
        raise ArgumentError(f"size and early_step are {size} and {early_step}; both must be positive.")
    if early_steps < 2:
        raise ArgumentError(f"early_steps is {early_steps}; an angle needs at least two.")
    pixels, labels = checked(model, images, labels)
    landed = moved(pixels, jump_noise(pixels, seed), torch.full((len(pixels),), size), clamp)
    ends, ways, bends = [], [], []
    for start, title in ((pixels, "travel distance"), (landed, "travel distance after the jump")):
        direction, way = walk(model, start, labels, search, title)
        ways.append(way)
        ends.append(moved(start, direction, torch.nan_to_num(way.epsilon), clamp))
        bends.append(torch.full((len(pixels),), torch.nan, dtype=pixels.dtype))
        right = torch.nonzero(way.outcome != ALREADY_WRONG)[:, 0]
        if len(right):
            bends[-1][right] = early_bend(model, start[right], direction[right], early_steps, early_step, search.batch)
    both = Travel(*(torch.stack(parts, 1) for parts in zip(*ways, strict=True)))
    crossed = both.outcome == CROSSED
    total = torch.stack([rms((end - pixels).double()).cpu() for end in ends], 1)
    quality = torch.stack([psnr(pixels, end) for end in ends], 1)
    outcome, bend = outcome_names(both.outcome), torch.stack(bends, 1)
    change, bend_change = both.epsilon.diff(dim=1)[:, 0], bend.diff(dim=1)[:, 0]
    confidence, distance = ways[0].confidence, beyond(both.epsilon, outcome)[:, 0]
    by_confidence, by_bend = (rank_correlation(v, distance, resamples, seed) for v in (confidence, bend[:, 0]))
    over = ["image", "path"]
    variables = {
        "epsilon": Variable(over, both.epsilon, "rms per pixel", "travel distance"),
        "outcome": Variable(over, outcome, "1", "outcome of the search"),
        "label_reached": Variable(over, both.reached, "1", "class where the way ended"),
        "name_reached": Variable(over, class_words(model, both.reached), "1", "its name"),
        "name": Variable(["image"], class_words(model, labels), "1", "name of the class to leave"),
        "total": Variable(over, torch.where(crossed, total, torch.nan), "rms per pixel", "whole change of the image"),
        "psnr": Variable(over, torch.where(crossed, quality, torch.nan), "dB", "peak signal-to-noise ratio"),
        "direction_change": Variable(over, bend, "rad", "mean direction change at the beginning of the way"),
        "psnr_jump": Variable(["image"], psnr(pixels, landed), "dB", "peak signal-to-noise ratio of the jump alone"),
        "confidence": Variable(["image"], confidence, "1", "confidence at the image"),
        "label": Variable(["image"], labels, "1", "class to leave"),
        "change": Variable(["image"], change, "rms per pixel", "change of the travel distance by the jump"),
        "bend_change": Variable(["image"], bend_change, "rad", "change of the direction change by the jump"),
        **median_variables("median_change", change, "rms per pixel", "change of the travel distance", resamples, seed),
        **median_variables("median_bend_change", bend_change, "rad", "change of direction change", resamples, seed),
        **rank_variables("rank_correlation", by_confidence, "confidence and travel distance"),
        **rank_variables("bend_correlation", by_bend, "direction change and travel distance"),
    }
    coords = {"path": Variable(["path"], list(PATHS), "1", "where the way starts")}
    if pictures:
        stages = torch.stack([pixels, ends[0], landed, ends[1]], 1).float()
        variables["picture"] = Variable(["image", "stage", "channel", "y", "x"], stages, "1", "pixel value")
        coords["stage"] = Variable(["stage"], list(STAGES), "1", "what the picture shows")
    settings = {"size": size, "epsilon_max": epsilon_max, "grid": grid, "tolerance": tolerance, "clamp": clamp}
    settings |= {"images": len(pixels), "early_steps": early_steps, "early_step": early_step, "resamples": resamples}
    return measurement(variables, coords=coords, model=model, seed=seed, seconds=clock.seconds, **settings)


def median_interval(values: torch.Tensor, resamples: int, seed: int) -> tuple[float, float, float]:
    """Median of the values that are not NaN, and the ends of its 95 % percentile bootstrap interval.

    The ends are NaN with fewer than six values, whose range holds the median with less than 95 %.
    """
    known = values[~values.isnan()]
    if len(known) < FEWEST:
        return (float(known.quantile(0.5)) if len(known) else float("nan")), float("nan"), float("nan")
    drawn = known[torch.randint(len(known), (resamples, len(known)), generator=generator(seed))]
    levels = torch.tensor([0.025, 0.975], dtype=known.dtype)
    low, high = torch.quantile(drawn.quantile(0.5, dim=1), levels).tolist()
    return float(known.quantile(0.5)), low, high


def median_variables(
    name: str, values: torch.Tensor, units: str, words: str, resamples: int, seed: int
) -> dict[str, Variable]:
    """A median and the ends of its interval as scalars of a measurement."""
    names = {
        name: f"median {words} by the jump",
        f"{name}_low": f"lower end of the 95 % interval of the median {words} by the jump",
        f"{name}_high": f"upper end of the 95 % interval of the median {words} by the jump",
    }
    found = median_interval(values, resamples, seed)
    return {key: Variable([], v, units, text) for (key, text), v in zip(names.items(), found, strict=True)}
