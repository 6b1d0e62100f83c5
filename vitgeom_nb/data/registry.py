"""The data sets that have a name: where their files lie, here or on the hub."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..core import imagenet_classes
from ..core.arguments import checked
from ..core.whole_files import reading
from ..errors import DataError, HubError
from ..hub import transfer as hub
from ..settings import data_folder, tier
from . import imagenet
from .encoded_images import Records
from .layouts import SPLITS, locate_coco, locate_open_images
from .parquet_files import first_shards, is_complete, label_names, shard_records

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGENET_TERMS = "research use, under ImageNet's terms"
CLASSES_FILE = "classes.json"


@dataclass(frozen=True)
class DataSet:
    """Where a data set lies and what is known of it.

    `folder` is that of its parquet files below `VITGEOM_DATA`, and without its first part that in the hub's `repo`;
    `splits` maps the name of a split to that of its files; `locate` finds layouts other than parquet; `size` is that of
    its images, where all have one; `get` says where to have it from.
    """

    splits: Mapping[str, str]
    licence: str
    folder: str = ""
    repo: str | None = None
    image_column: str = "image"
    size: int | None = None
    locate: Callable[[Path, str], Callable[[], Records] | None] | None = None
    layouts: Mapping[str, str] | None = None
    get: str = ""

    def expected(self, split: str) -> str:
        """The files of a split, as they are called below `VITGEOM_DATA`."""
        return self.layouts[split] if self.layouts else f"{self.folder}/{self.splits[split]}-*.parquet"


KNOWN = {
    "tiny-imagenet": DataSet(
        splits={"train": "train", "valid": "valid"},
        licence=IMAGENET_TERMS,
        folder="tiny-imagenet/data",
        repo="zh-plus/tiny-imagenet",
        size=64,
    ),
    "cifar10": DataSet(
        splits={"train": "train", "test": "test"},
        licence="research use",
        folder="cifar10/plain_text",
        repo="uoft-cs/cifar10",
        image_column="img",
        size=32,
    ),
    "imagenet": DataSet(
        splits={"train": "train", "valid": "validation"},
        licence=IMAGENET_TERMS,
        folder="imagenet/data",
        repo="ILSVRC/imagenet-1k",
        locate=imagenet.locate,
        layouts=imagenet.EXPECTED,
    ),
    "coco": DataSet(
        splits={"train": "train2017", "valid": "val2017"},
        licence="annotations CC BY 4.0; each image under its own Flickr licence",
        locate=locate_coco,
        layouts={
            s: f"coco/{year}/*.jpg with coco/annotations/instances_{year}.json"
            for s, year in (("train", "train2017"), ("valid", "val2017"))
        },
        get="https://cocodataset.org/#download",
    ),
    "open-images": DataSet(
        splits={"train": "train", "valid": "validation", "test": "test"},
        licence="annotations CC BY 4.0; images listed as CC BY 2.0",
        locate=locate_open_images,
        layouts={
            s: f"open-images/{name}/*.jpg with open-images/{name}-annotations-human-imagelabels*.csv "
            "and open-images/*class-descriptions*.csv"
            for s, name in (("train", "train"), ("valid", "validation"), ("test", "test"))
        },
        get="https://storage.googleapis.com/openimages/web/download_v7.html",
    ),
}


def data_set(name: str) -> DataSet:
    """A data set by its name.

    Raises
    ------
    DataError
        If there is none of that name.
    """
    if name not in KNOWN:
        raise DataError(f"There is no data set {name!r}; there are {', '.join(KNOWN)}, and any folder by its path.")
    return KNOWN[name]


def split_name(split: str | None) -> str | None:
    """The one name of a split that has several: `valid` for `val` and `validation`."""
    return next((name for name, aliases in SPLITS.items() if split in aliases), split)


def data_split(name: str, split: str | None) -> str:
    """The name of one of the data set's splits.

    Raises
    ------
    DataError
        If it has no such split, or none is given.
    """
    known, wanted = data_set(name), split_name(split)
    if wanted is None or wanted not in known.splits:
        lacks = f"{name} needs a split" if split is None else f"{name} has no split {split!r}"
        raise DataError(f"{lacks}; it has {' and '.join(known.splits)}.")
    return wanted


def _local_shards(known: DataSet, folder: Path, split: str) -> list[str]:
    pattern = f"{known.folder}/{known.splits[split]}-*.parquet"
    return sorted(str(path) for path in folder.glob(pattern) if path.is_file()) if known.folder else []


def _hub_pattern(known: DataSet, split: str) -> str:
    return f"{known.folder.partition('/')[2]}/{known.splits[split]}-*.parquet"


def _cached(repo: str) -> list[str]:
    """Names of the files of a data set that the hub's cache holds."""
    folder = hub.cache_folder() / f"datasets--{repo.replace('/', '--')}"
    try:
        root = folder / "snapshots" / (folder / "refs" / "main").read_text().strip()
    except OSError:
        return []
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@checked
def has_labelled(name: str, split: str) -> bool:
    """Whether all files of `labelled(name, split)` are here: in the folder `VITGEOM_DATA`, or in the hub's cache.

    No network is asked.

    Raises
    ------
    DataError
        If there is no such data set or split.
    """
    known, folder, split = data_set(name), data_folder(), data_split(name, split)
    if folder is not None:
        try:
            if names := _local_shards(known, folder, split):
                return is_complete(names)
            if known.locate is not None and known.locate(folder / name, split):
                return True
        except DataError:
            return False  # images without their labels
    return known.repo is not None and is_complete(fnmatch.filter(_cached(known.repo), _hub_pattern(known, split)))


