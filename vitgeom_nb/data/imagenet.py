"""ImageNet (ILSVRC 2012) as its publishers lay it out: folders of classes, flat validation files, tar files."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from ..core.imagenet_classes import class_names, numbers
from ..core.whole_files import reading
from ..errors import DataError
from .encoded_images import Records, file_records, image_files, sub_folders
from .tar_files import archive_index, span_reader

FOLDERS = {"train": ("train",), "valid": ("val", "validation", "valid")}
ARCHIVES = {"train": "ILSVRC2012_img_train.tar", "valid": "ILSVRC2012_img_val.tar"}
SOLUTION = "LOC_val_solution.csv"
EXPECTED = {
    "train": "imagenet/train/<wnid>/*.JPEG, imagenet/ILSVRC2012_img_train.tar or imagenet/data/train-*.parquet",
    "valid": "imagenet/val/<wnid>/*.JPEG, imagenet/ILSVRC2012_img_val.tar with imagenet/LOC_val_solution.csv, or "
    "imagenet/data/validation-*.parquet",
}
"""The files of a split, for a message."""


def _labels(names: Sequence[str], path: Path) -> list[int]:
    """Labels of validation files, from Kaggle's table `ImageId,PredictionString` whose strings begin with a wnid."""
    table: dict[str, int] = {}
    with reading(path), path.open(newline="", encoding="utf-8") as file:
        for i, row in enumerate(csv.DictReader(file)):
            wnid = (row.get("PredictionString") or "").split(" ")[0]
            if wnid not in numbers():
                raise ValueError(f"line {i + 2} names {wnid!r}, which is no class of ImageNet")
            table[row.get("ImageId") or ""] = numbers()[wnid]
    stems = [Path(name).stem for name in names]
    if absent := [stem for stem in stems if stem not in table]:
        raise DataError(f"{path} has no line for {len(absent)} of the images, such as {absent[0]}; fetch it again.")
    return [table[stem] for stem in stems]


def _folder_of_classes(folder: Path) -> Records:
    found: list[tuple[str, str, int]] = []
    for wnid in sub_folders(folder):
        if wnid not in numbers():
            raise DataError(
                f"{folder} holds a folder {wnid!r}, which is none of ImageNet's 1000 classes; for a data set of your "
                "own, pass the path of its folder instead of a name."
            )
        found += [(name, wnid, numbers()[wnid]) for name in image_files(folder / wnid)]
    # by name alone: that mixes the classes of the validation images, as their official numbers do
    found.sort()
    return file_records(folder, [f"{w}/{name}" for name, w, _ in found], [label for *_, label in found], class_names())


def _flat_folder(folder: Path, solution: Path) -> Records:
    names = image_files(folder)
    return file_records(folder, names, _labels(names, solution), class_names())


def _archive(path: Path, solution: Path | None) -> Records:
    index = sorted(archive_index(path), key=lambda item: item[0].rpartition("/")[2])
    names = [name for name, _ in index]
    if solution is not None:
        labels = _labels(names, solution)
    else:
        wnids = [name.split("/")[0] for name in names]
        if unknown := set(wnids) - set(numbers()):
            raise DataError(f"{path} holds {min(unknown)!r}, which is none of ImageNet's 1000 classes; fetch it again.")
        labels = [numbers()[wnid] for wnid in wnids]
    reader = partial(span_reader, [span for _, span in index])
    return Records(names, reader, torch.tensor(labels, dtype=torch.long), class_names())


def _solution(root: Path, beside: Path) -> Path:
    for folder in (root, beside, root / "val"):
        if (folder / SOLUTION).is_file():
            return folder / SOLUTION
    raise DataError(
        f"{beside} holds validation images without their labels: put {SOLUTION} of Kaggle's "
        f"imagenet-object-localization-challenge into {root}, or sort the images into folders named by WordNet id."
    )


def locate(root: Path, split: str) -> Callable[[], Records] | None:
    """What reads a split of ImageNet below `root`; None where there are no images of it.

    Raises
    ------
    DataError
        If the images are there without their labels.
    """
    for base in (root, root / "ILSVRC" / "Data" / "CLS-LOC"):
        for folder in (base / name for name in FOLDERS[split]):
            if not folder.is_dir():
                continue
            if any(image_files(folder / wnid) for wnid in sub_folders(folder)):
                return partial(_folder_of_classes, folder)
            if split == "valid" and image_files(folder):
                return partial(_flat_folder, folder, _solution(root, folder))
    archive = root / ARCHIVES[split]
    if archive.is_file():
        return partial(_archive, archive, _solution(root, root) if split == "valid" else None)
    return None
