"""What `figures` lists and draws, and how it fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import vitgeom_nb as vg
from vitgeom_nb.commands import figures
from vitgeom_nb.core import stopping
from vitgeom_nb.networks.wrapping import call

from .running import run


def test_figures_without_a_folder_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "figures")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[:-1]] == list(figures.RECIPES)
    assert "--out DIR" in out


OWN = {"embed": call, "logits": call}  # the embedding of these networks is their logits


@pytest.fixture(scope="module")
def small() -> vg.VisionModel:
    """A smooth network of 16 x 16 pixels that goes by the name of one with recorded predictions."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(3 * 16**2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 6)
        )
    return vg.wrap(net, mean=[0.5] * 3, std=[0.2] * 3, size=16, name="resnet", **OWN)


@pytest.mark.parametrize("name", figures.RECIPES)
def test_every_recipe_draws_a_figure(name: str, small: vg.VisionModel) -> None:
    model = small
    figure = figures.RECIPES[name][1](model, vg.samples("imagenet", n=2, size=model.size))
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


def test_a_folder_that_is_a_file_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in ("file", "file/below"):
        status, _, err = run(capsys, "figures", "--out", str(tmp_path / out))
        assert status == 2
        assert "cannot be a folder" in err
        assert err.count("\n") == 1


def test_a_full_disk_is_one_sentence_and_leaves_the_earlier_figure(capsys, tmp_path: Path, monkeypatch, small) -> None:
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(vg, "load", lambda name, device=None: small)
    monkeypatch.setattr(os, "fsync", full)
    earlier = tmp_path / "resnet-direction-change.png"
    earlier.write_bytes(b"earlier")
    status, _, err = run(capsys, "figures", "direction-change", "--out", str(tmp_path))
    assert status == 2
    assert "no space left for" in err
    assert list(tmp_path.iterdir()) == [earlier]
    assert earlier.read_bytes() == b"earlier"


def test_a_figure_that_is_stopped_while_it_is_drawn_leaves_the_earlier_one(
    capsys, tmp_path: Path, monkeypatch, small
) -> None:
    def stopped(figure: Figure, file: BinaryIO, **options: object) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(vg, "load", lambda name, device=None: small)
    monkeypatch.setattr(Figure, "savefig", stopped)
    earlier = tmp_path / "resnet-direction-change.png"
    earlier.write_bytes(b"earlier")
    assert run(capsys, "figures", "direction-change", "--out", str(tmp_path))[::2] == (130, f"{stopping.WORDS}\n")
    assert list(tmp_path.iterdir()) == [earlier]
    assert earlier.read_bytes() == b"earlier"


def test_a_name_with_a_slash_becomes_a_file_in_the_folder(capsys, tmp_path: Path, monkeypatch, small) -> None:
    other = vg.wrap(small.module, mean=[0.5] * 3, std=[0.2] * 3, size=16, name="timm/x.y", **OWN)
    monkeypatch.setattr(vg, "load", lambda name, device=None: other)
    status, out, _ = run(capsys, "figures", "direction-change", "--model", "timm/x.y", "--out", str(tmp_path))
    assert status == 0
    assert out.strip() == str(tmp_path / "timm-x.y-direction-change.png")
    assert (tmp_path / "timm-x.y-direction-change.png").exists()
