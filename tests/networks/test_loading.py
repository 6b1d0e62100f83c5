import copy
import hashlib
import shutil

import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb import zoo
from vitgeom_nb.derivatives import all_derivatives
from vitgeom_nb.directions import unit
from vitgeom_nb.errors import ArgumentError, ImageError, ModelError, WeightsError

from .conftest import Affine, wrap_raw

NAMES = ("vit", "swin", "resnet", "mobilenetv2")


@pytest.fixture(scope="module")
def images():
    return vg.samples("imagenet", n=2, size=64)


@pytest.mark.parametrize("name", NAMES)
def test_embedded_models_keep_their_promises(name, images):
    model = vg.load(name)
    x = model.pixels(images)
    z, y = model.embed(x), model.logits(x)
    row = vg.models().loc[name]
    assert z.shape == (2, model.dim) == (2, row["embedding_dim"])
    assert y.shape == (2, 200) == (2, len(model.classes))
    # the embedding is what the classifier head reads
    torch.testing.assert_close(model.module.get_classifier()(z), y, rtol=0, atol=1e-5)
    # normalisation lives inside
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    by_hand = model.module((x - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    torch.testing.assert_close(by_hand, y, rtol=0, atol=1e-5)
    assert not model.module.training
    assert not any(p.requires_grad for p in model.module.parameters())
    assert row["parameters"] == sum(p.numel() for p in model.module.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_images_of_a_batch_do_not_see_each_other(name, images):
    model = vg.load(name, dtype=torch.float64)
    x = model.pixels(images)
    torch.testing.assert_close(model.embed(x)[1:], model.embed(x[1:]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_derivative_is_right(name, images):
    model = vg.load(name, dtype=torch.float64)
    x = model.pixels(images)[:1]
    draw = torch.Generator().manual_seed(0)
    v = unit(torch.randn(x.shape, generator=draw, dtype=torch.float64))
    w = torch.randn(1, model.dim, generator=draw, dtype=torch.float64)
    with all_derivatives():
        z, jv = torch.func.jvp(model.embed, (x,), (v,))
        pull = torch.func.vjp(model.embed, x)[1]
        rows = torch.vmap(lambda c: pull(c)[0])(torch.stack([w, 2 * w]))
    inner = (w * jv).sum()
    torch.testing.assert_close((pull(w)[0] * v).sum(), inner, rtol=1e-12, atol=1e-12 * float(w.norm() * jv.norm()))
    torch.testing.assert_close(rows[1], 2 * rows[0])
    torch.testing.assert_close(z, model.embed(x), rtol=0, atol=1e-10)
    h = 1e-6 if name in ("vit", "swin") else 1e-8  # a step short enough to meet no kink of a ReLU
    difference = (model.embed(x + h * v) - model.embed(x - h * v)) / (2 * h)
    torch.testing.assert_close(jv, difference, rtol=0, atol=1e-6 * float(jv.norm()))


@pytest.mark.parametrize("name", ["vit", "swin"])
def test_second_derivatives_of_smooth_networks_equal_finite_differences(name, images):
    model = vg.load(name, dtype=torch.float64)
    x = model.pixels(images)[:1]
    v = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def slope(point):
        return torch.func.jvp(model.embed, (point,), (v,))[1]

    with all_derivatives():
        second = torch.func.jvp(slope, (x,), (v,))[1]
        h = 1e-5
        difference = (slope(x + h * v) - slope(x - h * v)) / (2 * h)
    assert float((second - difference).norm() / difference.norm()) < 1e-6


def test_wrap_leaves_the_module_alone_and_copies_it():
    module = Affine(5, 4)
    module.train()
    model = wrap_raw(module, 4, name="mine")
    assert module.training
    assert module.weight.requires_grad
    with torch.no_grad():
        module.weight.zero_()
    x = torch.rand(2, 3, 4, 4)
    assert float(model.embed(x).std()) > 0
    assert (model.dim, model.family, model.has_logits) == (5, "custom", False)
    with pytest.raises(ModelError, match="no classifier head"):
        model.logits(x)


def test_wrap_finds_embedding_and_logits_of_a_timm_module(images):
    vit = vg.load("vit")
    again = vg.wrap(vit.module, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), size=64)
    x = vit.pixels(images)
    torch.testing.assert_close(again.embed(x), vit.embed(x), rtol=0, atol=0)
    torch.testing.assert_close(again.logits(x), vit.logits(x), rtol=0, atol=0)


def test_normalisation_of_a_wrapped_module():
    model = vg.wrap(torch.nn.Flatten(), mean=[0.1, 0.2, 0.3], std=[0.5, 0.25, 2.0], size=1, dtype=torch.float64)
    out = model.embed(torch.tensor([0.6, 0.7, 0.8], dtype=torch.float64).view(1, 3, 1, 1))
    torch.testing.assert_close(out, torch.tensor([[1.0, 2.0, 0.25]], dtype=torch.float64))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (torch.nn.Identity(), r"\(B, D\)"),
        (torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(7, 2)), "cannot embed"),
        (torch.nn.Flatten(0), r"\(B, D\)"),
    ],
)
def test_a_module_without_a_b_by_d_output_is_refused(module, message):
    with pytest.raises(ModelError, match=message):
        wrap_raw(module, 4)


def test_wrap_takes_modules_only():
    with pytest.raises(ModelError, match=r"torch\.nn\.Module"):
        wrap_raw(lambda x: x, 4)


def test_unknown_model_names_close_matches():
    with pytest.raises(ModelError, match="did you mean 'resnet'"):
        vg.load("resnett")
    with pytest.raises(ModelError, match="wrap"):
        vg.load("zzz")


def good(size=4):
    return torch.full((2, 3, size, size), 0.5)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 3, 4, 4)), "torch tensor"),
        (good()[0], r"\(B, 3, H, W\)"),
        (good()[:, :2], r"\(B, 3, H, W\)"),
        (good()[:0], "at least one"),
        (good(5), "4 x 4 pixels, not 5 x 5"),
        ((good() * 255).byte(), "divide 8-bit pixels by 255"),
        (good() + 0.6, r"from 1.1 to 1.1"),
        (good() * float("nan"), "NaN"),
        (good() - 0.51, "lie in"),
    ],
)
def test_bad_images_are_one_sentence(affine, images, message):
    with pytest.raises(ImageError, match=message) as caught:
        affine.pixels(images)
    assert "\n" not in str(caught.value)


