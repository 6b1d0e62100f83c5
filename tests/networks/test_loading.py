import copy
import hashlib
import json
import shutil

import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.calibration import predictions as calibration
from vitgeom_nb.core.random_directions import unit
from vitgeom_nb.errors import ArgumentError, DataError, ImageError, ModelError, WeightsError
from vitgeom_nb.networks import embedded as zoo
from vitgeom_nb.networks.differentiation import all_derivatives
from vitgeom_nb.networks.embedded import FAMILIES

from ..conftest import Affine, wrap_raw

NAMES = tuple(FAMILIES)


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
        ("cat.png", "torch tensor, a NumPy array"),
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


@pytest.mark.parametrize("damage", ["cut", "empty", "list", "key", "type", "binary"])
def test_a_damaged_card_is_one_sentence_with_its_name(copied_zoo, damage):
    path = copied_zoo / "vit.json"
    whole = json.loads(path.read_text())
    content = {
        "cut": path.read_text()[:200],
        "empty": "",
        "list": "[]",
        "key": json.dumps({key: value for key, value in whole.items() if key != "sha256"}),
        "type": json.dumps(whole | {"classes": 200}),
        "binary": None,
    }[damage]
    path.write_bytes(bytes(range(256)) if content is None else content.encode())
    zoo.card.cache_clear()
    for use in (lambda: vg.load("vit"), lambda: vg.models("embedded")):
        with pytest.raises(WeightsError, match=r"vit\.json cannot be read \(.+\); reinstall") as caught:
            use()
        assert "\n" not in str(caught.value)


def test_damaged_records_of_a_zoo_are_one_sentence_with_their_name(copied_zoo, monkeypatch):
    path = copied_zoo / "vit.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"history": [{"epochs": 1}]}))
    zoo.card.cache_clear()
    with pytest.raises(ModelError, match=r"vit\.json cannot be read \(it has no 'epoch'\)"):
        vg.training_history("vit")
    predictions = copied_zoo / "vit.predictions.npz"
    whole = calibration.zoo_file("vit.predictions.npz").read_bytes()
    monkeypatch.setattr(calibration, "zoo_file", lambda name: copied_zoo / name)
    for content in (b"", whole[:1000], whole[:-1000], whole[:9000] + whole[9100:], b"no archive"):
        predictions.write_bytes(content)
        with pytest.raises(DataError, match=r"vit\.predictions\.npz cannot be read"):
            vg.recorded_predictions("vit")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_config_is_one_sentence_with_its_name(tmp_path, content):
    from vitgeom_nb.networks.from_transformers import _config

    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(WeightsError, match=r"config\.json cannot be read \(.+\); delete it"):
        _config(tmp_path / "config.json")


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
    assert set(vg.models().index) == {*NAMES, *vg.models("pretrained").index, *vg.models("paper").index}
    with pytest.raises(ArgumentError, match="embedded, controls, pretrained, paper, published"):
        vg.models("papers")


def test_tier_comes_from_the_environment(monkeypatch):
    monkeypatch.delenv("VITGEOM_TIER", raising=False)
    assert vg.tier() == "embedded"
    monkeypatch.setenv("VITGEOM_TIER", "paper")
    assert vg.tier() == "paper"
    monkeypatch.setenv("VITGEOM_TIER", "big")
    with pytest.raises(ArgumentError, match="VITGEOM_TIER"):
        vg.tier()


def test_models_loaded_by_name_compute_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("VITGEOM_DEVICE", "cpu:0")
    for name in NAMES:
        assert vg.load(name).device == torch.device("cpu", 0)
    monkeypatch.setenv("VITGEOM_DEVICE", "nowhere")
    for name in NAMES:
        with pytest.raises(ArgumentError, match=r"^There is no device 'nowhere' that VITGEOM_DEVICE names here: .*\.$"):
            vg.load(name)
        assert vg.load(name, device="cpu").device == torch.device("cpu")
    monkeypatch.delenv("VITGEOM_DEVICE")
    assert vg.load("vit").device == torch.device("cpu")


def test_digest_of_a_wrapped_module_depends_on_all_that_it_computes():
    same = wrap_raw(Affine(5, 4), 4).digest, wrap_raw(Affine(5, 4), 4).digest
    assert same[0] == same[1] != wrap_raw(Affine(5, 4, seed=1), 4).digest
    whole = {"mean": [0.5] * 3, "std": [0.5] * 3, "size": 4}
    others = [whole, {**whole, "mean": [0.4] * 3}, {**whole, "std": [0.4] * 3}]
    digests = {vg.wrap(Affine(5, 4), **options).digest for options in others}
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5), torch.nn.ReLU())
    smooth = torch.nn.Sequential(*net[:2], torch.nn.GELU())
    digests |= {vg.wrap(module, **whole).digest for module in (net, smooth)}
    assert len(digests) == 5


def test_batches_suit_the_device_unless_told(affine):
    by_size = {32: 32, 64: 32, 128: 21, 224: 8, 512: 8}
    for size, batch in by_size.items():
        model = copy.copy(affine)
        model.size = (size, size)
        assert model.batch_size == batch
        model.device = torch.device("cuda")
        assert model.batch_size == 256
    affine.batch_size = 3
    assert affine.batch_size == affine.in_dtype(torch.float32).batch_size == 3
    for wrong in (0, 2.5, "many"):
        with pytest.raises(ArgumentError, match="pass at least one image at a time"):
            affine.batch_size = wrong
    assert affine.batch_size == 3


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
