"""Travel distance: how far along the FGSM direction the next label lies."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import xarray as xr

from ..core.arguments import checked
from ..core.image_similarity import psnr
from ..core.measurement import Stopwatch, Variable, measurement
from ..core.random_directions import rms
from ..errors import ArgumentError, keeping
from ..networks.vision_model import VisionModel
from ..statistics.bootstrap import rank_correlation
from .fgsm import depart
from .label_search import CROSSED, Search, Travel, beyond, moved, outcome_names, travel


def own_directions(along: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Directions given for images `(B,3,H,W)`, one an image, each of root-mean-square 1.

    Raises
    ------
    ArgumentError
        If they are of another shape, not finite, or zero.
    """
    if not isinstance(along, torch.Tensor) or along.shape not in (pixels.shape, (1, *pixels.shape[1:])):
        got = tuple(along.shape) if isinstance(along, torch.Tensor) else type(along).__name__
        raise ArgumentError(
            f"along must be a tensor of shape {tuple(pixels.shape)}, one direction an image, not {got}."
        )
    size = rms(along.detach().double())
    if not bool((size.isfinite() & (size > 0)).all()):
        raise ArgumentError("The directions in along must be finite and not zero.")
    scaled = along.detach().double() / size.view(-1, 1, 1, 1)
    return scaled.to(pixels.device, pixels.dtype).expand_as(pixels)


class Way(NamedTuple):
    """A way out: where it starts and its direction, `(B,3,H,W)` each, and how far it went."""

    start: torch.Tensor
    direction: torch.Tensor
    travel: Travel

    @classmethod
    def begin(cls, start: torch.Tensor) -> Way:
        """A way from points that need not lie in [0,1], not gone yet."""
        return cls(start, torch.zeros_like(start), Travel.from_points(start))

    def go(
        self, model: VisionModel, labels: torch.Tensor, search: Search, title: str, along: torch.Tensor | None = None
    ) -> None:
        """Find directions, zero where the label is wrong already, and travel.

        The directions are those of FGSM unless others `(B,3,H,W)` are given.
        """
        there = depart(model, self.start, labels)
        right = (there.seen == labels.to(there.seen.device)).view(-1, 1, 1, 1)
        self.direction.copy_((there.direction if along is None else along) * right)
        travel(model, there._replace(direction=self.direction), labels, search, title, self.travel)

    def end(self, clamp: bool) -> torch.Tensor:
        """Where it crosses; where it starts, if it never does."""
        return moved(self.start, self.direction, torch.nan_to_num(self.travel.epsilon), clamp)


