"""The command line: what it prints, what it draws, and how it fails."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import vitgeom_nb as vg
from vitgeom_nb import __main__ as command
from vitgeom_nb import zoo
from vitgeom_nb.datasets import KNOWN
from vitgeom_nb.hub import fetch

from .stand_in_hub import StandInHub


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = command.main(arguments)
    out, err = capsys.readouterr()
    return status, out, err


def test_models_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "models")
    assert (status, err) == (0, "")
    for name in vg.models().index:
        (row,) = (line for line in out.splitlines() if line.startswith(f"{name} "))
        assert f"{vg.models().parameters[name]:,}" in row


def test_models_of_the_papers_tier(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "models", "--tier", "paper")
    assert status == 0
    assert "timm/resnet50.tv_in1k" in out
    assert "nan" not in out


def test_figures_without_a_folder_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "figures")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[:-1]] == list(command.RECIPES)
    assert "--out DIR" in out


@pytest.fixture(scope="module")
def small() -> vg.VisionModel:
    """A smooth network of 16 x 16 pixels that goes by the name of one with recorded predictions."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(3 * 16**2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 6)
        )
    return vg.wrap(net, mean=[0.5] * 3, std=[0.2] * 3, size=16, logits=lambda m, x: m(x), name="resnet")


@pytest.mark.parametrize("name", command.RECIPES)
def test_every_recipe_draws_a_figure(name: str, small: vg.VisionModel) -> None:
    model = small
    figure = command.RECIPES[name][1](model, vg.samples("imagenet", n=2, size=model.size))
    assert isinstance(figure, Figure)
    assert any(axes.lines or axes.images or axes.collections or axes.patches for axes in figure.axes)


def test_chosen_figures_are_drawn_to_the_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ("reliability", "--model", "resnet", "--format", "webp", "--images", "2")
    status, out, _ = run(capsys, "figures", *arguments, "--out", str(tmp_path / "new"))
    path = tmp_path / "new" / "resnet-reliability.webp"
    assert status == 0
    assert out.strip() == str(path)
    with Image.open(path) as picture:
        assert min(picture.size) > 100


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("figures", "nonsense", "--out", "x"), "There is no figure 'nonsense'; there are equivalent-images,"),
        (("figures", "--model", "restnet", "--out", "x"), "did you mean 'resnet'"),
        (("figures", "--images", "1", "--out", "x"), "at least two"),
        (("models", "--tier", "gigantic"), "choose one of embedded, paper"),
    ],
)
def test_mistakes_are_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("vitgeom-nb: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_doctor_finds_everything_in_order(capsys: pytest.CaptureFixture[str], monkeypatch, hub: StandInHub) -> None:
    monkeypatch.delenv("VITGEOM_DATA", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "/nowhere")
    hub.add("facebook/vit-mae-base", {"config.json": b"{}"})
    fetch("facebook/vit-mae-base", "config.json")
    status, out, _ = run(capsys, "doctor")
    assert status == 0
    assert f"vitgeom-nb    {vg.package_version()}" in out
    assert out.count("SHA-256 as on the card") == 4
    assert out.count("export VITGEOM_DATA=") == sum(len(known.splits) for known in KNOWN.values())
    assert "tier          embedded" in out
    assert "hub           answers" in out
    (missing,) = (line for line in out.splitlines() if "vg.load(" in line)
    assert "clip, beit" in missing
    assert "vitmae" not in missing
    assert "googlenet" in missing
    assert "1 of 12 networks fetched" in out


def test_doctor_without_a_hub_says_what_is_wrong(capsys: pytest.CaptureFixture[str], hub: StandInHub) -> None:
    hub.stop()
    status, out, _ = run(capsys, "doctor")
    assert status == 0
    (line,) = (line for line in out.splitlines() if line.startswith("hub "))
    assert "cannot be reached" in line
    assert "check the network" in line


def test_doctor_names_the_files_that_a_data_folder_lacks(
    capsys: pytest.CaptureFixture[str], monkeypatch, tmp_path: Path
) -> None:
    (tmp_path / "cifar10" / "plain_text").mkdir(parents=True)
    (tmp_path / "cifar10" / "plain_text" / "test-0.parquet").write_bytes(b"")
    monkeypatch.setenv("VITGEOM_DATA", str(tmp_path))
    status, out, _ = run(capsys, "doctor")
    names = ("cifar10", "tiny-imagenet")
    missing = [line for line in out.splitlines() if line.startswith("  missing") and line.split()[1] in names]
    assert status == 0
    assert len(missing) == 3
    assert not any("cifar10 test" in line for line in missing)
    assert f"put cifar10/plain_text/train-*.parquet into {tmp_path}" in out


def test_doctor_reports_damaged_weights_and_how_to_repair_them(
    capsys: pytest.CaptureFixture[str], monkeypatch, tmp_path: Path
) -> None:
    for path in zoo.zoo_file(".").glob("*"):
        if path.suffix in (".json", ".safetensors"):
            shutil.copy(path, tmp_path)
    damaged = tmp_path / "swin.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    monkeypatch.setattr(zoo, "zoo_file", lambda name: tmp_path / name)
    status, out, _ = run(capsys, "doctor")
    assert status == 1
    assert out.count("SHA-256 as on the card") == 3
    assert "swin.safetensors is damaged" in out
    assert "reinstall" in out


def test_a_folder_that_is_none_is_one_sentence(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setenv("VITGEOM_DATA", "/nowhere/at/all")
    status, _, err = run(capsys, "doctor")
    assert status == 2
    assert "not a folder" in err


def test_help_and_unknown_commands_leave_by_argparse(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as helped:
        command.main(["--help"])
    assert helped.value.code == 0
    with pytest.raises(SystemExit) as failed:
        command.main(["dance"])
    assert failed.value.code == 2
