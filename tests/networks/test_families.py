"""Every family of the papers, loaded from a hub by the real clients: embeddings, heads, derivatives, preprocessing.

`python -m tests.test_families` prints the table of errors.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import transformers
from PIL import Image

import vitgeom_nb as vg
from vitgeom_nb.core.random_directions import unit
from vitgeom_nb.errors import ArgumentError, ModelError, WeightsError
from vitgeom_nb.networks.catalogue import CATALOGUE
from vitgeom_nb.networks.differentiation import all_derivatives
from vitgeom_nb.networks.from_pip import PACKAGES

from ..stand_in_hub import StandInHub, point_at
from ..tiny_checkpoints import CLASSES, HF, TIMM, hf_checkpoint, timm_checkpoint

FAMILIES = (*HF, *TIMM)
WORDS = ["cat", "dog", "boat"]
CAPTIONED = ("clip", "siglip")


def address(name: str) -> str:
    return f"hf/tiny/{name}" if name in HF else CATALOGUE[name].source


def write(name: str, folder: Path) -> torch.nn.Module:
    return hf_checkpoint(name, folder) if name in HF else timm_checkpoint(name, folder)


class Served:
    """All checkpoints on a stand-in hub, and the models loaded from it, each once."""

    def __init__(self, folder: Path) -> None:
        self.hub = StandInHub(folder / "hub")
        self.cache = folder / "hf"
        self.networks: dict[str, torch.nn.Module] = {}
        self._models: dict[tuple[str, torch.dtype], vg.VisionModel] = {}
        for name in FAMILIES:
            repo = address(name).removeprefix("hf/")
            self.networks[name] = write(name, folder / "hub" / "models" / repo)

    def model(self, name: str, dtype: torch.dtype = torch.float64) -> vg.VisionModel:
        key = (name, dtype)
        if key not in self._models:
            classes = WORDS if name in CAPTIONED else None
            self._models[key] = vg.load(address(name), dtype=dtype, classes=classes)
        return self._models[key]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        made = Served(tmp_path_factory.mktemp("families"))
        with made.hub:
            point_at(made.hub.url, made.cache, patch)
            yield made


def pictures(model: vg.VisionModel, count: int = 2, size: int | None = None) -> torch.Tensor:
    draw, sides = torch.Generator().manual_seed(3), (size, size) if size else model.size
    return torch.rand(count, 3, *sides, generator=draw, dtype=torch.float64) * 0.8 + 0.1


def normalised(model: vg.VisionModel, x: torch.Tensor) -> torch.Tensor:
    return (x - model._mean) / model._std


def by_hand(name: str, network: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The embedding through the published network's own parts, without this package."""
    if name in CAPTIONED:
        return network.get_image_features(pixel_values=x).pooler_output
    if name in ("beit", "swin"):
        return getattr(network, name)(pixel_values=x).pooler_output
    if name in ("deit", "vit"):
        return getattr(network, name)(pixel_values=x).last_hidden_state[:, 0]
    if name in ("vitmsn", "dinov2", "vit-headless"):
        return network(pixel_values=x).last_hidden_state[:, 0]
    if name == "resnet":
        return network.resnet(pixel_values=x).pooler_output.flatten(1)
    if name == "vitmae":  # every patch in its place, none masked: patch embedding, positions, class token, encoder
        inner = network.vit
        positions = inner.embeddings.position_embeddings
        tokens = inner.embeddings.patch_embeddings(x) + positions[:, 1:]
        first = (inner.embeddings.cls_token + positions[:, :1]).expand(len(x), -1, -1)
        tokens = torch.cat([first, tokens], 1)
        for layer in inner.encoder.layer if hasattr(inner, "encoder") else inner.layers:
            out = layer(tokens)
            tokens = out[0] if isinstance(out, tuple) else out
        return inner.layernorm(tokens)[:, 0]
    return network.forward_head(network.forward_features(x), pre_logits=True)


