"""Corrupted images against Pillow and arithmetic, and what a network that is known says of them."""

import io

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image, ImageEnhance

import vitgeom_nb as vg
from vitgeom_nb import errors
from vitgeom_nb.calibration.corruptions import CORRUPTIONS, corrupted
from vitgeom_nb.calibration.tables import corruption_summary
from vitgeom_nb.statistics.intervals import ratio_interval

from ..conftest import wrap_raw
from ..tiny_networks import pixels, random_network


def picture(side=64):
    own = torch.Generator().manual_seed(0)
    rough = torch.rand(1, 3, 8, 8, generator=own)
    smooth = torch.nn.functional.interpolate(rough, size=side, mode="bicubic").clamp(0, 1)
    return (smooth[0] * 255).round().to(torch.uint8)


def as_pil(image):
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def difference(a, pil):
    return np.abs(a.permute(1, 2, 0).numpy().astype(int) - np.asarray(pil).astype(int))


@pytest.mark.parametrize("strength", [1, 2, 3])
def test_brightness_and_contrast_are_those_of_pillow(strength):
    image = picture()
    size = {name: CORRUPTIONS[name][1][strength - 1] for name in CORRUPTIONS}
    bright = ImageEnhance.Brightness(as_pil(image)).enhance(size["brightness"])
    assert difference(corrupted(image, "brightness", strength, 0), bright).max() <= 1
    flat = ImageEnhance.Contrast(as_pil(image)).enhance(size["contrast"])
    assert difference(corrupted(image, "contrast", strength, 0), flat).max() <= 1


@pytest.mark.parametrize("strength", [1, 2, 3])
def test_jpeg_is_that_of_pillow(strength):
    image, file = picture(), io.BytesIO()
    as_pil(image).save(file, "jpeg", quality=CORRUPTIONS["jpeg"][1][strength - 1])
    ours = corrupted(image, "jpeg", strength, 0)
    assert difference(ours, Image.open(file)).mean() < 0.5  # they may round colours differently
    assert (ours.int() - image.int()).abs().float().mean() > 1


def test_noise_has_its_size_and_depends_on_seed_and_image_alone():
    grey = torch.full((3, 64, 64), 128, dtype=torch.uint8)
    before = torch.random.get_rng_state()
    for strength, sigma in enumerate(CORRUPTIONS["noise"][1], start=1):
        noise = corrupted(grey, "noise", strength, 0).float() / 255 - 128 / 255
        assert float(noise.std()) == pytest.approx(sigma, rel=0.05)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(corrupted(grey, "noise", 1, 0), corrupted(grey, "noise", 1, 0))
    assert not torch.equal(corrupted(grey, "noise", 1, 0), corrupted(grey, "noise", 1, 1))


@pytest.mark.parametrize("side", [64, 224])
def test_blur_is_a_gaussian_that_shrinks_with_the_side(side):
    line = torch.zeros(3, side, side, dtype=torch.uint8)
    line[:, side // 2, :] = 255  # across it stands the kernel
    for strength, sigma in enumerate(CORRUPTIONS["blur"][1], start=1):
        profile = corrupted(line, "blur", strength, 0)[0, :, side // 2].numpy()
        kernel = np.exp(-0.5 * ((np.arange(side) - side // 2) / (sigma * side / 224)) ** 2)
        np.testing.assert_allclose(profile, 255 * kernel / kernel.sum(), atol=1.5)


def test_pixelation_leaves_as_many_values_as_the_small_image_has():
    image = picture(64)
    for strength, share in enumerate(CORRUPTIONS["pixelate"][1], start=1):
        rows = corrupted(image, "pixelate", strength, 0)[0]
        changes = (rows[1:] != rows[:-1]).any(1).sum() + 1
        assert int(changes) == round(share * 64)


def test_a_network_of_brightness_changes_its_label_where_it_must():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    net[1].weight.data = torch.stack([torch.ones(48), -torch.ones(48)]) / 48
    net[1].bias.data = torch.tensor([-0.7, 0.7])  # class 0 from a mean of 0.7 on
    model = wrap_raw(net, 4, embed=lambda m, x: m(x), logits=lambda m, x: m(x), name="bright")
    grey = torch.stack([torch.full((3, 4, 4), v) for v in (0.4, 0.5, 0.6, 0.8)])
    found = vg.corrupted_predictions(model, grey, torch.tensor([1, 1, 1, 0]), corruptions=("brightness",), logits=True)
    expected = np.round(np.round(np.array([0.4, 0.5, 0.6, 0.8]) * 255)[:, None] * [1.3, 1.6, 2.0]).clip(0, 255) / 255
    np.testing.assert_array_equal(found.corrupted_predicted[:, 0], np.where(expected > 0.7, 0, 1))
    np.testing.assert_allclose(found.corrupted_logits[:, 0, :, 0], expected - 0.7, atol=1 / 255)
    np.testing.assert_allclose(found.confidence, torch.from_numpy(found.logits.values).softmax(1).amax(1))
    assert found.predicted.values.tolist() == [1, 1, 1, 0]


def test_neither_order_nor_batch_matters():
    model, x = random_network(), pixels(5)
    labels = torch.arange(5)
    whole = vg.corrupted_predictions(model, x, labels, logits=True)
    model.batch_size = 2
    back = vg.corrupted_predictions(model, x.flip(0), labels.flip(0), logits=True)
    np.testing.assert_allclose(back.corrupted_logits[::-1], whole.corrupted_logits, rtol=1e-12)
    assert whole.sizes["corruption"] == 6
    assert whole.sizes["strength"] == 3


@pytest.mark.parametrize("wrong", [(), ("fog",), ("blur", "blur")])
def test_unknown_corruptions_are_refused(wrong):
    with pytest.raises(errors.ArgumentError, match="pixelate"):
        vg.corrupted_predictions(random_network(), pixels(1), torch.tensor([0]), corruptions=wrong)


def test_the_summary_has_what_is_left_under_each_corruption_and_under_all():
    first = (np.arange(100) < 80).astype(int)
    under = np.stack(
        [np.stack([first * (np.arange(100) >= c) for c in cuts], 1) for cuts in ((8, 40, 80), (0, 20, 60))], 1
    )
    seen = xr.Dataset(
        {
            "label": ("image", np.ones(100, dtype=int)),
            "predicted": ("image", first),
            "corrupted_predicted": (("image", "corruption", "strength"), under),
        },
        {"corruption": ["noise", "blur"], "strength": [1, 2, 3]},
        {"model": "vit"},
    )
    (row,) = corruption_summary([seen], {"vit": "transformer"}).to_dict("records")
    assert (row["class"], row["noise"], row["blur"]) == ("transformer", 0.47, 0.67)  # 112 and 160 of 240
    value, low, high = ratio_interval((under == 1).mean((1, 2)), first)
    assert value == pytest.approx(272 / 480)
    assert row["mean"] == f"{value:.3f} [{low:.3f}, {high:.3f}]"
