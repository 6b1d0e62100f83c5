import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import vitgeom_nb as vg
from vitgeom_nb.core.images import to_bytes
from vitgeom_nb.core.labels import check_labels
from vitgeom_nb.data.labelled import decoded
from vitgeom_nb.errors import ArgumentError, DataError, LabelError, ModelError
from vitgeom_nb.networks import embedded as zoo
from vitgeom_nb.networks.embedded import FAMILIES

from ..tiny_data import no_hub  # noqa: F401


def encoded(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


@pytest.fixture
def folder(tmp_path, no_hub, monkeypatch):  # noqa: F811
    """Both data sets in miniature, laid out like the hub's; the hub itself is out of reach."""
    draw = np.random.default_rng(0)
    arrays = {}
    for name, file, column, size in (
        ("tiny-imagenet", "tiny-imagenet/data/valid-{}-of-00002.parquet", "image", 64),
        ("cifar10", "cifar10/plain_text/test-{}-of-00002.parquet", "img", 32),
    ):
        arrays[name] = draw.integers(0, 256, (6, size, size, 3), dtype=np.uint8)
        for shard in range(2):
            rows = [encoded(a) for a in arrays[name][3 * shard : 3 * shard + 3]]
            labels = [3 * shard, 3 * shard + 1, 3 * shard + 2]
            path = tmp_path / file.format(f"{shard:05d}")
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table({column: rows, "label": labels}), path)
    names = [{"label": i, "wnid": f"n{i}", "name": f"thing {i}, other"} for i in range(6)]
    (tmp_path / "tiny-imagenet" / "classes.json").write_text(json.dumps(names[::-1]))
    monkeypatch.setenv("VITGEOM_DATA", str(tmp_path))
    return tmp_path, arrays


@pytest.mark.parametrize(("name", "split"), [("tiny-imagenet", "valid"), ("cifar10", "test")])
def test_labelled_images_are_the_stored_bytes(folder, name, split):
    _, arrays = folder
    images = vg.labelled(name, split)
    expected = torch.from_numpy(arrays[name]).permute(0, 3, 1, 2).float() / 255
    assert torch.equal(images.pixels, expected)
    assert images.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert name in images.source
    assert vg.has_labelled(name, split)
    assert not vg.has_labelled(name, "train")


def test_labelled_takes_the_first_n_across_files(folder):
    images = vg.labelled("tiny-imagenet", "valid", n=4)
    assert images.labels.tolist() == [0, 1, 2, 3]
    assert images.class_names[2] == "thing 2"
    assert len(vg.labelled("tiny-imagenet", "valid", n=99)) == 6
    assert vg.labelled("cifar10", "test", n=1, size=64).pixels.shape == (1, 3, 64, 64)
    pixels, labels = decoded("cifar10", "test", n=2)
    assert pixels.dtype == torch.uint8
    assert labels.tolist() == [0, 1]


def test_missing_data_is_one_sentence_that_says_what_to_do(folder, monkeypatch, tmp_path):
    with pytest.raises(DataError, match=r"holds no tiny-imagenet/data/train-\*\.parquet"):
        vg.labelled("tiny-imagenet", "train")
    with pytest.raises(DataError, match="no split 'test'; it has train and valid"):
        vg.labelled("tiny-imagenet", "test")
    with pytest.raises(DataError, match="there are tiny-imagenet, cifar10"):
        vg.labelled("imagenet-22k", "train")
    with pytest.raises(ArgumentError, match="at least one"):
        vg.labelled("cifar10", "test", n=0)
    monkeypatch.setenv("VITGEOM_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="not a folder"):
        vg.labelled("cifar10", "test")
    monkeypatch.delenv("VITGEOM_DATA")
    with pytest.raises(DataError, match="set VITGEOM_DATA"):
        vg.labelled("cifar10", "test")
    assert not vg.has_labelled("cifar10", "test")


def test_a_damaged_file_is_named(folder):
    root, _ = folder
    path = root / "cifar10" / "plain_text" / "test-00001-of-00002.parquet"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"test-00001-of-00002\.parquet cannot be read"):
        vg.labelled("cifar10", "test")


@pytest.mark.parametrize(("name", "count"), [("imagenet", 20), ("cifar10", 20), ("photographs", 6)])
def test_samples_ship(name, count):
    images = vg.samples(name)
    assert images.pixels.shape == (count, 3, 64, 64)
    assert images.pixels.dtype == torch.float32
    assert float(images.pixels.min()) >= 0
    assert float(images.pixels.max()) <= 1
    assert len(set(images.names)) == count == len(images)
    assert images.source
    assert images.licence
    assert float(images.pixels.std()) > 0.1