@pytest.mark.parametrize("name", FAMILIES)
def test_embedding_is_that_of_the_published_network(served, name):
    model, network = served.model(name), served.networks[name].double()
    x = pictures(model)
    with torch.no_grad():
        expected = by_hand(name, network, normalised(model, x))
        torch.testing.assert_close(model.embed(x), expected, rtol=1e-12, atol=1e-12)
        assert model.dim == expected.shape[1]
        # the same picture embeds the same whatever its neighbours, and every time
        torch.testing.assert_close(model.embed(x)[1:], model.embed(x[1:]), rtol=0, atol=1e-12)
        # the network looks at the picture
        assert float((model.embed(x)[0] - model.embed(x)[1]).norm()) > 1e-3


@pytest.mark.parametrize("name", [n for n in FAMILIES if n not in ("vitmae", "vitmsn", "dinov2", "vit-headless")])
def test_logits_are_those_of_the_published_network(served, name):
    model, network = served.model(name), served.networks[name].double()
    x = pictures(model)
    with torch.no_grad():
        z, y = model.embed(x), model.logits(x)
        if name in CAPTIONED:
            folder = served.hub.folder / "models" / "tiny" / name
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            told = [f"a photo of a {word}." for word in WORDS]
            tokens = tokenizer(told, padding="max_length", max_length=16, return_tensors="pt")
            whole = network(pixel_values=normalised(model, x), **tokens)
            torch.testing.assert_close(y, whole.logits_per_image, rtol=1e-12, atol=1e-12)
            assert model.classes == WORDS
        elif name in HF:
            torch.testing.assert_close(y, network(pixel_values=normalised(model, x)).logits, rtol=1e-12, atol=1e-12)
            assert model.classes == [f"class {i}" for i in range(CLASSES)]
        else:
            torch.testing.assert_close(y, network(normalised(model, x)), rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(network.get_classifier()(z), y, rtol=1e-12, atol=1e-12)
        if name in HF and name != "deit":  # a distilled transformer reads two tokens
            (head,) = model.module.heads.values()
            torch.testing.assert_close(head(z), y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["vitmae", "vitmsn", "dinov2", "vit-headless"])
def test_a_checkpoint_without_a_head_has_no_logits(served, name):
    model = served.model(name)
    assert not model.has_logits
    with pytest.raises(ModelError, match="has no classifier head"):
        model.logits(pictures(model))


def derivative_errors(model: vg.VisionModel, kinked: bool) -> dict[str, float]:
    """Relative errors of every kind of derivative, in float64: exact identities, and central differences."""
    x = pictures(model, 1, 32 if kinked else None)  # fewer units, fewer kinks on the way of a difference
    draw = torch.Generator().manual_seed(4)
    v, u = (unit(torch.randn(x.shape, generator=draw, dtype=torch.float64)) for _ in range(2))
    w = unit(torch.randn(1, model.dim, generator=draw, dtype=torch.float64))

    def value(p: torch.Tensor) -> torch.Tensor:
        return (w * model.embed(p)).sum()

    def gradient(p: torch.Tensor) -> torch.Tensor:
        p = p.detach().requires_grad_()
        return torch.autograd.grad(value(p), p)[0]

    h = 1e-7 if kinked else 1e-5
    with all_derivatives():
        _, jv = torch.func.jvp(model.embed, (x,), (v,))
        pull = torch.func.vjp(model.embed, x)[1]
        (jw,) = pull(w)
        cotangents = torch.eye(model.dim, dtype=torch.float64)[:8, None]
        rows = torch.vmap(lambda c: pull(c)[0])(cotangents)
        first = torch.func.jacrev(lambda p: model.embed(p)[0, :8])(x)
        p = x.clone().requires_grad_()
        (g,) = torch.autograd.grad(value(p), p, create_graph=True)
        (second,) = torch.autograd.grad((g * v).sum(), p)
        batched = torch.vmap(lambda q: model.embed(q[None])[0])(torch.cat([x, x + 0.01 * v]))
        with torch.no_grad():
            difference = (model.embed(x + h * v) - model.embed(x - h * v)) / (2 * h)
            plain = model.embed(torch.cat([x, x + 0.01 * v]))
        bend = float(((gradient(x + h * v) - gradient(x - h * v)) / (2 * h) * u).sum())
    single = torch.stack(
        [torch.autograd.grad(model.embed(q := x.clone().requires_grad_())[0, k], q)[0] for k in range(8)]
    )
    scale = float(second.norm())
    return {
        "adjoint": abs(float((w * jv).sum() - (jw * v).sum())) / float(jv.norm()),
        "jvp": float((jv - difference).norm() / jv.norm()),
        "vjp": float((jw - gradient(x)).norm() / jw.norm()),
        "vmap": max(float((rows - single).norm() / single.norm()), float((batched - plain).norm() / plain.norm())),
        "jacrev": float((first - single[:, 0] if first.ndim == 4 else first - single).norm() / single.norm()),
        # between its kinks a network of ReLUs is linear
        "double backward": scale if kinked else abs(float((second * u).sum()) - bend) / scale,
    }


KINKED = ("resnet", "resnet50", "mobilenetv2_100")


@pytest.mark.parametrize("name", FAMILIES)
def test_every_kind_of_derivative_is_right(served, name):
    errors = derivative_errors(served.model(name), name in KINKED)
    assert errors["adjoint"] < 1e-12
    assert errors["jvp"] < 1e-6
    assert errors["double backward"] < 1e-6
    assert max(errors["vjp"], errors["vmap"], errors["jacrev"]) < 1e-12


# name -> the first block by its dotted name in the published network, and how it is read unless told
BLOCKS = {
    "clip": ("vision_model.encoder.layers.0", "class token"),
    "beit": ("beit.layers.0", "class token"),
    "deit": ("deit.layers.0", "class token"),
    "vitmae": ("layers.0", "class token"),
    "vitmsn": ("layers.0", "class token"),
    "dinov2": ("encoder.layer.0", "class token"),
    "siglip": ("vision_model.encoder.layers.0", "mean over tokens"),
    "vit": ("vit.layers.0", "class token"),
    "vit-headless": ("layers.0", "class token"),
    "swin": ("swin.encoder.layers.0.blocks.0", "mean over tokens"),
    "resnet": ("resnet.encoder.stages.0.layers.0", "mean over places"),
    "swin-t": ("layers.0.blocks.0", "mean over places"),
    "vit-b16": ("blocks.0", "class token"),
    "resnet50": ("layer1.0", "mean over places"),
    "mobilenetv2_100": ("blocks.0.0", "mean over places"),
}


def block_by_hand(name: str, network: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What the first block of the published network gives in a whole pass, as a vector."""
    block, read = BLOCKS[name]
    given: list[torch.Tensor] = []
    part = (network.vit if name == "vitmae" else network).get_submodule(block)
    handle = part.register_forward_hook(lambda _, __, out: given.append(out[0] if isinstance(out, tuple) else out))
    by_hand(name, network, x)
    handle.remove()
    if read == "class token":
        return given[0][:, 0]
    return given[0].mean(1 if read == "mean over tokens" else (1, 2) if name == "swin-t" else (2, 3))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_read_at_its_blocks(served, name):
    model, network = served.model(name), served.networks[name].double()
    layer, read = ("body." if name in HF else "") + BLOCKS[name][0], BLOCKS[name][1]
    inner, x = model.at(layer), pictures(model)
    assert layer in model.layers
    assert inner.read == read
    with torch.no_grad():
        expected = block_by_hand(name, network, normalised(model, x))
        torch.testing.assert_close(inner.embed(x), expected, rtol=1e-12, atol=1e-12)
        if model.has_logits:
            assert torch.equal(inner.logits(x), model.logits(x))
        for other in model.layers:  # every one of them knows something of the picture
            z = model.at(other).embed(x)
            assert float((z[0] - z[1]).norm()) > 1e-6
    errors = derivative_errors(inner, name in KINKED)
    assert errors["adjoint"] < 1e-12
    assert errors["jvp"] < 1e-6
    assert errors["double backward"] < 1e-6
    assert max(errors["vjp"], errors["vmap"], errors["jacrev"]) < 1e-12


def a_picture(width: int, height: int) -> Image.Image:
    draw = np.random.default_rng(width)
    coarse = Image.fromarray(draw.integers(0, 256, (9, 7, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def preprocessing_error(model: vg.VisionModel, folder: Path, timm_name: str | None) -> float:
    """Largest difference from the checkpoint's own preprocessing, normalisation taken back, over pictures of sizes."""
    worst = 0.0
    for size in ((300, 240), (40, 77), (224, 224)):
        picture = a_picture(*size)
        if timm_name is None:
            own = transformers.AutoImageProcessor.from_pretrained(folder)
            theirs = torch.as_tensor(own(picture, return_tensors="pt")["pixel_values"][0])
        else:
            config = json.loads((folder / "config.json").read_text())["pretrained_cfg"]
            data = timm.data.resolve_data_config({}, pretrained_cfg=config)
            theirs = timm.data.create_transform(**data)(picture)
        mean, std = (t[0].float() for t in (model._mean, model._std))
        worst = max(worst, float((model.preprocess(picture) - (theirs * std + mean)).abs().max()))
    return worst


@pytest.mark.parametrize("name", FAMILIES)
def test_preprocessing_is_the_checkpoints_own(served, name):
    model = served.model(name)
    folder = served.hub.folder / "models" / address(name).removeprefix("hf/")
    assert preprocessing_error(model, folder, name if name in TIMM else None) < 1e-6
    seen = model.preprocess(a_picture(300, 240))
    assert seen.shape == (3, *model.size)
    assert seen.dtype == torch.float32
    assert seen.min() >= 0
    assert seen.max() <= 1
    with pytest.raises(vg.errors.ImageError, match="takes"):
        model.pixels(torch.rand(1, 3, model.size[0] + 8, model.size[1] + 8))


def test_provenance_goes_into_the_measurement(served):
    model = served.model("vit")
    measured = vg.singular_spectrum(model, pictures(model))
    file = served.hub.folder / "models" / "tiny" / "vit" / "model.safetensors"
    assert measured.attrs["weights"] == model.digest == served.hub.etag(file)
    assert measured.attrs["repository"] == "hf/tiny/vit"
    assert measured.attrs["revision"] == served.hub.commit("tiny/vit")
    pinned = vg.load(f"hf/tiny/vit@{served.hub.commit('tiny/vit')}")
    assert pinned.source == model.source


def test_a_second_load_asks_the_hub_nothing(served):
    served.model("beit")
    before = len(served.hub.requests)
    vg.load("hf/tiny/beit")
    assert served.hub.requests[before:] == []


@pytest.fixture
def own_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    with StandInHub(tmp_path / "hub") as stand_in:
        point_at(stand_in.url, tmp_path / "hf", monkeypatch)
        yield stand_in


def test_half_precision_and_pickled_checkpoints(own_hub):
    root = own_hub.folder / "models" / "tiny"
    hf_checkpoint("vit", root / "pickled", pickled=True)
    network = hf_checkpoint("vit", root / "whole")
    network.half().save_pretrained(root / "half")
    for file in ("preprocessor_config.json",):
        shutil.copy(root / "whole" / file, root / "half" / file)
    whole, half, pickled = (vg.load(f"hf/tiny/{name}") for name in ("whole", "half", "pickled"))
    x = pictures(whole).float()
    assert half.embed(x).dtype == torch.float32
    torch.testing.assert_close(half.embed(x), whole.embed(x), rtol=0, atol=2e-2)
    torch.testing.assert_close(pickled.embed(x), whole.embed(x), rtol=0, atol=0)


def test_networks_of_oblong_pictures(own_hub):
    models = own_hub.folder / "models"
    network = hf_checkpoint("resnet", models / "tiny" / "oblong").double()
    oblong = transformers.ViTImageProcessor(size={"height": 40, "width": 72}, do_normalize=True)
    oblong.save_pretrained(models / "tiny" / "oblong")
    model = vg.load("hf/tiny/oblong", dtype=torch.float64)
    assert model.size == (40, 72)
    assert model.preprocess(a_picture(300, 240)).shape == (3, 40, 72)
    x = pictures(model)
    with torch.no_grad():
        torch.testing.assert_close(model.embed(x), by_hand("resnet", network, normalised(model, x)))
    address = CATALOGUE["resnet50"].source
    network = timm_checkpoint("resnet50", models / address).double()
    config = json.loads((models / address / "config.json").read_text())
    config["pretrained_cfg"]["input_size"] = [3, 40, 72]
    (models / address / "config.json").write_text(json.dumps(config))
    model = vg.load("resnet50", dtype=torch.float64)
    assert model.size == (40, 72)
    assert model.preprocess(a_picture(300, 240)).shape == (3, 40, 72)
    x = pictures(model)
    with torch.no_grad():
        torch.testing.assert_close(model.embed(x), by_hand("resnet50", network, normalised(model, x)))


def test_a_network_of_pictures_of_any_shape_is_refused(own_hub):
    root = own_hub.folder / "models" / "tiny" / "any"
    hf_checkpoint("resnet", root)
    transformers.CLIPImageProcessor(size={"shortest_edge": 32}, do_center_crop=False).save_pretrained(root)
    with pytest.raises(ModelError, match="keeps the proportions of pictures"):
        vg.load("hf/tiny/any")


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("code from a checkpoint ran",))


def test_a_pickle_that_runs_code_is_refused(own_hub, capsys):
    root = own_hub.folder / "models" / "tiny" / "evil"
    hf_checkpoint("vit", root)
    (root / "model.safetensors").unlink()
    torch.save({"classifier.weight": Evil()}, root / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        vg.load("hf/tiny/evil")
    assert "code from a checkpoint" not in capsys.readouterr().out


def test_code_of_a_repository_is_never_run(own_hub, tmp_path):
    root = own_hub.folder / "models" / "tiny" / "coded"
    hf_checkpoint("vit", root)
    ran = tmp_path / "ran"
    (root / "modeling_own.py").write_text(f"from pathlib import Path\nPath({str(ran)!r}).write_text('ran')\n")
    config = json.loads((root / "config.json").read_text())
    own = {"AutoConfig": "modeling_own.Config", "AutoModel": "modeling_own.Model"}
    config |= {"model_type": "own", "architectures": ["OwnModel"], "auto_map": own}
    (root / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="cannot be loaded"):
        vg.load("hf/tiny/coded")
    assert not ran.exists()
    assert not any("modeling_own" in request for request in own_hub.requests)


def without(folder: Path, *prefixes: str) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    kept = {k: v for k, v in load_file(path).items() if not k.startswith(prefixes)}
    save_file(kept, path, metadata={"format": "pt"})


def test_missing_weights_are_never_random(own_hub):
    root = own_hub.folder / "models" / "tiny"
    hf_checkpoint("vit", root / "no-head")
    without(root / "no-head", "classifier.")
    assert not vg.load("hf/tiny/no-head").has_logits
    hf_checkpoint("vit", root / "no-norm")
    without(root / "no-norm", "vit.layernorm.")
    with pytest.raises(ModelError, match="lacks 2 weights"):
        vg.load("hf/tiny/no-norm")
    hf_checkpoint("vit-headless", root / "no-pooler")
    without(root / "no-pooler", "pooler.")
    assert vg.load("hf/tiny/no-pooler").dim == 32  # its class token does not pass the pooler
    timm_checkpoint("vit-b16", own_hub.folder / "models" / CATALOGUE["vit-b16"].source)
    without(own_hub.folder / "models" / CATALOGUE["vit-b16"].source, "head.")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        vg.load("vit-b16")


def test_names_that_lead_nowhere(served):
    with pytest.raises(ModelError, match="did you mean 'resnet50'"):
        vg.load("resnet-50")
    with pytest.raises(ModelError, match=r"Name the weights of timm/resnet50 too: there are .*tv_in1k"):
        vg.load("timm/resnet50")
    with pytest.raises(ModelError, match="has no architecture 'resnet5O'"):
        vg.load("timm/resnet5O.tv_in1k")
    with pytest.raises(ArgumentError, match="knows no captions"):
        vg.load("hf/tiny/vit", classes=WORDS)
    with pytest.raises(ArgumentError, match="knows no captions"):
        vg.load("vit", classes=WORDS)


def real(name: str) -> torch.nn.Module:
    """The published architecture at its published size, without memory for its weights."""
    entry = CATALOGUE[name]
    kind, _, rest = entry.source.partition("/")
    with torch.device("meta"):
        if kind == "timm":
            return timm.create_model(rest)
        if kind == "pip":
            return timm.create_model(PACKAGES[rest].architecture)
        if kind == "torchvision":
            from torchvision.models import googlenet

            return googlenet(aux_logits=False, init_weights=False)
        heads = {"id2label": {i: str(i) for i in range(1000)}}
        if name == "clip":
            return transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig())
        if name == "siglip":
            return transformers.SiglipVisionModel(transformers.SiglipVisionConfig())
        if name == "beit":
            relative = {"use_relative_position_bias": True, "use_mean_pooling": True}
            return transformers.BeitForImageClassification(transformers.BeitConfig(**relative, **heads))
        if name == "deit":
            return transformers.DeiTForImageClassificationWithTeacher(transformers.DeiTConfig(**heads))
        if name == "dinov2":
            return transformers.Dinov2Model(transformers.Dinov2Config(image_size=518, patch_size=14))
        return {"vitmae": transformers.ViTMAEModel, "vitmsn": transformers.ViTMSNModel}[name](
            {"vitmae": transformers.ViTMAEConfig, "vitmsn": transformers.ViTMSNConfig}[name]()
        )


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_describes_the_published_networks(name):
    module, entry = real(name), CATALOGUE[name]
    assert sum(p.numel() for p in module.parameters()) == entry.parameters
    width = (
        getattr(module, "num_features", None) or getattr(module.config, "hidden_size", 0)
        if name != "googlenet"
        else 1024
    )
    if name == "clip":
        width = module.config.projection_dim
    if hasattr(module, "head_hidden_size"):
        width = module.head_hidden_size
    assert width == entry.dim
    row = vg.models(entry.tier).loc[name]
    assert row["parameters"] == entry.parameters
    assert row["source"] == entry.source


def test_a_paper_names_its_networks():
    assert list(vg.models("paper", paper="kim2024").index) == ["swin-t", "vit-b16", "resnet50", "mobilenetv2_100"]
    assert set(vg.models("paper", paper="salman2024").index) == {"clip", "beit", "deit", "swin-t", "vitmae", "vitmsn"}
    assert len(vg.models("embedded", paper="kim2024")) == len(vg.models("embedded"))
    with pytest.raises(ArgumentError, match="no paper"):
        vg.models(paper="goodfellow2015")


def main() -> None:
    """Print errors, family by family."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        made = Served(Path(folder))
        with made.hub:
            point_at(made.hub.url, made.cache, patch)
            for name in FAMILIES:
                model = made.model(name)
                network, x = made.networks[name].double(), pictures(model)
                with torch.no_grad():
                    off = float((model.embed(x) - by_hand(name, network, normalised(model, x))).abs().max())
                where = made.hub.folder / "models" / address(name).removeprefix("hf/")
                errors = {"embed": off, **derivative_errors(model, name in KINKED)}
                errors["preprocessing"] = preprocessing_error(model, where, name if name in TIMM else None)
                print(f"{name:16}", "  ".join(f"{key} {value:.0e}" for key, value in errors.items()))


if __name__ == "__main__":
    sys.exit(main())
