"""Images in [0, 1] with labels, names, licence and source: small samples that ship, and whole data sets."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .datasets import CIFAR10_CLASSES, KNOWN, data_set, data_split, find, split_name
from .datasets import class_names as class_names
from .datasets import data_folder as data_folder
from .datasets import has_labelled as has_labelled
from .decoding import Transform
from .errors import ArgumentError, DataError, ModelError
from .images import Images, to_bytes
from .layouts import folder_records
from .models import TIERS, tier
from .streaming import LabelledImages, report
from .zoo import zoo_file
from .zoo.architectures import ARCHITECTURES

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
        raise DataError(f"The package {package} is not installed, and its images with it: pip install {package}.")
    return Path(spec.submodule_search_locations[0])


def _check_count(n: int | None) -> None:
    if n is not None and n < 1:
        raise ArgumentError(f"n is {n}; ask for at least one image.")


def samples(name: str = "imagenet", n: int | None = None, size: int | None = None) -> Images:
    """A few real images that ship with the installed packages; no network needed.

    Parameters
    ----------
    name
        `"imagenet"` (20 labelled images) and `"cifar10"` (20 labelled test images), both from foolbox, or
        `"photographs"` (six, unlabelled, from scikit-image and scikit-learn).
    n
        How many, from the first; all of them unless told.
    size
        Height and width in pixels; what the current tier's models take (64, or 224) unless told.

    Raises
    ------
    DataError
        If there are no samples of that name.
    ArgumentError
        If `n` or `size` is not positive.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> vg.samples("cifar10", n=2).pixels.shape
    torch.Size([2, 3, 64, 64])
    """
    if name not in SAMPLES:
        close = difflib.get_close_matches(str(name), SAMPLES, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(SAMPLES)}."
        raise DataError(f"There are no samples {name!r}: {hint}")
    _check_count(n)
    size = TIERS[tier()] if size is None else size
    if size < 1:
        raise ArgumentError(f"size is {size}; images need at least one pixel.")
    if name == "photographs":
        chosen = list(PHOTOGRAPHS.items())[:n]
        pixels = [to_bytes(Image.open(_shipped(package) / file), size) for _, (package, file) in chosen]
        return Images(
            torch.stack(pixels).float() / 255,
            [key for key, _ in chosen],
            source="photographs of scikit-image and scikit-learn",
            licence="public domain or CC BY; see the README of each package's image folder",
        )
    paths = sorted((_shipped("foolbox") / "data").glob(f"{name}_[0-9]*"))[:n]
    labels = [int(path.stem.split("_")[-1]) for path in paths]
    return Images(
        torch.stack([to_bytes(Image.open(path), size) for path in paths]).float() / 255,
        [path.stem for path in paths],
        source=f"{name} samples of foolbox",
        licence="research use, under the terms of the data set they come from",
        labels=torch.tensor(labels),
        class_names=list(CIFAR10_CLASSES) if name == "cifar10" else None,
    )


def _is_path(name: str) -> bool:
    return "/" in name or os.sep in name or Path(name).is_dir()


def _order(count: int, n: int | None, seed: int | None) -> torch.Tensor:
    """Positions of the images meant: the first `n`, or the first `n` of a random order."""
    if seed is None:
        return torch.arange(count)[:n]
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:n]


def labelled(
    name: str | os.PathLike[str],
    split: str | None = None,
    n: int | None = None,
    size: int | None = None,
    *,
    transform: Transform | None = None,
    seed: int | None = None,
) -> LabelledImages:
    """Images of a whole data set or folder with their labels, decoded only when they are asked for.

    Files are looked for in the folder that `VITGEOM_DATA` names, as their publishers lay them out::

        tiny-imagenet   data/{train,valid}-*.parquet [, classes.json]       or the hub: zh-plus/tiny-imagenet
        cifar10         plain_text/{train,test}-*.parquet                   or the hub: uoft-cs/cifar10
        imagenet        {train,val}/<wnid>/*.JPEG                           or the hub: ILSVRC/imagenet-1k,
                        ILSVRC/Data/CLS-LOC/{train,val}   as on Kaggle      once its terms are accepted
                        val/*.JPEG with LOC_val_solution.csv
                        ILSVRC2012_img_train.tar
                        ILSVRC2012_img_val.tar with LOC_val_solution.csv
                        data/{train,validation}-*.parquet
        coco            {train,val}2017/*.jpg
                        annotations/instances_{train,val}2017.json
        open-images     {train,validation,test}/<ImageID>.jpg
                        *{train,validation,test}-annotations-human-imagelabels*.csv
                        *class-descriptions*.csv

    An image of MS-COCO has the category of its annotation with the largest area, one of Open Images the first label
    that people confirmed; images without are left out, and `source` says how many. Labels of ImageNet number its 1000
    classes by WordNet id, also where only some are there.

    Parameters
    ----------
    name
        One of the names above, or the path of a folder: of sub-folders that are the classes, numbered in alphabetical
        order, or of images without labels. A name of the table is never taken for a path; write `./coco` for that.
    split
        `"train"`, `"valid"` (also `"val"`, `"validation"`) or `"test"`. Of a folder, the sub-folder to take, if any.
    n
        How many, from the first; all of them unless told. The order is that of the parquet files, else that of the file
        names, which are alphabetical class by class in a folder of classes and in ImageNet's training set; ImageNet's
        validation files are numbered across the classes.
    size
        Height and width of the images; the data set's own (64 for Tiny-ImageNet, 32 for CIFAR-10), or what the tier's
        models take, unless told. The short side is resized, and the centre cropped.
    transform
        What makes the tensor of an image instead: takes a PIL image in RGB and returns `(3,H,W)` uint8, or floats in
        [0,1], such as a model's own preprocessing. Threads call it.
    seed
        Put the images in a random order first, drawn with this seed. A smaller `n` then gives the first of a larger
        one; all files must be there.

    Returns
    -------
    LabelledImages
        `labels`, `names`, `class_names`, `source`, `licence`; `[...]`, `batches()` and `pixels` decode.

    Raises
    ------
    DataError
        If there is no such data set, split or folder, or files are missing or damaged.
    ArgumentError
        If `n` or `size` is not positive, or both `size` and `transform` are given.
    """
    _check_count(n)
    if size is not None and (size < 1 or transform is not None):
        wrong = "images need at least one pixel" if size < 1 else "transform decides on the size, so leave it out"
        raise ArgumentError(f"size is {size}; {wrong}.")
    if isinstance(name, str) and (name in KNOWN or not _is_path(name)):
        known, split = data_set(name), data_split(name, split)
        records = find(name, split, n if seed is None else None)
        licence, own = known.licence, known.size
    else:
        split = split_name(split)
        records = folder_records(Path(name).expanduser(), split)
        licence, own = "as the owner of the images says", None
    source = f"{name}, {split} split" if split else str(name)
    if transform is None and size is None:
        size = own or TIERS[tier()]
    return LabelledImages(
        records,
        _order(len(records), n, seed),
        source=f"{source} ({records.note})" if records.note else source,
        licence=licence,
        size=size,
        transform=transform,
    )


def decoded(name: str, split: str, n: int | None = None, size: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `n` images of a data set as `(N,3,size,size)` uint8, and their labels; damaged images are left out."""
    images = labelled(name, split, n, size)
    pixels, kept, damaged = images.gathered(range(len(images)), torch.uint8)
    report(damaged, len(images))
    assert images.labels is not None
    return pixels, images.labels[kept]


@dataclass(frozen=True)
class Predictions:
    """Logits `(N,C)` of a network, the labels `(N,)`, where they come from, and how many damaged images lack."""

    logits: torch.Tensor
    labels: torch.Tensor
    source: str
    skipped: int = 0


def tier_data() -> tuple[str, str]:
    """Data set and split on which the networks of the tier are judged: of the classes that they know."""
    return ("tiny-imagenet", "valid") if tier() == "embedded" else ("imagenet", "valid")


def recorded_predictions(name: str) -> Predictions:
    """Logits of an embedded model on the 10,000 Tiny-ImageNet validation images, written when it was trained.

    Raises
    ------
    ModelError
        If there is no embedded model of that name.
    """
    if name not in ARCHITECTURES:
        raise ModelError(f"There are no recorded predictions of {name!r}; there are {', '.join(ARCHITECTURES)}.")
    with np.load(zoo_file(f"{name}.predictions.npz")) as stored:
        logits, labels = stored["logits"].astype(np.float32), stored["labels"].astype(np.int64)
    return Predictions(
        torch.from_numpy(logits), torch.from_numpy(labels), f"predictions recorded with the embedded model {name}"
    )
