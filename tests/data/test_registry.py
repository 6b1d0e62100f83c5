"""Where files come from: the folder first, then the hub, and only as many as are needed."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.data.registry import class_names
from vitgeom_nb.errors import DataError, HubError
from vitgeom_nb.hub import transfer as client

from ..stand_in_hub import Fault, StandInHub, hub  # noqa: F401
from ..tiny_data import SIZE, batch, data, encoded, no_hub, put, shard  # noqa: F401

PICTURES = [encoded(i) for i in range(6)]
WNIDS = ["n01443537", "n01629819", "n01641577"]
TINY = {
    f"data/valid-{k:05d}-of-00003-0123456789abcdef.parquet": shard(
        PICTURES[2 * k : 2 * k + 2], [k, 2 - k], names=WNIDS, row_group_size=1
    )
    for k in range(3)
}
ENGLISH = ["goldfish", "European fire salamander", "bullfrog"]


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VITGEOM_DATA", raising=False)


@pytest.fixture
def served(tmp_path: Path, nothing: None, no_hub: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:  # noqa: F811
    """A hub that is a folder, and the log of what was fetched from it."""
    root, log = tmp_path / "served", []
    put(root / "zh-plus" / "tiny-imagenet", TINY | {"README.md": ""})

    def listing(repo: str, *, revision: str = "main", kind: str = "model") -> list[str]:
        assert kind == "dataset"
        if not (root / repo).is_dir():
            raise HubError(f"{repo} is open only to those who accepted its terms.")
        return sorted(p.relative_to(root / repo).as_posix() for p in (root / repo).rglob("*") if p.is_file())

    def fetch(repo: str, filename: str, *, revision: str = "main", kind: str = "model") -> Path:
        log.append(filename.split("/")[-1][:11])
        return root / repo / filename

    monkeypatch.setattr(client, "listing", listing)
    monkeypatch.setattr(client, "fetch", fetch)
    return log


def test_only_the_shards_of_the_first_images_are_fetched(served: list[str]) -> None:
    assert not vg.has_labelled("tiny-imagenet", "valid")
    images = vg.labelled("tiny-imagenet", "valid", n=3, size=SIZE)
    assert served == ["valid-00000", "valid-00001"]
    assert images.labels.tolist() == [0, 2, 1]
    assert torch.equal(images.pixels, batch(PICTURES[:3]))
    assert images.class_names == ENGLISH
    served.clear()
    drawn = vg.labelled("tiny-imagenet", "valid", n=2, size=SIZE, seed=0)
    assert served == ["valid-00000", "valid-00001", "valid-00002"]
    whole = vg.labelled("tiny-imagenet", "val", size=SIZE)
    assert len(whole) == 6
    assert torch.equal(drawn.pixels, torch.cat([whole[whole.names.index(name)].pixels for name in drawn.names]))
    served.clear()
    assert class_names("tiny-imagenet") == ENGLISH
    assert served == ["valid-00000"]


def test_a_file_that_names_the_classes_wins(served: list[str], tmp_path: Path) -> None:
    names = [{"label": i, "name": f"thing {i}, other"} for i in (2, 0, 1)]
    put(tmp_path / "served" / "zh-plus" / "tiny-imagenet", {"classes.json": json.dumps(names)})
    assert vg.labelled("tiny-imagenet", "valid", n=1).class_names == ["thing 0", "thing 1", "thing 2"]


def test_what_the_hub_lacks_is_one_sentence_that_names_both_ways(
    served: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"has no data/train-\*\.parquet"):
        vg.labelled("tiny-imagenet", "train")
    both = r"accepted its terms\. Or without the hub: set VITGEOM_DATA to a folder that holds imagenet/val/<wnid>"
    with pytest.raises(DataError, match=both):
        vg.labelled("imagenet", "valid")
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("VITGEOM_DATA", str(tmp_path / "mine"))
    with pytest.raises(
        DataError, match=r"Or without the hub: the folder .*mine that VITGEOM_DATA names holds no cifar10"
    ):
        vg.labelled("cifar10", "test")
    with pytest.raises(DataError, match=r"coco is not here: .* holds no coco/val2017"):
        vg.labelled("coco", "valid")


def test_the_folder_comes_before_the_hub(served: list[str], data: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    put(data / "tiny-imagenet", {"data/valid-0.parquet": shard(PICTURES[:1], [2], names=WNIDS)})
    images = vg.labelled("tiny-imagenet", "valid", size=SIZE)
    assert served == []
    assert images.labels.tolist() == [2]
    assert images.class_names == ENGLISH


def test_a_shard_that_lacks_is_named(data: Path) -> None:  # noqa: F811
    put(data / "tiny-imagenet", {name: content for name, content in TINY.items() if "-00001-" not in name})
    assert len(vg.labelled("tiny-imagenet", "valid", n=2)) == 2
    assert not vg.has_labelled("tiny-imagenet", "valid")
    for options in ({}, {"n": 3}, {"n": 2, "seed": 0}):
        with pytest.raises(DataError, match=r"Of the 3 files valid-\*\.parquet in .* number 00001 is missing"):
            vg.labelled("tiny-imagenet", "valid", **options)
    put(data / "tiny-imagenet", {name: content for name, content in TINY.items() if "-00001-" in name})
    assert vg.has_labelled("tiny-imagenet", "valid")
    (data / "tiny-imagenet" / next(name for name in TINY if "-00002-" in name)).unlink()
    with pytest.raises(DataError, match="number 00002 is missing"):
        vg.labelled("tiny-imagenet", "valid")


def test_files_without_names_of_classes(data: Path) -> None:  # noqa: F811
    put(data / "tiny-imagenet", {"data/valid-0.parquet": shard(PICTURES[:1], [0])})
    with pytest.raises(DataError, match=r"needs .*tiny-imagenet/classes\.json"):
        vg.labelled("tiny-imagenet", "valid")
    put(data / "tiny-imagenet", {"classes.json": '[{"label": 0,'})
    with pytest.raises(DataError, match=r"classes\.json cannot be read"):
        vg.labelled("tiny-imagenet", "valid")


def test_splits_have_several_names_and_must_exist(data: Path) -> None:  # noqa: F811
    put(data / "tiny-imagenet", {"data/valid-0.parquet": shard(PICTURES[:1], [0], names=WNIDS)})
    sources = {vg.labelled("tiny-imagenet", split).source for split in ("val", "valid", "validation")}
    assert sources == {"tiny-imagenet, valid split"}
    with pytest.raises(DataError, match="open-images has no split 'dev'; it has train and valid and test"):
        vg.labelled("open-images", "dev")
    with pytest.raises(DataError, match="imagenet needs a split; it has train and valid"):
        vg.labelled("imagenet")
    with pytest.raises(
        DataError, match=r"there are tiny-imagenet, cifar10, imagenet, coco, open-images, and any folder"
    ):
        vg.has_labelled("nonsense", "valid")


def test_from_the_hub_over_http(hub: StandInHub, nothing: None) -> None:  # noqa: F811
    shards = {
        f"plain_text/test-{k:05d}-of-00002.parquet": shard(PICTURES[3 * k : 3 * k + 3], [3 * k, 1, 2], "img")
        for k in range(2)
    }
    hub.add("uoft-cs/cifar10", shards, kind="dataset")
    assert not vg.has_labelled("cifar10", "test")
    assert len(vg.labelled("cifar10", "test", n=2)) == 2
    assert not any("test-00001" in request for request in hub.requests)
    images = vg.labelled("cifar10", "test", size=SIZE)
    assert images.labels.tolist() == [0, 1, 2, 3, 1, 2]
    assert torch.equal(images.pixels, batch(PICTURES))
    hub.requests.clear()
    hub.fault = Fault("status", 503)
    assert vg.has_labelled("cifar10", "test")
    assert torch.equal(vg.labelled("cifar10", "test", size=SIZE).pixels, batch(PICTURES))
    assert hub.requests == []
    with pytest.raises(DataError, match=r"out of order .* Or without the hub: set VITGEOM_DATA"):
        vg.labelled("imagenet", "valid")


def test_what_another_program_fetched_needs_no_hub(hub: StandInHub, nothing: None, tmp_path: Path) -> None:  # noqa: F811
    repo = tmp_path / "hf" / "hub" / "datasets--zh-plus--tiny-imagenet"
    commit = "0" * 40
    put(repo, {"refs/main": commit} | {f"snapshots/{commit}/{name}": content for name, content in TINY.items()})
    hub.fault = Fault("status", 503)
    assert vg.has_labelled("tiny-imagenet", "valid")
    images = vg.labelled("tiny-imagenet", "valid", size=SIZE)
    assert torch.equal(images.pixels, batch(PICTURES))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (pa.array([0.0, 0.5]), "not a whole number each"),
        (pa.array([0, None], pa.int64()), "with 1 missing"),
        (pa.array([0, 2], pa.int64()), "labels go from 0 to 2, and there are 2 classes"),
        (pa.array([-1, 0], pa.int64()), "labels go from -1 to 0, and there are 2 classes"),
        (pa.array([], pa.int64()), "holds no images"),
    ],
)
def test_labels_that_name_no_class_are_one_sentence(data, labels, words):  # noqa: F811
    content = shard([encoded(i) for i in range(len(labels))], [0] * len(labels))
    table = pq.read_table(io.BytesIO(content))
    put(data, {"tiny-imagenet/classes.json": json.dumps([{"label": i, "name": n} for i, n in enumerate("ab")])})
    path = data / "tiny-imagenet" / "data" / "valid-00000-of-00001.parquet"
    path.parent.mkdir(exist_ok=True, parents=True)
    pq.write_table(table.set_column(1, "label", labels), path)
    with pytest.raises(DataError, match=words) as caught:
        vg.labelled("tiny-imagenet", "valid")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("labels", [(0, 2), (0, 0), (1, 2), ("a", "b")])
def test_a_table_of_classes_with_gaps_is_one_sentence(data, labels):  # noqa: F811
    put(data, {"tiny-imagenet/data/valid-00000-of-00001.parquet": shard([encoded(0)], [0])})
    put(data, {"tiny-imagenet/classes.json": json.dumps([{"label": i, "name": str(i)} for i in labels])})
    with pytest.raises(DataError, match=r"classes\.json cannot be read"):
        vg.labelled("tiny-imagenet", "valid")
