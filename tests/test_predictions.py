"""Logits on labelled images: in batches, in order, with what is missing counted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import vitgeom_nb as vg
from vitgeom_nb.errors import LabelError, ModelError

from .tiny_networks import random_network


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
    found = vg.predict(model, images, batch=4)
    with torch.no_grad():
        expected = model.logits(model.pixels(images))
    torch.testing.assert_close(found.logits, expected, rtol=0, atol=1e-12)
    assert torch.equal(found.labels, images.labels)
    assert found.skipped == 0
    assert str(tmp_path) in found.source


def test_damaged_images_are_counted_into_the_measurement(tmp_path):
    model = random_network()
    whole = vg.labelled(folder_of_classes(tmp_path / "whole"), size=2)
    hurt = vg.labelled(folder_of_classes(tmp_path / "hurt", damaged=[(0, 1), (3, 2)]), size=2)
    found = vg.predict(model, hurt, batch=4)
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
