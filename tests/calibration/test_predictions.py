"""Logits on labelled images: in batches, in order, with what is missing counted."""

from __future__ import annotations

import io
import json
import pickle

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import vitgeom_nb as vg
from vitgeom_nb.core.provenance import known
from vitgeom_nb.errors import LabelError, ModelError
from vitgeom_nb.networks.catalogue import CATALOGUE

from ..stand_in_hub import StandInHub
from ..tiny_checkpoints import timm_checkpoint
from ..tiny_data import WNIDS, encoded, put
from ..tiny_networks import random_network


def folder_of_classes(root, per_class=3, damaged=()):
    draw = np.random.default_rng(0)
    for i in range(5):
        (root / f"class-{i}").mkdir(parents=True)
        for k in range(per_class):
            path = root / f"class-{i}" / f"{k}.png"
            Image.fromarray(draw.integers(0, 256, (2, 2, 3), dtype=np.uint8)).save(path)
            if (i, k) in damaged:
                path.write_bytes(path.read_bytes()[:20])
    return root


def test_predictions_are_the_logits_in_order(tmp_path):
    model = random_network()
    images = vg.labelled(folder_of_classes(tmp_path / "all"), size=2)
    model.batch_size = 4
    found = vg.predict(model, images)
    with torch.no_grad():
        expected = model.logits(model.pixels(images))
    torch.testing.assert_close(found.logits, expected, rtol=0, atol=1e-12)
    assert torch.equal(found.labels, images.labels)
    assert found.skipped == 0
    assert str(tmp_path) in found.source


def test_measurements_of_predictions_say_whose_they_are_and_of_which_images(tmp_path):
    model = random_network()
    images = vg.labelled(folder_of_classes(tmp_path / "all"), size=2)
    said = vg.predict(model, images)
    direct, later = vg.reliability(model, images), vg.reliability(said)
    for key in ("model", "weights", "preprocessing", "layer", "dtype", "device", "float32_products"):
        assert later.attrs[key] == direct.attrs[key] != "none"
    seen = json.loads(later.attrs["inputs"])["images"]
    assert seen == json.loads(direct.attrs["inputs"])["images"]
    assert (seen["names"], seen["source"]) == (images.names, images.source)
    # read in batches, and all at once
    assert seen["sha256"] == json.loads(vg.reliability(model, images[:]).attrs["inputs"])["images"]["sha256"]
    assert pickle.loads(pickle.dumps(said)).model == said.model


def test_pixels_that_were_not_read_to_their_end_have_no_digest(tmp_path):
    images = vg.labelled(folder_of_classes(tmp_path / "all"), size=2)
    next(iter(images.batches(4)))
    assert images.sha256 is None
    assert "sha256" not in known(images)
    assert sum(map(len, images.batches(4))) == 15
    assert known(images)["sha256"] == known(images[:])["sha256"] == known(images.pixels)["sha256"]


def test_measurements_of_recorded_predictions_say_whose_they_are():
    found, model = vg.reliability(vg.recorded_predictions("vit"), resamples=5).attrs, vg.load("vit")
    assert (found["model"], found["weights"]) == ("vit", model.digest)
    assert json.loads(found["preprocessing"]) == model.preprocessing
    assert "Tiny-ImageNet" in json.loads(found["inputs"])["images"]["source"]


def test_damaged_images_are_counted_into_the_measurement(tmp_path):
    model = random_network()
    whole = vg.labelled(folder_of_classes(tmp_path / "whole"), size=2)
    hurt = vg.labelled(folder_of_classes(tmp_path / "hurt", damaged=[(0, 1), (3, 2)]), size=2)
    model.batch_size = 4
    found = vg.predict(model, hurt)
    kept = [i for i in range(15) if i not in (1, 11)]
    assert found.skipped == 2
    assert torch.equal(found.labels, whole.labels[kept])
    torch.testing.assert_close(found.logits, vg.predict(model, whole).logits[kept], rtol=0, atol=1e-12)
    table = vg.reliability(found)
    assert '"skipped": 2' in table.attrs["parameters"]
    assert int(table["count"].sum()) == 13


def test_images_without_labels_are_refused():
    with pytest.raises(LabelError, match="have no labels"):
        vg.predict(random_network(), vg.samples("photographs", size=2))


def test_validation_predictions_of_an_embedded_network_are_the_recorded_ones():
    assert torch.equal(vg.validation_predictions("vit").logits, vg.recorded_predictions("vit").logits)
    with pytest.raises(ModelError, match="no model"):
        vg.validation_predictions("nobody")
    assert vg.tier_data() == ("tiny-imagenet", "valid")


def test_imagenet_is_seen_as_the_checkpoint_says_and_again_to_the_bit(hub: StandInHub, tmp_path, monkeypatch):
    address = CATALOGUE["resnet50"].source
    network = timm_checkpoint("resnet50", hub.folder / "models" / address, classes=1000)
    pictures = {f"val/{wnid}/{i}.JPEG": encoded(10 * i + k) for k, wnid in enumerate(WNIDS) for i in range(2)}
    put(tmp_path / "imagenet", pictures)
    monkeypatch.setenv("VITGEOM_DATA", str(tmp_path))
    first, again = (vg.validation_predictions("resnet50", n=5) for _ in range(2))
    assert torch.equal(first.logits, again.logits)
    assert torch.equal(first.labels, again.labels)
    assert first.logits.shape == (5, 1000)
    # the same pictures through timm's own transform and network
    chosen = vg.labelled("imagenet", "valid", n=5, seed=0)
    own = timm.data.create_transform(**timm.data.resolve_data_config({}, model=vg.load("resnet50").module))
    by_name = {name.split("/")[-2] + name.split("/")[-1]: content for name, content in pictures.items()}
    for name, label, logits in zip(chosen.names, first.labels.tolist(), first.logits, strict=True):
        content = by_name["".join(name.split("/")[-2:])]
        with torch.no_grad():
            expected = network(own(Image.open(io.BytesIO(content)).convert("RGB"))[None])[0]
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
        assert label == (999 if WNIDS[3] in name else WNIDS.index(name.split("/")[-2]))


def test_without_imagenet_the_samples_stand_in(hub: StandInHub, monkeypatch):
    timm_checkpoint("resnet50", hub.folder / "models" / CATALOGUE["resnet50"].source, classes=1000)
    monkeypatch.delenv("VITGEOM_DATA", raising=False)
    found = vg.validation_predictions("resnet50")
    assert "foolbox" in found.source
    assert torch.equal(found.labels, vg.samples("imagenet").labels)