def test_good_images_come_back_in_the_models_dtype(affine):
    assert affine.pixels(good()).dtype == torch.float64


@pytest.fixture
def copied_zoo(tmp_path, monkeypatch):
    for file in ("vit.json", "vit.safetensors"):
        shutil.copy(zoo.zoo_file(file), tmp_path / file)
    monkeypatch.setattr(zoo, "zoo_file", lambda name: tmp_path / name)
    zoo.card.cache_clear()
    yield tmp_path
    zoo.card.cache_clear()


def test_damaged_weights_are_refused_whatever_the_damage(copied_zoo):
    path = copied_zoo / "vit.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[:-100], bytes([whole[0] ^ 1]) + whole[1:], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match="damaged"):
            vg.load("vit")
    path.write_bytes(whole)
    assert vg.load("vit").digest == hashlib.sha256(whole).hexdigest()


def test_missing_weights_and_cards_say_what_to_do(copied_zoo):
    (copied_zoo / "vit.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"missing.*reinstall"):
        vg.load("vit")
    (copied_zoo / "vit.json").unlink()
    zoo.card.cache_clear()
    with pytest.raises(WeightsError, match="make zoo"):
        vg.load("vit")


def test_a_file_that_is_not_safetensors_is_refused_even_with_its_digest(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"hello")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        zoo.read_weights(path, hashlib.sha256(b"hello").hexdigest())


def test_table_of_models():
    table = vg.models("embedded")
    assert list(table.index) == list(NAMES)
    assert set(table["family"]) == {"transformer", "CNN"}
    assert (table["parameters"].between(1e6, 3e6)).all()
    assert set(vg.models().index) == {*NAMES, *vg.models("paper").index}
    with pytest.raises(ArgumentError, match="embedded, paper"):
        vg.models("papers")


def test_tier_comes_from_the_environment(monkeypatch):
    monkeypatch.delenv("VITGEOM_TIER", raising=False)
    assert vg.tier() == "embedded"
    monkeypatch.setenv("VITGEOM_TIER", "paper")
    assert vg.tier() == "paper"
    monkeypatch.setenv("VITGEOM_TIER", "big")
    with pytest.raises(ArgumentError, match="VITGEOM_TIER"):
        vg.tier()


def test_digest_of_a_wrapped_module_depends_on_its_weights_only():
    same = wrap_raw(Affine(5, 4), 4).digest, wrap_raw(Affine(5, 4), 4).digest
    assert same[0] == same[1] != wrap_raw(Affine(5, 4, seed=1), 4).digest


def test_batches_suit_the_device_unless_told(affine):
    by_size = {32: 32, 64: 32, 128: 21, 224: 8, 512: 8}
    for size, batch in by_size.items():
        model = copy.copy(affine)
        model.size = size
        assert model.batch_size() == batch
        model.device = torch.device("cuda")
        assert model.batch_size() == 256
    assert affine.batch_size(3) == 3
    with pytest.raises(ArgumentError, match="batch is 0; pass at least one image"):
        vg.direction_change(affine, torch.full((1, 3, affine.size, affine.size), 0.5), directions=1, batch=0)


def test_a_watched_model_is_the_same_model_and_tells_of_every_pass(affine, pixels):
    passes = []
    watched = affine.watched(lambda: passes.append(1))
    torch.testing.assert_close(watched.embed(pixels), affine.embed(pixels))
    torch.testing.assert_close(watched.logits(pixels), affine.logits(pixels))
    assert len(passes) == 2
    assert (watched.name, watched.digest, watched.dim) == (affine.name, affine.digest, affine.dim)

    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        vg.jacobian(affine.watched(stop), pixels)
