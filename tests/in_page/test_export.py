"""Exported graphs compute in onnxruntime what torch does, for embedded networks and for tiny ones of every kind."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.__main__ import main
from vitgeom_nb.errors import ArgumentError, MissingExtraError, ModelError
from vitgeom_nb.in_page.export import exported
from vitgeom_nb.in_page.kept import GRAPHS, inputs_digest, kept_file, kept_graphs, packed
from vitgeom_nb.networks.embedded import FAMILIES
from vitgeom_nb.recipes.graphs import graphs_of, stand_in

from ..stand_in_hub import StandInHub
from ..tiny_checkpoints import hf_checkpoint, timm_checkpoint

CLOSE = 1e-5  # relative, float32


def run(folder: Path, graph: str, **given: torch.Tensor) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(folder / f"{graph}.onnx", options, providers=["CPUExecutionProvider"])
    return session.run(None, {name: tensor.numpy() for name, tensor in given.items()})


def off(found: np.ndarray, wanted: torch.Tensor) -> float:
    """Relative error."""
    assert found.shape == tuple(wanted.shape)
    wanted = wanted.detach()
    return float(np.linalg.norm(found - wanted.numpy()) / wanted.norm())


def errors(model: vg.VisionModel, folder: Path, classes: int | None, seed: int) -> float:
    """The largest error of embedding, logits, pull and push at random vectors, and of <J d, u> = <d, J^T u>."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.rand(1, 3, *model.size, generator=draw)
    d, u = torch.randn(x.shape, generator=draw), torch.randn(1, model.dim, generator=draw)
    vectors = {"u": u} | ({} if classes is None else {"v": torch.randn(1, classes, generator=draw)})
    leaf = x.clone().requires_grad_()
    outs = [model.embed(leaf)] + ([] if classes is None else [model.logits(leaf)])
    product = sum((out * vector).sum() for out, vector in zip(outs, vectors.values(), strict=True))
    outs.append(torch.autograd.grad(product, leaf)[0])
    found = [
        *zip(run(folder, "forward", x=x), outs, strict=False),
        *zip(run(folder, "pull", x=x, **vectors), outs, strict=True),
    ]
    (pushed,) = run(folder, "push", x=x, d=d)
    found.append((pushed, vg.jvp(model, x, d)))
    alone = {"u": u} | {name: torch.zeros_like(v) for name, v in vectors.items() if name == "v"}
    pulled = run(folder, "pull", x=x, **alone)[-1]
    left, right = float((pushed * u.numpy()).sum()), float((d.numpy() * pulled).sum())
    return max(abs(left - right) / float(np.linalg.norm(pulled) * d.norm()), *(off(a, b) for a, b in found))


def assert_agrees(model: vg.VisionModel, folder: Path, classes: int | None) -> None:
    """At two of three images to rounding; where a unit of a network with kinks sits on one, rounding decides."""
    three = sorted(errors(model, folder, classes, seed) for seed in (5, 6, 7))
    assert three[1] <= CLOSE
    assert three[2] <= (1e-2 if model.family == "CNN" else CLOSE)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_kept_graphs_of_an_embedded_network_compute_what_torch_does(name: str, tmp_path: Path) -> None:
    model = vg.load(name)
    kept = kept_graphs(name)
    assert kept is not None, f"python -m vitgeom_nb.recipes.graphs {name}"
    assert kept.inputs == inputs_digest(model), "the architecture has changed since its graphs were exported"
    assert vg.export_onnx(model, tmp_path) == tmp_path
    assert_agrees(model, tmp_path, 200)
    about = json.loads((tmp_path / "model.json").read_text())
    assert (about["digest"], about["dim"], about["classes"]) == (model.digest, model.dim, model.classes)
    assert kept_file(name).stat().st_size < 100_000


