"""Images in [0, 1] with labels, names, licence and source: small samples that ship, and whole data sets."""

from __future__ import annotations

import contextlib
import difflib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image

from .errors import ArgumentError, DataError, ModelError
from .images import Images, to_bytes
from .models import TIERS, tier
from .zoo import zoo_file
from .zoo.architectures import ARCHITECTURES

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
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


@dataclass(frozen=True)
class _DataSet:
    folder: str
    splits: dict[str, str]
    image_column: str
    size: int
    licence: str


DATA_SETS = {
    "tiny-imagenet": _DataSet(
        "tiny-imagenet/data", {"train": "train", "valid": "valid"}, "image", 64, "research use, under ImageNet's terms"
    ),
    "cifar10": _DataSet("cifar10/plain_text", {"train": "train", "test": "test"}, "img", 32, "research use"),
}


def data_folder() -> Path | None:
    """The folder that `VITGEOM_DATA` names, or None when it is not set.

    Raises
    ------
    DataError
        If it is set to something that is not a folder.
    """
    value = os.environ.get("VITGEOM_DATA")
    if not value:
        return None
    path = Path(value).expanduser()
    if not path.is_dir():
        raise DataError(f"VITGEOM_DATA is {value!r}, which is not a folder; point it at one that holds tiny-imagenet/.")
    return path


def has_labelled(name: str, split: str) -> bool:
    """Whether `labelled(name, split)` can find its files here."""
    folder = data_folder()
    return folder is not None and any((folder / DATA_SETS[name].folder).glob(f"{split}-*.parquet"))


def _files(name: str, split: str) -> list[Path]:
    if name not in DATA_SETS:
        raise DataError(f"There is no data set {name!r}; there are {', '.join(DATA_SETS)}.")
    known = DATA_SETS[name]
    if split not in known.splits:
        raise DataError(f"{name} has no split {split!r}; it has {' and '.join(known.splits)}.")
    folder = data_folder()
    wanted = f"{known.folder}/{split}-*.parquet"
    if folder is None:
        raise DataError(f"{name} is not here: set VITGEOM_DATA to a folder that holds {wanted}.")
    paths = sorted((folder / known.folder).glob(f"{split}-*.parquet"))
    if not paths:
        raise DataError(f"The folder {folder} that VITGEOM_DATA names holds no {wanted}; put those files there.")
    return paths


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever a damaged file raises inside the block becomes one sentence."""
    try:
        yield
    except (OSError, KeyError, ValueError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise DataError(f"{path} cannot be read ({reason}); fetch it again.") from None


def _count(path: Path) -> int:
    with _reading(path):
        return pq.read_metadata(path).num_rows


def _rows(paths: list[Path], image_column: str) -> Iterator[tuple[bytes, int]]:
    for path in paths:
        with _reading(path), pq.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=1024, columns=[image_column, "label"]):
                for image, label in zip(batch[image_column].to_pylist(), batch["label"].to_pylist(), strict=True):
                    yield image["bytes"], label


def class_names(name: str) -> list[str]:
    """Names of the classes of a data set, in the order of their labels."""
    if name == "cifar10":
        return list(CIFAR10_CLASSES)
    folder = data_folder()
    path = (folder or Path()) / "tiny-imagenet" / "classes.json"
    if folder is None or not path.exists():
        raise DataError(f"{name} needs {path}; set VITGEOM_DATA to a folder that holds it.")
    return [entry["name"].split(",")[0] for entry in sorted(json.loads(path.read_text()), key=lambda e: e["label"])]


def decoded(name: str, split: str, n: int | None = None, size: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `n` images of a data set as `(N,3,size,size)` uint8, and their labels; what `labelled` is made of."""
    paths = _files(name, split)
    _check_count(n)
    known = DATA_SETS[name]
    count = sum(map(_count, paths))
    n = count if n is None else min(n, count)
    size = size or known.size
    pixels = torch.empty(n, 3, size, size, dtype=torch.uint8)
    labels = torch.empty(n, dtype=torch.long)
    for i, (encoded, label) in zip(range(n), _rows(paths, known.image_column), strict=False):
        pixels[i] = to_bytes(Image.open(io.BytesIO(encoded)), size)
        labels[i] = label
    return pixels, labels


def labelled(name: str, split: str, n: int | None = None, size: int | None = None) -> Images:
    """Labelled images of a whole data set, in file order, from the folder that `VITGEOM_DATA` names.

    Parameters
    ----------
    name, split
        `"tiny-imagenet"` with `"train"` or `"valid"`; `"cifar10"` with `"train"` or `"test"`.
    n
        How many, from the first (the files are shuffled already); all of them unless told.
    size
        Height and width; the data set's own (64 for Tiny-ImageNet, 32 for CIFAR-10) unless told.

    Raises
    ------
    DataError
        If there is no such data set or split, or its files are not there.
    """
    pixels, labels = decoded(name, split, n, size)
    return Images(
        pixels.float() / 255,
        [f"{name} {split} {i}" for i in range(len(pixels))],
        source=f"{name}, {split} split",
        licence=DATA_SETS[name].licence,
        labels=labels,
        class_names=class_names(name),
    )


@dataclass(frozen=True)
class Predictions:
    """Recorded logits `(N,C)` of an embedded model, the labels `(N,)`, and where they come from."""

    logits: torch.Tensor
    labels: torch.Tensor
    source: str


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
