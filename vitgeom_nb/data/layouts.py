"""MS-COCO and Open Images as their publishers lay them out, and any folder of images."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

from ..core.whole_files import reading
from ..errors import DataError
from .encoded_images import IMAGE_FILES, Records, file_records, image_files, sub_folders

SPLITS = {"train": ("train",), "valid": ("valid", "val", "validation"), "test": ("test",)}


def _left_out(count: int, why: str) -> str:
    return f"{count} image{'s' if count > 1 else ''} without {why} left out" if count else ""


def _without_outline(entry: dict[str, Any]) -> dict[str, Any]:
    """An object of COCO's JSON without its polygons, which are most of the 450 MB of the training set."""
    entry.pop("segmentation", None)
    return entry


def _coco(folder: Path, path: Path) -> Records:
    here = set(image_files(folder))
    with reading(path):
        index = json.loads(path.read_bytes(), object_hook=_without_outline)
        categories = sorted(index["categories"], key=lambda category: category["id"])
        place = {category["id"]: i for i, category in enumerate(categories)}
        largest: dict[int, tuple[float, int]] = {}
        for entry in index["annotations"]:
            area, label = float(entry["area"]), place[entry["category_id"]]
            if area > largest.get(entry["image_id"], (-1.0, 0))[0]:
                largest[entry["image_id"]] = (area, label)
        labels = {i["file_name"]: largest[i["id"]][1] for i in index["images"] if i["id"] in largest}
        class_names = [category["name"] for category in categories]
    names = sorted(here & set(labels))
    if not names:
        raise DataError(f"{path} annotates none of the images in {folder}; put the images of that file there.")
    note = _left_out(len(here) - len(names), "annotation")
    return file_records(folder, names, [labels[name] for name in names], class_names, note)


def locate_coco(root: Path, split: str) -> Callable[[], Records] | None:
    """What reads a split of MS-COCO 2017 below `root`; None where there are no images of it.

    Raises
    ------
    DataError
        If the images are there without their annotations.
    """
    name = {"train": "train2017", "valid": "val2017"}[split]
    folder, path = root / name, root / "annotations" / f"instances_{name}.json"
    if not folder.is_dir():
        return None
    if not path.is_file():
        raise DataError(f"{folder} lacks its annotations: put annotations/{path.name} into {root}.")
    return partial(_coco, folder, path)


def _files(root: Path, pattern: str) -> list[Path]:
    return sorted(path for path in root.glob(pattern) if path.is_file())


def _class_descriptions(root: Path) -> Path | None:
    for pattern in ("*class-descriptions.csv", "*class-descriptions*.csv"):
        if paths := _files(root, pattern):
            return paths[0]
    return None


def _first_labels(path: Path, images: Collection[str], classes: dict[str, int]) -> dict[str, int]:
    """The first class of each image that people confirmed, in the order of the file, which is read in blocks."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pa_csv

    columns = {"ImageID": pa.string(), "LabelName": pa.string(), "Confidence": pa.float64()}
    options = pa_csv.ConvertOptions(include_columns=list(columns), column_types=columns)
    known_images, known_classes = pa.array(sorted(images), pa.string()), pa.array(list(classes), pa.string())
    labels: dict[str, int] = {}
    with reading(path), pa_csv.open_csv(path, convert_options=options) as table:
        for block in table:
            wanted = pc.and_(
                pc.equal(block["Confidence"], 1),
                pc.and_(pc.is_in(block["ImageID"], known_images), pc.is_in(block["LabelName"], known_classes)),
            )
            rows = block.filter(wanted)
            for image, label in zip(rows["ImageID"].to_pylist(), rows["LabelName"].to_pylist(), strict=True):
                labels.setdefault(image, classes[label])
    return labels


def _open_images(folder: Path, annotations: Path, descriptions: Path) -> Records:
    with reading(descriptions), descriptions.open(newline="", encoding="utf-8") as file:
        rows = [(row[0], row[1]) for row in csv.reader(file) if row]
    rows = rows[1:] if rows and rows[0][0] == "LabelName" else rows
    files = {Path(name).stem: name for name in image_files(folder)}
    labels = _first_labels(annotations, files, {label: i for i, (label, _) in enumerate(rows)})
    stems = sorted(labels)
    if not stems:
        raise DataError(f"{annotations} labels none of the images in {folder}; put the images of that file there.")
    note = _left_out(len(files) - len(stems), "confirmed label")
    chosen = [labels[stem] for stem in stems]
    return file_records(folder, [files[stem] for stem in stems], chosen, [name for _, name in rows], note)


def locate_open_images(root: Path, split: str) -> Callable[[], Records] | None:
    """What reads a split of Open Images below `root`; None where there are no images of it.

    Raises
    ------
    DataError
        If the images are there without their labels or the names of these.
    """
    folder = root / SPLITS[split][-1]
    if not folder.is_dir():
        return None
    found = [path for s in SPLITS[split] for path in _files(root, f"*{s}-annotations-human-imagelabels*.csv")]
    descriptions = _class_descriptions(root)
    if not found or descriptions is None:
        lacking = "*class-descriptions*.csv" if found else f"{folder.name}-annotations-human-imagelabels*.csv"
        raise DataError(f"{folder} lacks {'the names of ' if found else ''}its labels: put {lacking} into {root}.")
    return partial(_open_images, folder, found[0], descriptions)


def _below(folder: Path) -> list[str]:
    """Paths of the images anywhere in a folder, in alphabetical order. A link to a folder around it leads nowhere."""
    found: list[str] = []
    ahead: list[tuple[Path, tuple[Path, ...]]] = [(folder, (folder.resolve(),))]
    while ahead:
        place, around = ahead.pop()
        found += [(place / file).relative_to(folder).as_posix() for file in image_files(place)]
        for inner in (place / name for name in sub_folders(place)):
            if (real := inner.resolve()) not in around:
                ahead.append((inner, (*around, real)))
    return sorted(found)


def folder_records(folder: Path, split: str | None) -> Records:
    """Records of any folder of images, or of its sub-folder for a split.

    Where sub-folders hold images they are the classes, numbered in alphabetical order, as torchvision's `ImageFolder`
    does it; otherwise the images directly inside have no labels.

    Raises
    ------
    DataError
        If there is no such folder, it holds no images, or it is unclear which of them are meant.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}; pass one that holds images, or sub-folders of images.")
    if split is not None:
        parts = [folder / name for name in SPLITS.get(split, (split,)) if (folder / name).is_dir()]
        if not parts:
            there = ", ".join(sub_folders(folder)) or "no sub-folders"
            raise DataError(f"{folder} has no sub-folder for the split {split!r}; it has {there}.")
        folder = parts[0]
    flat = image_files(folder)
    classes = {name: paths for name in sub_folders(folder) if (paths := _below(folder / name))}
    if flat and classes:
        raise DataError(
            f"{folder} holds images both directly and in sub-folders ({', '.join(list(classes)[:3])}); "
            "move the one or the other away, or pass one of the sub-folders."
        )
    if not flat and not classes:
        raise DataError(f"{folder} holds no images ({' '.join(IMAGE_FILES)}), and neither do its sub-folders.")
    if flat:
        return file_records(folder, flat, None, None)
    if set(classes) <= {name for names in SPLITS.values() for name in names}:
        raise DataError(
            f"{folder} holds the splits {', '.join(classes)}; name one: labelled(folder, {min(classes)!r})."
        )
    names = [f"{name}/{path}" for name, paths in classes.items() for path in paths]
    labels = [label for label, paths in enumerate(classes.values()) for _ in paths]
    return file_records(folder, names, labels, list(classes))