def _classes_in(path: Path) -> list[str]:
    """Class names from a `classes.json`: a list of objects with `label` and `name`."""
    with reading(path):
        entries = sorted(json.loads(path.read_text(encoding="utf-8")), key=lambda entry: entry["label"])
        if [entry["label"] for entry in entries] != list(range(len(entries))):
            raise ValueError("its labels are not 0, 1, 2, ..., one entry each")
        return [entry["name"].split(",")[0] for entry in entries]


def _classes(name: str, shard: Path, classes: Path) -> list[str]:
    """Class names of a data set in parquet files."""
    if name == "cifar10":
        return list(CIFAR10_CLASSES)
    if name == "imagenet":
        return imagenet_classes.class_names()
    if classes.is_file():
        return _classes_in(classes)
    if wnids := label_names(shard):
        return imagenet_classes.english(wnids)
    raise DataError(f"{name} needs {classes}, which names its classes; put it there.")


def _from_hub(name: str, split: str, n: int | None) -> Records:
    """Records of a split on the hub; what the first `n` images need is fetched, or taken from the cache."""
    known = data_set(name)
    assert known.repo is not None
    repo, pattern = known.repo, _hub_pattern(known, split)
    try:
        files = hub.listing(repo, kind="dataset")
    except HubError:
        files = _cached(repo)
        if not is_complete(fnmatch.filter(files, pattern)):
            raise
    if not (shards := sorted(fnmatch.filter(files, pattern))):
        raise DataError(f"{repo} on the hub has no {pattern} (any more).")
    paths = first_shards(shards, lambda file: hub.fetch(repo, file, kind="dataset"), n)
    classes = paths[0].parent.parent / CLASSES_FILE
    if CLASSES_FILE in files:
        classes = hub.fetch(repo, CLASSES_FILE, kind="dataset")
    return shard_records(paths, known.image_column, f"{name} {split}", _classes(name, paths[0], classes))


def find(name: str, split: str, n: int | None = None) -> Records:
    """Records of a split: of all its images, or at least of the first `n`.

    They come from the folder `VITGEOM_DATA`, or else from the hub, where the data set is on it.

    Raises
    ------
    DataError
        If its files are in neither place, or are damaged.
    """
    known, folder = data_set(name), data_folder()
    if folder is not None:
        if names := _local_shards(known, folder, split):
            paths = first_shards(names, Path, n)
            classes = _classes(name, paths[0], folder / name / CLASSES_FILE)
            return shard_records(paths, known.image_column, f"{name} {split}", classes)
        if known.locate is not None and (read := known.locate(folder / name, split)):
            return read()
    where = f" ({known.get} has them)" if known.get else ""
    if folder is None:
        advice = f"set VITGEOM_DATA to a folder that holds {known.expected(split)}{where}."
    else:
        lacking = known.expected(split)
        advice = f"the folder {folder} that VITGEOM_DATA names holds no {lacking}; put those files there{where}."
    if known.repo is None:
        raise DataError(f"{name} is not here: {advice}")
    try:
        return _from_hub(name, split, n)
    except HubError as error:
        raise DataError(f"{str(error).rstrip('.')}. Or without the hub: {advice}") from error


@checked
def class_names(name: str) -> list[str]:
    """Names of the classes of a data set, in the order of their labels.

    Raises
    ------
    DataError
        If there is no such data set, or the file that names its classes is not there.
    """
    splits, folder = data_set(name).splits, data_folder()
    if name == "cifar10":
        return list(CIFAR10_CLASSES)
    if name == "imagenet":
        return imagenet_classes.class_names()
    if folder is not None and (folder / name / CLASSES_FILE).is_file():
        return _classes_in(folder / name / CLASSES_FILE)
    here = [split for split in splits if has_labelled(name, split)]
    return find(name, (here or list(splits))[-1], n=1).class_names or []


def tier_data() -> tuple[str, str]:
    """Data set and split on which the networks of the tier are judged: of the classes that they know."""
    return ("tiny-imagenet", "valid") if tier() == "embedded" else ("imagenet", "valid")
