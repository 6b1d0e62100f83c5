"""Labelled images of whole data sets and folders, decoded as they are asked for."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from .. import settings
from ..core.arguments import checked
from ..core.images import ImageModel, Size, height_and_width
from .decoding import Transform
from .layouts import folder_records
from .registry import KNOWN, data_set, data_split, find, split_name
from .samples import check_count, check_one_of
from .streaming import LabelledImages, report


def _is_path(name: str) -> bool:
    return "/" in name or os.sep in name or Path(name).is_dir()


def _order(count: int, n: int | None, seed: int | None) -> torch.Tensor:
    """Positions of the images meant: the first `n`, or the first `n` of a random order."""
    if seed is None:
        return torch.arange(count)[:n]
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:n]


@checked
def labelled(
    name: str | os.PathLike[str],
    split: str | None = None,
    n: int | None = None,
    size: Size | None = None,
    *,
    transform: Transform | None = None,
    model: ImageModel | None = None,
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
        Side of the square images in pixels, or `(height, width)`, such as `model.size`; the data set's own (64 for
        Tiny-ImageNet, 32 for CIFAR-10), or what the tier's models take, unless told. Pictures are resized until they
        just cover it, and their centre is cropped.
    transform
        What makes the tensor of an image instead: takes a PIL image in RGB and returns `(3,H,W)` uint8, or floats in
        [0,1]. Threads call it.
    model
        The model that shall see them: they come at its size, by its own preprocessing.
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
        If `n` is not positive, `size` is no size, or more than one of `size`, `transform` and `model` is given.
    """
    check_count(n)
    check_one_of(size=size, transform=transform, model=model)
    transform = model.preprocess if model is not None else transform
    sides = None if size is None else height_and_width(size)
    if isinstance(name, str) and (name in KNOWN or not _is_path(name)):
        known, split = data_set(name), data_split(name, split)
        records = find(name, split, n if seed is None else None)
        licence, own = known.licence, known.size
    else:
        split = split_name(split)
        records = folder_records(Path(name).expanduser(), split)
        licence, own = "as the owner of the images says", None
    source = f"{name}, {split} split" if split else str(name)
    if transform is None and sides is None:
        sides = height_and_width(own or settings.TIERS[settings.tier()])
    return LabelledImages(
        records,
        _order(len(records), n, seed),
        source=f"{source} ({records.note})" if records.note else source,
        licence=licence,
        size=sides,
        transform=transform,
    )


def decoded(name: str, split: str, n: int | None = None, size: Size | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `n` images of a data set as `(N,3,H,W)` uint8, and their labels; damaged images are left out."""
    images = labelled(name, split, n, size)
    pixels, kept, damaged = images.gathered(range(len(images)), torch.uint8)
    report(damaged, len(images))
    assert images.labels is not None
    return pixels, images.labels[kept]