@checked
def travel_distance(
    model: VisionModel,
    images: Any,
    labels: Any = None,
    *,
    along: torch.Tensor | None = None,
    epsilon_max: float = 0.1,
    grid: int = 100,
    tolerance: float = 1e-4,
    clamp: bool = False,
    pictures: bool = False,
    resamples: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    r"""Travel distance to the decision boundary: how far to go along the FGSM direction until the label changes.

    .. math:: \epsilon^*(x, y) = \min \{ \epsilon \ge 0 : \arg\max_j z_j(x + \epsilon d) \ne y \}

    d is the `fgsm_direction` at x, along which epsilon is the change of every pixel whose gradient is not exactly zero
    (the maximum norm); or a direction of your own, of root-mean-square 1. It stays fixed on the way. The label is
    read at `grid` equally spaced epsilon up to `epsilon_max`, then the first bracket is bisected. A wrong region
    thinner than `epsilon_max / grid` can be missed; a finer grid shows whether it was. Batches
    mix images and steps, so where two classes meet to within rounding, the label may depend on what else is in a batch.

    Parameters
    ----------
    model
        A model with a classifier head.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns.
    labels
        The classes to leave, `(B,)`. Without them, the labels that `images` carry; `model.labels(images)` are
        the model's.
    along
        Directions of one's own instead, `(B,3,H,W)`, or `(1,3,H,W)` for all images; scaled to root-mean-square 1.
    epsilon_max, grid, tolerance
        End of the search and width of the final bracket, in pixel values, and number of grid steps.
    clamp
        Whether the moved image is clamped to [0,1]. Without it the change is exactly `epsilon * d`.
    pictures
        Whether to keep the images themselves.
    resamples, seed
        Bootstrap samples behind the interval of the rank correlation, and their seed.

    Returns
    -------
    xarray.Dataset
        Over `image`: `epsilon` in pixel values, NaN unless crossed; `rms`, the root mean square of the change, which
        is epsilon where no gradient is exactly zero; `outcome`: `"crossed"`, `"already wrong"`
        (at epsilon = 0) or `"never wrong"` (up to `epsilon_max`); `confidence` at x; `psnr` of the change in dB,
        from `rms`; `label`, and `label_reached` where the way ended; `evaluations`, the forward passes that an image
        took: one at x with its gradient, one a step of the grid, up to a quarter more where few images leave
        room in a batch, and one a halving. Scalars: `rank_correlation` (Spearman) of confidence and
        distance over the images that start right, those never wrong ranked beyond all others, and its 95 % interval
        `rank_correlation_low`, `rank_correlation_high`. With `pictures`, `pixels(image, channel, y, x)`
        and `moved`, the image where its way ended (the image itself unless crossed).

    Raises
    ------
    ImageError, LabelError, ModelError
        If the images are not what the model takes, labels are missing or not classes, or there is no head.
    ArgumentError
        If `epsilon_max`, `grid` or `tolerance` leaves nothing to search, or `along` is not a
        direction for each of these images.
    Interrupted
        If someone stops it once an outcome is known; `finished` then has `"not finished"` for the other images, and the
        parameter `tolerance` is the width that the brackets had come to.

    References
    ----------
    [kim2024], section on travel distance to the decision boundary.

    Examples
    --------
    A linear classifier, whose distance is its margin over the 1-norm of the weight difference:

    >>> import torch, vitgeom_nb as vg
    >>> from vitgeom_nb.foundations import sum_model
    >>> model = sum_model()
    >>> way = vg.travel_distance(model, torch.full((1, 3, 2, 2), 0.05), torch.tensor([0]))
    >>> round(float(way.epsilon[0]), 3), str(way.outcome.values[0])
    (0.05, 'crossed')
    """
    clock = Stopwatch()
    search = Search.make(epsilon_max, grid, tolerance, clamp)
    pixels, labels = model.pixels_and_labels(images, labels)
    own = None if along is None else own_directions(along, pixels)
    gone = Way.begin(pixels)

    def result() -> xr.Dataset:
        way = gone.travel.on_host()
        there = gone.end(clamp)
        crossed = way.outcome == CROSSED
        quality = torch.where(crossed, psnr(pixels, there), torch.nan)
        change = torch.where(crossed, rms((there - pixels).double()).cpu(), torch.nan)
        outcome = outcome_names(way.outcome)
        rank = rank_correlation(way.confidence, beyond(way.epsilon, outcome), resamples, seed)
        variables = {
            "epsilon": Variable(["image"], way.epsilon, "pixel", "travel distance"),
            "outcome": Variable(["image"], outcome, "1", "outcome of the search"),
            "rms": Variable(["image"], change, "pixel", "root-mean-square change per pixel"),
            "confidence": Variable(["image"], way.confidence, "1", "confidence at the image"),
            "psnr": Variable(["image"], quality, "dB", "peak signal-to-noise ratio of the change"),
            "label": Variable(["image"], labels, "1", "class to leave"),
            "label_reached": Variable(["image"], way.reached, "1", "class where the way ended"),
            "evaluations": Variable(["image"], way.evaluations, "1", "forward passes"),
            **rank.variables("rank_correlation", "1", "rank correlation of confidence and travel distance"),
        }
        if pictures:
            picture = ["image", "channel", "y", "x"]
            variables["pixels"] = Variable(picture, pixels, "pixel", "the image, pixels in [0, 1]")
            variables["moved"] = Variable(picture, there, "pixel", "the image where the way ended")
        settings: dict[str, Any] = {"along": "sign of the gradient" if along is None else "given"}
        settings |= {
            "epsilon_max": epsilon_max,
            "grid": grid,
            "tolerance": way.tolerance(tolerance),
            "clamp": clamp,
            "images": len(pixels),
            "resamples": resamples,
        }
        return measurement(variables, model=model, seed=seed, seconds=clock.seconds, **settings)

    with keeping(result, gone.travel.done, len(pixels), "images"):
        gone.go(model, labels, search, "travel distance", own)
    return result()