def test_graphs_exported_again_are_those_that_are_kept(tmp_path: Path) -> None:
    kept, again = kept_graphs("resnet"), graphs_of("resnet")
    assert kept is not None
    assert (kept.inputs, kept.constants) == (again.inputs, again.constants)
    model, both = vg.load("resnet"), []
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    given: dict[str, dict[str, torch.Tensor]] = {
        "forward": {},
        "pull": {"u": torch.ones(1, model.dim), "v": torch.ones(1, 200)},
    }
    given["push"] = {"d": x.flip(3)}
    for label, one in (("kept", kept), ("again", again)):
        folder = vg.export_onnx(model, tmp_path / label)
        for graph, data in one.graphs.items():
            (folder / f"{graph}.onnx").write_bytes(data)
        both.append([out for graph in GRAPHS for out in run(folder, graph, x=x, **given[graph])])
    for a, b in zip(*both, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * np.abs(a).max())
    assert packed(kept) == packed(kept._replace(graphs=dict(kept.graphs)))


def test_other_weights_are_the_same_inputs_and_another_layer_is_not() -> None:
    model = vg.load("resnet")
    assert inputs_digest(stand_in("resnet")) == inputs_digest(model) != inputs_digest(model.at(model.layers[-2]))


@pytest.mark.parametrize("name", ["resnet50", "deit", "clip"])
def test_tiny_published_architectures(hub: StandInHub, name: str, tmp_path: Path) -> None:
    from vitgeom_nb.networks.catalogue import CATALOGUE

    from ..tiny_checkpoints import HF

    address = f"hf/tiny/{name}" if name in HF else CATALOGUE[name].source
    (hf_checkpoint if name in HF else timm_checkpoint)(name, hub.folder / "models" / address.removeprefix("hf/"))
    model = vg.load(address, **({"classes": ["cat", "dog"]} if name == "clip" else {}))
    vg.export_onnx(model, tmp_path / "out")
    assert_agrees(model, tmp_path / "out", model.logits(torch.rand(1, 3, *model.size)).shape[1])


class Odd(torch.nn.Module):
    """A network with a part that ONNX has not."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(x.flatten(1)[:, :5])


def wrapped(module: torch.nn.Module, **options: Any) -> vg.VisionModel:
    return vg.wrap(module, mean=[0.5] * 3, std=[0.5] * 3, size=8, **options)


def test_a_network_without_a_head_and_the_weights_beside_it(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        conv = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1, padding_mode="zeros")
        net = torch.nn.Sequential(
            conv, torch.nn.GELU(), torch.nn.Flatten(), torch.nn.LayerNorm(64), torch.nn.Linear(64, 6)
        )
    model = wrapped(net, name="headless")
    vg.export_onnx(model, tmp_path)
    assert_agrees(model, tmp_path, None)
    weights = sum(p.numel() for p in net.parameters())
    assert (tmp_path / "weights.bin").stat().st_size == 4 * weights
    assert all((tmp_path / f"{graph}.onnx").stat().st_size < 10_000 for graph in GRAPHS)
    again = tmp_path / "again"
    vg.export_onnx(model, again)
    assert all((again / f"{graph}.onnx").read_bytes() == (tmp_path / f"{graph}.onnx").read_bytes() for graph in GRAPHS)


def test_an_operator_without_translation_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^The graph 'forward' of odd has no translation to ONNX: .*bessel_j0.*\.$"):
        vg.export_onnx(wrapped(Odd(), name="odd"), tmp_path)


class Restless(torch.nn.Module):
    """A network whose path depends on what it sees."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) * (2.0 if float(x.amax()) < 9 else 1.0)


def test_a_network_without_a_fixed_graph_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^restless cannot be traced as a graph: [^\n]*\.$"):
        vg.export_onnx(wrapped(Restless(), name="restless"), tmp_path)


def test_without_onnx_embedded_networks_export_and_others_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("onnx", "onnx_ir", "onnxscript"):
        monkeypatch.setitem(sys.modules, module, None)
    vg.export_onnx(vg.load("vit"), tmp_path)
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 3))
    with pytest.raises(MissingExtraError, match=r"pip install 'vitgeom-nb\[export\]'"):
        vg.export_onnx(wrapped(flat), tmp_path)


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="cannot be a folder"):
        vg.export_onnx(vg.load("vit"), tmp_path / "file")


def test_the_command_writes_and_names_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "vit", "--out", str(tmp_path / "out")]) == 0
    named = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert sorted(named) == sorted(str(path) for path in (tmp_path / "out").iterdir())
    assert exported.__doc__
