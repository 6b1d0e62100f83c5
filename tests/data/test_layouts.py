"""MS-COCO, Open Images, and folders of one's own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.data.registry import class_names
from vitgeom_nb.errors import DataError

from ..tiny_data import SIZE, batch, data, encoded, no_hub, put, table  # noqa: F401

PICTURES = [encoded(i, "PNG") for i in range(4)]
COCO = [f"{n:012d}.jpg" for n in (139, 285, 632, 724)]
# ids of categories have gaps; the image 285 has none
INSTANCES = {
    "images": [{"id": int(name[:-4]), "file_name": name} for name in reversed(COCO)]
    + [{"id": 9, "file_name": "9.jpg"}],
    "annotations": [
        {"image_id": 139, "category_id": 1, "area": 20.0, "segmentation": [[0.0] * 6], "iscrowd": 0},
        {"image_id": 139, "category_id": 13, "area": 30.5, "segmentation": [[0.0] * 6], "iscrowd": 0},
        {"image_id": 632, "category_id": 4, "area": 7, "segmentation": {"counts": [1]}, "iscrowd": 1},
        {"image_id": 632, "category_id": 1, "area": 7, "segmentation": [[0.0] * 6], "iscrowd": 0},
        {"image_id": 724, "category_id": 1, "area": 1.5, "segmentation": [[0.0] * 6], "iscrowd": 0},
        {"image_id": 9, "category_id": 1, "area": 1.5, "segmentation": [[0.0] * 6], "iscrowd": 0},
    ],
    "categories": [{"id": 13, "name": "stop sign"}, {"id": 1, "name": "person"}, {"id": 4, "name": "motorcycle"}],
}


@pytest.fixture
def coco(data: Path) -> Path:  # noqa: F811
    put(data / "coco" / "val2017", dict(zip(COCO, PICTURES, strict=True)))
    put(data / "coco" / "annotations", {"instances_val2017.json": json.dumps(INSTANCES)})
    return data / "coco"


def test_pipes_and_loops_of_links_in_a_folder_end(tmp_path: Path) -> None:
    put(tmp_path / "cats", {"a.png": PICTURES[0], "\udcff.png": PICTURES[3]})
    put(tmp_path / "dogs" / "big", {"b.png": PICTURES[1]})
    put(tmp_path / "elsewhere", {"c.png": PICTURES[2]})
    os.mkfifo(tmp_path / "cats" / "pipe.png")
    os.mkfifo(tmp_path / "dogs" / "pipe.png")
    (tmp_path / "cats" / "itself.png").symlink_to("itself.png")
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "cats" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "dogs" / "big" / "loop").symlink_to(tmp_path / "dogs", target_is_directory=True)
    (tmp_path / "dogs" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    images = vg.labelled(tmp_path, size=SIZE)
    dogs = ["dogs/big/b.png", "dogs/linked/c.png"]
    cats = ["cats/a.png", *(f"cats/loop/{name}" for name in (*dogs, "elsewhere/c.png")), "cats/\\udcff.png"]
    assert images.names == [*cats, *dogs, "elsewhere/c.png"]
    assert len(images.pixels) == len(images)
    (tmp_path / "alone").mkdir()
    os.mkfifo(tmp_path / "alone" / "pipe.png")
    with pytest.raises(DataError, match="holds no images"):
        vg.labelled(tmp_path / "alone")


def test_the_largest_annotation_labels_an_image_of_coco(coco: Path) -> None:
    images = vg.labelled("coco", "valid", size=SIZE)
    assert images.names == [COCO[0], COCO[2], COCO[3]]
    assert images.class_names == class_names("coco") == ["person", "motorcycle", "stop sign"]
    assert images.labels.tolist() == [2, 1, 0]
    assert torch.equal(images.pixels, batch([PICTURES[0], PICTURES[2], PICTURES[3]]))
    assert images.source == "coco, valid split (1 image without annotation left out)"
    assert vg.has_labelled("coco", "val")
    assert not vg.has_labelled("coco", "train")
    with pytest.raises(DataError, match=r"holds no coco/train2017/\*\.jpg with .*cocodataset\.org"):
        vg.labelled("coco", "train")


def test_what_coco_lacks_is_said(coco: Path) -> None:
    path = coco / "annotations" / "instances_val2017.json"
    for broken in (path.read_text()[:300], "[]", json.dumps(INSTANCES | {"categories": []})):
        path.write_text(broken)
        with pytest.raises(DataError, match=r"instances_val2017\.json cannot be read \("):
            vg.labelled("coco", "valid")
    path.write_text(json.dumps(INSTANCES | {"annotations": []}))
    with pytest.raises(DataError, match="annotates none of the images"):
        vg.labelled("coco", "valid")
    path.unlink()
    assert not vg.has_labelled("coco", "valid")
    with pytest.raises(DataError, match=r"put annotations/instances_val2017\.json into"):
        vg.labelled("coco", "valid")


IDS = ("0001eeaf4aed83f9", "000595fe6fee6369", "00075905539074f2")
LABELS = table([
    ("ImageID", "Source", "LabelName", "Confidence"),
    (IDS[2], "verification", "/m/cat", 0), (IDS[2], "verification", "/m/odd", 1),
    (IDS[2], "crowdsource", "/m/dog", "1.0"),
    (IDS[0], "verification", "/m/cat", 1), (IDS[0], "verification", "/m/dog", 1), (IDS[1], "machine", "/m/dog", 0),
    ("ffffffffffffffff", "verification", "/m/dog", 1),
])  # fmt: skip
DESCRIPTIONS = [("/m/dog", "Dog"), ("/m/cat", 'Cat, the "domestic" one'), ("/m/cup", "Cup")]


@pytest.fixture
def open_images(data: Path) -> Path:  # noqa: F811
    root = data / "open-images"
    put(root / "validation", {f"{name}.jpg": picture for name, picture in zip(IDS, PICTURES, strict=False)})
    put(root, {"oidv7-val-annotations-human-imagelabels.csv": LABELS})
    put(root, {"oidv7-class-descriptions.csv": table([("LabelName", "DisplayName"), *DESCRIPTIONS])})
    return root


@pytest.mark.parametrize("release", [7, 6])
def test_the_first_confirmed_label_is_that_of_an_image_of_open_images(open_images: Path, release: int) -> None:
    if release == 6:  # other names, and class descriptions without a header
        (open_images / "oidv7-class-descriptions.csv").unlink()
        (open_images / "oidv7-val-annotations-human-imagelabels.csv").unlink()
        put(open_images, {"class-descriptions-boxable.csv": table(DESCRIPTIONS)})
        put(open_images, {"validation-annotations-human-imagelabels-boxable.csv": LABELS})
    images = vg.labelled("open-images", "validation", size=SIZE)
    assert images.names == [f"{IDS[0]}.jpg", f"{IDS[2]}.jpg"]
    assert images.labels.tolist() == [1, 0]
    assert images.class_names == ["Dog", 'Cat, the "domestic" one', "Cup"]
    assert torch.equal(images.pixels, batch([PICTURES[0], PICTURES[2]]))
    assert "1 image without confirmed label left out" in images.source
    assert vg.has_labelled("open-images", "valid")
    with pytest.raises(DataError, match=r"holds no open-images/test/\*\.jpg with"):
        vg.labelled("open-images", "test")


def test_what_open_images_lacks_is_said(open_images: Path) -> None:
    labels = open_images / "oidv7-val-annotations-human-imagelabels.csv"
    for broken in (LABELS[:90], "a,b\n1,2\n", ""):
        labels.write_text(broken)
        with pytest.raises(DataError, match=r"human-imagelabels\.csv cannot be read \("):
            vg.labelled("open-images", "valid")
    labels.write_text(LABELS.splitlines()[0] + "\n" + LABELS.splitlines()[-1] + "\n")
    with pytest.raises(DataError, match="labels none of the images"):
        vg.labelled("open-images", "valid")
    descriptions = open_images / "oidv7-class-descriptions.csv"
    descriptions.write_text("LabelName,DisplayName\n/m/dog\n")
    with pytest.raises(DataError, match=r"class-descriptions\.csv cannot be read"):
        vg.labelled("open-images", "valid")
    descriptions.unlink()
    with pytest.raises(DataError, match=r"lacks the names of its labels: put \*class-descriptions\*\.csv"):
        vg.labelled("open-images", "valid")
    labels.unlink()
    with pytest.raises(DataError, match="lacks its labels: put validation-annotations"):
        vg.labelled("open-images", "valid")
    assert not vg.has_labelled("open-images", "valid")


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    names = ["cat/b.png", "cat/deep/a.png", "dog/1.PNG"]
    put(tmp_path, dict(zip(names, PICTURES, strict=False)))
    put(tmp_path, {"notes/read.me": "", "cat/notes.txt": "", ".hidden/x.png": b"", "ant/.x.png": b""})
    images = vg.labelled(tmp_path, size=SIZE)
    assert images.names == names
    assert images.labels.tolist() == [0, 0, 1]
    assert images.class_names == ["cat", "dog"]
    assert torch.equal(images.pixels, batch(PICTURES[:3]))
    assert str(tmp_path) in images.source
    assert images.licence


def test_a_flat_folder_has_no_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "mine", {"b.png": PICTURES[1], "a.png": PICTURES[0], "notes.txt": ""})
    images = vg.labelled(str(tmp_path / "mine"), size=SIZE)
    assert images.labels is None
    assert images.class_names is None
    assert images.names == ["a.png", "b.png"]
    assert images[1].labels is None
    assert torch.equal(images[1].pixels, batch(PICTURES[1:2]))
    assert vg.labelled(tmp_path / "mine")[0].pixels.shape == (1, 3, 64, 64)  # what the tier's models take
    monkeypatch.chdir(tmp_path)
    assert len(vg.labelled("mine")) == 2


def test_a_folder_may_hold_splits(tmp_path: Path) -> None:
    put(tmp_path, {"train/cat/a.png": PICTURES[0], "val/cat/b.png": PICTURES[1]})
    assert vg.labelled(tmp_path, "valid").names == ["cat/b.png"]
    assert vg.labelled(tmp_path, "train").names == ["cat/a.png"]
    with pytest.raises(DataError, match=r"holds the splits train, val; name one: labelled\(folder, 'train'\)"):
        vg.labelled(tmp_path)
    with pytest.raises(DataError, match="no sub-folder for the split 'test'; it has train, val"):
        vg.labelled(tmp_path, "test")


def test_unclear_folders_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no folder"):
        vg.labelled(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no images"):
        vg.labelled(tmp_path)
    put(tmp_path, {"a.png": PICTURES[0], "cat/b.png": PICTURES[1]})
    with pytest.raises(DataError, match=r"both directly and in sub-folders \(cat\)"):
        vg.labelled(tmp_path)