def test_samples_know_their_labels():
    cifar = vg.samples("cifar10", n=3)
    assert [cifar.class_names[i] for i in cifar.labels] == ["cat", "ship", "ship"]
    assert vg.samples("photographs").labels is None
    imagenet = vg.samples("imagenet", n=2)
    assert [imagenet.class_names[i] for i in imagenet.labels] == ["bull mastiff", "folding chair"]
    assert len(imagenet.class_names) == 1000


def test_labels_of_imagenet_are_foreign_to_a_network_of_other_classes():
    images = vg.samples("imagenet")[[14, 15, 17]]  # whose labels are below 200
    for measure in (vg.travel_distance, vg.predict, vg.reliability):
        with pytest.raises(LabelError, match=r"number 1000 classes \(tench, ...\), and vit knows 200 others"):
            measure(vg.load("vit"), images)


def test_size_follows_the_tier(monkeypatch):
    monkeypatch.setenv("VITGEOM_TIER", "paper")
    assert vg.samples("cifar10", n=1).pixels.shape == (1, 3, 224, 224)
    assert vg.samples("cifar10", n=1, size=32).pixels.shape == (1, 3, 32, 32)


def test_bad_sample_requests():
    with pytest.raises(DataError, match="did you mean 'cifar10'"):
        vg.samples("cifar")
    with pytest.raises(ArgumentError, match="at least one image"):
        vg.samples("cifar10", n=0)
    with pytest.raises(ArgumentError, match="at least one pixel"):
        vg.samples("cifar10", size=0)


def test_an_image_of_the_right_size_is_untouched():
    array = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(to_bytes(Image.fromarray(array), 8).permute(1, 2, 0), array)


def test_a_wide_image_keeps_its_centre():
    array = np.zeros((4, 8, 3), dtype=np.uint8)
    array[:, 2:6] = 200
    assert torch.equal(to_bytes(Image.fromarray(array), 4), torch.full((3, 4, 4), 200, dtype=torch.uint8))


def test_images_can_be_chosen():
    images = vg.samples("cifar10")
    assert images[1:3].names == images.names[1:3]
    assert len(images[4]) == 1
    some = images[[5, 2]]
    assert torch.equal(some.pixels, images.pixels[[5, 2]])
    assert some.labels.tolist() == images.labels[[5, 2]].tolist()
    assert "20 x (3, 64, 64)" in repr(images)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "no labels"),
        ([0.0, 1.0], "whole numbers"),
        ([[0], [1]], "whole numbers"),
        ([0], "1 labels for 2 images"),
        ([0, 10], "go from 0 to 10, but the model has 10 classes"),
        ([-1, 3], "go from -1 to 3"),
    ],
)
def test_bad_labels_are_one_sentence(labels, message):
    with pytest.raises(LabelError, match=message):
        check_labels(labels, 2, 10)


def test_good_labels_become_int64():
    assert check_labels(np.array([1, 9], dtype=np.int16), 2, 10).dtype == torch.int64


@pytest.mark.parametrize("name", FAMILIES)
def test_recorded_predictions_give_the_accuracy_on_the_card(name):
    predictions = vg.recorded_predictions(name)
    assert predictions.logits.shape == (10_000, 200)
    assert torch.bincount(predictions.labels, minlength=200).shape == (200,)
    top1 = float((predictions.logits.argmax(1) == predictions.labels).double().mean())
    assert abs(top1 - zoo.card(name)["top1"]) < 1e-3  # half precision may break a tie


@pytest.mark.parametrize("name", FAMILIES)
def test_recorded_predictions_equal_a_recomputation(name):
    if not vg.has_labelled("tiny-imagenet", "valid"):
        pytest.skip("VITGEOM_DATA does not hold the validation images")
    images = vg.labelled("tiny-imagenet", "valid", n=100)
    recorded = vg.recorded_predictions(name)
    model = vg.load(name)
    assert torch.equal(recorded.labels[:100], images.labels)
    torch.testing.assert_close(model.logits(model.pixels(images)), recorded.logits[:100], rtol=2e-3, atol=2e-2)


def test_no_recorded_predictions_of_a_stranger():
    with pytest.raises(ModelError, match="there are vit, swin"):
        vg.recorded_predictions("clip")
