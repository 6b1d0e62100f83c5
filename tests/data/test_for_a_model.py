"""Images brought as a model takes them: at its size, by its own preprocessing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vitgeom_nb as vg
from vitgeom_nb.data import samples
from vitgeom_nb.errors import ArgumentError, ImageError, ModelError
from vitgeom_nb.networks.vision_model import VisionModel


def oblong(preprocess=None) -> VisionModel:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 4 * 6, 5))
    return VisionModel(
        net, name="oblong", family="custom", size=(4, 6), mean=[0.0] * 3, std=[1.0] * 3,
        embed=lambda m, x: m(x), logits=None, preprocess=preprocess,
    )  # fmt: skip


def inverted(picture: Image.Image) -> torch.Tensor:
    pixels = torch.from_numpy(np.asarray(picture.convert("RGB").resize((6, 4))).copy()).permute(2, 0, 1)
    return 1 - pixels / 255


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_samples_come_by_the_models_own_preprocessing(name: str) -> None:
    plain, own = oblong(), oblong(inverted)
    images = vg.samples(name, n=2, model=plain)
    assert torch.equal(images.pixels, vg.samples(name, n=2, size=(4, 6)).pixels)
    assert plain.embeddings(images).shape == (2, 5)
    by_hand = vg.samples(name, n=2, model=own).pixels
    assert not torch.equal(by_hand, images.pixels)
    if name == "photographs":
        package, file = samples.PHOTOGRAPHS["chelsea"]
        assert torch.equal(by_hand[0], inverted(Image.open(samples._shipped(package) / file)))


def test_labelled_images_come_by_the_models_own_preprocessing(tmp_path: Path) -> None:
    for kind, shade in (("dark", 40), ("light", 200)):
        (tmp_path / kind).mkdir()
        Image.new("RGB", (9, 9), (shade,) * 3).save(tmp_path / kind / "picture.png")
    assert vg.labelled(tmp_path, model=oblong()).pixels.shape == (2, 3, 4, 6)
    pixels = vg.labelled(tmp_path, model=oblong(inverted)).pixels
    torch.testing.assert_close(pixels.mean((1, 2, 3)), 1 - torch.tensor([40.0, 200.0]) / 255)


def test_what_prepares_no_pictures_is_no_model(tmp_path: Path) -> None:
    for ask in (lambda **given: vg.samples(**given), lambda **given: vg.labelled(tmp_path, **given)):
        with pytest.raises(ModelError, match=r"takes a model .* or None as model, not 'vit'"):
            ask(model="vit")


def test_only_one_decides_on_the_size(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="size and model both decide"):
        vg.samples(size=4, model=oblong())
    Image.new("RGB", (9, 9)).save(tmp_path / "picture.png")
    with pytest.raises(ArgumentError, match="transform and model both decide"):
        vg.labelled(tmp_path, transform=inverted, model=oblong())
    with pytest.raises(ImageError, match=r"oblong takes 4 x 6 pixels, not 8 x 8; samples\(\.\.\., model=model\)"):
        oblong().pixels(vg.samples(size=8))
