"""A few images that ship with the installed packages: no network, no data set."""

from __future__ import annotations

import difflib
from importlib.util import find_spec
from pathlib import Path

import torch
from PIL import Image

from .. import settings
from ..core import imagenet_classes
from ..core.arguments import checked
from ..core.images import ImageModel, Images, Size, height_and_width, to_bytes
from ..errors import ArgumentError, DataError
from .registry import CIFAR10_CLASSES

PHOTOGRAPHS = {
    "chelsea": ("skimage", "data/chelsea.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "astronaut": ("skimage", "data/astronaut.png"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
}


SAMPLES = ("imagenet", "cifar10", "photographs")


def _shipped(package: str) -> Path:
    """Folder of an installed package, without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    return Path(spec.submodule_search_locations[0])


def check_count(n: int | None) -> None:
    """Raise ArgumentError if a number of images is asked for that is not positive."""
    if n is not None and n < 1:
        raise ArgumentError(f"n is {n}; ask for at least one image.")


def check_one_of(**given: object) -> None:
    """Raise ArgumentError if more than one is given of what decides on the size of images."""
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise ArgumentError(f"{' and '.join(named)} both decide on the size of the images; pass one of them.")


@checked
def samples(
    name: str = "imagenet", n: int | None = None, size: Size | None = None, *, model: ImageModel | None = None
) -> Images:
    """A few real images that ship with the installed packages; no network needed.

    Parameters
    ----------
    name
        `"imagenet"` (20 labelled images) and `"cifar10"` (20 labelled test images), both from foolbox, or
        `"photographs"` (six, unlabelled, from scikit-image and scikit-learn).
    n
        How many, from the first; all of them unless told.
    size
        Side of the square images in pixels, or `(height, width)`, such as `model.size`; what the current tier's models
        take (64, or 224) unless told. Pictures are resized until they just cover it, and their centre is cropped.
    model
        The model that shall see them: they come at its size, by its own preprocessing.

    Raises
    ------
    DataError
        If there are no samples of that name.
    ArgumentError
        If `n` is not positive, `size` is no size, or both `size` and `model` are given.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> vg.samples("cifar10", n=2).pixels.shape
    torch.Size([2, 3, 64, 64])
    """
    if name not in SAMPLES:
        close = difflib.get_close_matches(str(name), SAMPLES, n=1, cutoff=0.4)
        hint = (
            f"did you mean {close[0]!r}? There are {', '.join(SAMPLES)}."
            if close
            else f"there are {', '.join(SAMPLES)}."
        )
        raise DataError(f"There are no samples {name!r}: {hint}")
    check_count(n)
    check_one_of(size=size, model=model)
    sides = height_and_width(settings.TIERS[settings.tier()] if size is None else size)

    def seen(path: Path) -> torch.Tensor:
        with Image.open(path) as picture:
            return to_bytes(picture, sides).float() / 255 if model is None else model.preprocess(picture)

    if name == "photographs":
        chosen = list(PHOTOGRAPHS.items())[:n]
        return Images(
            torch.stack([seen(_shipped(package) / file) for _, (package, file) in chosen]),
            [key for key, _ in chosen],
            source="photographs of scikit-image and scikit-learn",
            licence="public domain or CC BY; see the README of each package's image folder",
        )
    paths = sorted((_shipped("foolbox") / "data").glob(f"{name}_[0-9]*"))[:n]
    labels = [int(path.stem.split("_")[-1]) for path in paths]
    return Images(
        torch.stack([seen(path) for path in paths]),
        [path.stem for path in paths],
        source=f"{name} samples of foolbox",
        licence="research use, under the terms of the data set they come from",
        labels=torch.tensor(labels),
        class_names=list(CIFAR10_CLASSES) if name == "cifar10" else imagenet_classes.class_names(),
    )
