"""What a classifier says of corrupted images: six corruptions of torchvision at three strengths."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
import xarray as xr

from ..core.arguments import checked
from ..core.batching import in_batches
from ..core.measurement import Stopwatch, Variable, measurement
from ..core.progress import tqdm
from ..errors import ArgumentError, keeping
from ..networks.vision_model import VisionModel

STRENGTHS = (1, 2, 3)
PUBLISHED_SIDE = 224  # lengths in pixels are those of an image of this side, and shrink with it


def _noise(image: torch.Tensor, size: float) -> torch.Tensor:
    from torchvision.transforms import v2

    return (v2.functional.gaussian_noise(image.float() / 255, sigma=size) * 255).round().to(torch.uint8)


def _blur(image: torch.Tensor, size: float) -> torch.Tensor:
    from torchvision.transforms import v2

    side = min(image.shape[-2:])
    sigma = size * side / PUBLISHED_SIDE
    reach = min(max(1, math.ceil(3 * sigma)), side - 1)  # the kernel reflects at the edges, so it must be shorter
    return v2.functional.gaussian_blur(image, kernel_size=[2 * reach + 1] * 2, sigma=[sigma] * 2)


def _jpeg(image: torch.Tensor, size: float) -> torch.Tensor:
    from torchvision.transforms import v2

    with warnings.catch_warnings():  # it says that its encoder will move to another package; it is the one there is
        warnings.filterwarnings("ignore", message="The image decoding and encoding", category=DeprecationWarning)
        return v2.functional.jpeg(image, quality=int(size))


def _brightness(image: torch.Tensor, size: float) -> torch.Tensor:
    from torchvision.transforms import v2

    return v2.functional.adjust_brightness(image, size)


def _contrast(image: torch.Tensor, size: float) -> torch.Tensor:
    from torchvision.transforms import v2

    return v2.functional.adjust_contrast(image, size)


def _pixelate(image: torch.Tensor, size: float) -> torch.Tensor:
    from torchvision.transforms import InterpolationMode, v2

    whole = list(image.shape[-2:])
    few = [max(1, round(size * length)) for length in whole]
    # as floats: torch's filter for bytes fails on images of a few pixels
    small = v2.functional.resize(image.float(), few, interpolation=InterpolationMode.BILINEAR, antialias=True)
    return v2.functional.resize(small.round().to(torch.uint8), whole, interpolation=InterpolationMode.NEAREST)


CORRUPTIONS: dict[str, tuple[Callable[[torch.Tensor, float], torch.Tensor], tuple[float, float, float]]] = {
    "noise": (_noise, (0.04, 0.08, 0.16)),  # standard deviation, in pixel values
    "blur": (_blur, (1.0, 2.0, 4.0)),  # standard deviation, in pixels of an image of side 224
    "jpeg": (_jpeg, (50, 25, 10)),  # quality
    "brightness": (_brightness, (1.3, 1.6, 2.0)),  # factor
    "contrast": (_contrast, (0.6, 0.4, 0.2)),  # factor
    "pixelate": (_pixelate, (0.6, 0.4, 0.25)),  # side of the small image, as a share
}
"""Name -> what torchvision does to an image of bytes, and the three sizes of it, from weak to strong."""


def corrupted(image: torch.Tensor, name: str, strength: int, seed: int) -> torch.Tensor:
    """One image `(3,H,W)` of bytes on the host, corrupted; chance depends on seed, corruption and image alone."""
    function, sizes = CORRUPTIONS[name]
    key = hashlib.sha256(f"{seed}/{name}/{strength}/".encode() + image.numpy().tobytes()).digest()
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator, which is left as it was
        torch.manual_seed(int.from_bytes(key[:4], "big"))
        return function(image, sizes[strength - 1])


@checked
def corrupted_predictions(
    model: VisionModel,
    images: Any,
    labels: Any = None,
    *,
    corruptions: Sequence[str] = tuple(CORRUPTIONS),
    logits: bool = False,
    seed: int = 0,
) -> xr.Dataset:
    r"""What a classifier says of images, clean and under corruptions of three strengths.

    Images are rounded to 256 levels first, and corrupted by `torchvision.transforms.v2`: Gaussian
    noise of standard deviation .04, .08, .16 of the pixel range; Gaussian blur of standard deviation 1, 2, 4 pixels
    at a side of 224, and in proportion at others; JPEG of quality 50, 25, 10; brightness times 1.3, 1.6, 2;
    contrast times .6, .4, .2; pixelation to .6, .4, .25 of the side.
    What is random depends on the seed and the image, not on the batch.

    Parameters
    ----------
    model
        A model with a classifier head.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns.
    labels
        The right classes, `(B,)`. Without them, the labels that `images` carry.
    corruptions
        Which: out of `"noise"`, `"blur"`, `"jpeg"`, `"brightness"`, `"contrast"`, `"pixelate"`.
    logits
        Whether to keep all logits, and not the label and confidence that they give alone.
    seed
        Of the noise.

    Returns
    -------
    xarray.Dataset
        `label(image)`; `predicted` and `confidence` of the clean image, both `(image)`; `corrupted_predicted(image,
        corruption, strength)` and `corrupted_confidence`. With `logits`, `logits(image, class)` and
        `corrupted_logits(image, corruption, strength, class)`.

    Raises
    ------
    ImageError, LabelError, ModelError
        If the images are not what the model takes, labels are missing or not classes, or there is no head.
    ArgumentError
        If there is no such corruption, or one is named twice.
    Interrupted
        If someone stops it after the first corruption; `finished` then has those that are done.

    References
    ----------
    [kim2024], robustness to corruption; kinds and sizes are of the order of [hendrycks2019].

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    >>> net[1].weight.data, net[1].bias.data = torch.stack([torch.ones(48), -torch.ones(48)]), torch.tensor([-20.0, 20])
    >>> model = vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=4, embed=lambda m, x: m(x), logits=lambda m, x: m(x))
    >>> seen = vg.corrupted_predictions(model, torch.full((1, 3, 4, 4), 0.4), torch.tensor([1]))
    >>> seen.corrupted_predicted.sel(corruption="brightness").values.tolist()  # 0.4 times 1.3, 1.6, 2
    [[0, 0, 0]]
    """
    watch = Stopwatch()
    unknown = [name for name in corruptions if name not in CORRUPTIONS]
    if unknown or not corruptions or len(set(corruptions)) < len(corruptions):
        raise ArgumentError(f"corruptions is {tuple(corruptions)}; name each once, out of {', '.join(CORRUPTIONS)}.")
    pixels, labels = model.pixels_and_labels(images, labels)
    bytes_of = (pixels.detach().cpu() * 255).round().to(torch.uint8)
    clean = _logits(model, bytes_of)
    found: list[torch.Tensor] = []

    def result() -> xr.Dataset:
        seen = torch.stack(found, 1)
        each = ["image", "corruption", "strength"]
        variables = {
            "label": Variable(["image"], labels, "1", "class of the image"),
            "predicted": Variable(["image"], clean.argmax(1), "1", "class that the model names"),
            "confidence": Variable(["image"], clean.softmax(1).amax(1), "1", "confidence"),
            "corrupted_predicted": Variable(each, seen.argmax(-1), "1", "class named under corruption"),
            "corrupted_confidence": Variable(each, seen.softmax(-1).amax(-1), "1", "confidence under corruption"),
        }
        if logits:
            variables["logits"] = Variable(["image", "class"], clean, "1", "logits")
            variables["corrupted_logits"] = Variable([*each, "class"], seen, "1", "logits under corruption")
        coords = {
            "corruption": list(corruptions)[: len(found)],
            "strength": Variable(["strength"], list(STRENGTHS), "1", "strength of the corruption"),
        }
        return measurement(variables, coords=coords, model=model, seed=seed, seconds=watch.seconds, images=len(pixels))

    with keeping(result, lambda: len(found), len(corruptions), "corruptions"):
        for name in tqdm(corruptions, desc="corruptions", leave=False):
            each = [
                _logits(model, torch.stack([corrupted(image, name, strength, seed) for image in bytes_of]))
                for strength in STRENGTHS
            ]
            found.append(torch.stack(each, 1))
    return result()


def _logits(model: VisionModel, bytes_of: torch.Tensor) -> torch.Tensor:
    """Logits `(B,C)` in float64 on the host, of images of bytes `(B,3,H,W)` there."""

    def seen(some: torch.Tensor) -> torch.Tensor:
        return model.logits((some.double() / 255).to(model.device, model.dtype)).double().cpu()

    with torch.no_grad():
        return model.finite(in_batches(seen, bytes_of, size=model.batch_size), "logits", "a picture of image")
