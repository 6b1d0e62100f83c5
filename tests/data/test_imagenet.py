"""ImageNet in each of its layouts gives the same images and labels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.data.registry import class_names
from vitgeom_nb.errors import DataError

from ..tiny_data import SIZE, WNIDS, batch, data, encoded, no_hub, put, shard, table, tar  # noqa: F401

# official number -> class; the first images are of different classes, as in the real one
CLASSES = (2, 0, 3, 1, 0)
LABELS = [2, 0, 999, 1, 0]
NAMES = [f"ILSVRC2012_val_{i + 1:08d}.JPEG" for i in range(len(CLASSES))]
PICTURES = [encoded(i) for i in range(len(CLASSES))]
SOLUTION = table([("ImageId", "PredictionString")] + [
    (name.removesuffix(".JPEG"), f"{WNIDS[c]} 1 2 3 4 {WNIDS[c]} 5 6 7 8 ")
    for name, c in sorted(zip(NAMES, CLASSES, strict=True), reverse=True)
])  # fmt: skip
FLAT = dict(zip(NAMES, PICTURES, strict=True))
SORTED = {f"{WNIDS[c]}/{name}": FLAT[name] for name, c in zip(NAMES, CLASSES, strict=True)}


def below(folder, files):
    return {f"imagenet/{folder}{name}": content for name, content in files.items()}


LAYOUTS = {
    "folders of classes": below("val/", SORTED),
    "flat, with Kaggle's table": below("val/", FLAT) | {"imagenet/LOC_val_solution.csv": SOLUTION},
    "table inside": below("val/", FLAT | {"LOC_val_solution.csv": SOLUTION}),
    "Kaggle": below("ILSVRC/Data/CLS-LOC/val/", FLAT) | {"imagenet/LOC_val_solution.csv": SOLUTION},
    "tar": {"imagenet/ILSVRC2012_img_val.tar": tar(FLAT), "imagenet/LOC_val_solution.csv": SOLUTION},
    "parquet": {
        "imagenet/data/validation-00000-of-00002.parquet": shard(PICTURES[:2], LABELS[:2]),
        "imagenet/data/validation-00001-of-00002.parquet": shard(PICTURES[2:], LABELS[2:]),
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_validation_images_are_in_official_order(data: Path, layout: str) -> None:  # noqa: F811
    assert not vg.has_labelled("imagenet", "valid")
    put(data, LAYOUTS[layout])
    assert vg.has_labelled("imagenet", "val")
    images = vg.labelled("imagenet", "validation", size=SIZE)
    assert images.labels.tolist() == LABELS
    assert images.labels.dtype == torch.int64
    assert torch.equal(images.pixels, batch(PICTURES))
    assert [images.class_names[i] for i in images.labels[:3]] == ["great white shark", "tench", "toilet tissue"]
    if layout != "parquet":
        assert [name.rpartition("/")[2] for name in images.names] == NAMES


TRAIN = {f"{WNIDS[c]}/{WNIDS[c]}_{i}.JPEG": encoded(100 + 10 * c + i) for c in (0, 3) for i in (10, 9)}
IN_ORDER = sorted(TRAIN)
ARCHIVES = {
    f"{wnid}.tar": tar({name.split("/")[1]: content for name, content in TRAIN.items() if name.startswith(wnid)})
    for wnid in (WNIDS[0], WNIDS[3])
}


@pytest.mark.parametrize(
    "files",
    [
        below("train/", TRAIN),
        below("ILSVRC/Data/CLS-LOC/train/", TRAIN),
        {"imagenet/ILSVRC2012_img_train.tar": tar(ARCHIVES)},
    ],
    ids=["folders", "Kaggle", "tar of tars"],
)
def test_training_images_go_class_by_class(data: Path, files: dict[str, bytes]) -> None:  # noqa: F811
    put(data, files)
    images = vg.labelled("imagenet", "train", size=SIZE)
    assert images.names == IN_ORDER
    assert images.labels.tolist() == [0, 0, 999, 999]
    assert torch.equal(images[:].pixels, batch([TRAIN[name] for name in IN_ORDER]))
    assert vg.has_labelled("imagenet", "train")
    assert not vg.has_labelled("imagenet", "valid")


def test_class_names_need_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VITGEOM_DATA", raising=False)
    names = class_names("imagenet")
    assert len(names) == 1000
    assert names[:2] == ["tench", "goldfish"]


BROKEN = {
    "without labels": (below("val/", FLAT), r"without their labels: put LOC_val_solution\.csv"),
    "tar without labels": ({"imagenet/ILSVRC2012_img_val.tar": tar(FLAT)}, "without their labels"),
    "an image is not in the table": (
        below("val/", FLAT | {"ILSVRC2012_val_00000009.JPEG": b""}) | {"imagenet/LOC_val_solution.csv": SOLUTION},
        r"LOC_val_solution\.csv has no line for 1 of the images, such as ILSVRC2012_val_00000009",
    ),
    "the table is cut": (
        below("val/", FLAT) | {"imagenet/LOC_val_solution.csv": SOLUTION[:55]},
        r"LOC_val_solution\.csv cannot be read \(line 2 names 'n0",
    ),
    "not a table": (below("val/", FLAT) | {"imagenet/LOC_val_solution.csv": b"\xff\xfe\0"}, "cannot be read"),
    "a stranger among the classes": (below("val/", SORTED | {"cats/1.jpg": b""}), "folder 'cats', which is none of"),
    "a tar that is cut in an image": (
        {"imagenet/ILSVRC2012_img_val.tar": tar(FLAT)[:3000], "imagenet/LOC_val_solution.csv": SOLUTION},
        r"ILSVRC2012_img_val\.tar cannot be read \(",
    ),
    "a tar with a damaged header": (
        {
            "imagenet/ILSVRC2012_img_val.tar": tar(FLAT).replace(NAMES[2].encode(), b"?" * len(NAMES[2])),
            "imagenet/LOC_val_solution.csv": SOLUTION,
        },
        r"ILSVRC2012_img_val\.tar cannot be read \(it breaks off or is damaged at byte",
    ),
    "a tar inside that is cut": (
        {"imagenet/ILSVRC2012_img_train.tar": tar({k: v[:700] for k, v in ARCHIVES.items()})},
        r"ILSVRC2012_img_train\.tar cannot be read",
    ),
    "a tar of something else": (
        {"imagenet/ILSVRC2012_img_train.tar": tar({"photos.tar": tar({"a.jpg": PICTURES[0]})})},
        "holds 'photos', which is none",
    ),
    "no tar": ({"imagenet/ILSVRC2012_img_train.tar": "text"}, "cannot be read"),
    "parquet without labels": (
        {"imagenet/data/train-0.parquet": shard(PICTURES, LABELS, column="picture")},
        "has no column image, only picture, label",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_said_in_one_sentence(data: Path, case: str) -> None:  # noqa: F811
    files, message = BROKEN[case]
    put(data, files)
    split = "train" if any("train" in name for name in files) else "valid"
    with pytest.raises(DataError, match=message) as raised:
        vg.labelled("imagenet", split)
    assert "\n" not in str(raised.value)
    assert vg.has_labelled("imagenet", split) == (case not in ("without labels", "tar without labels"))
