"""What `doctor` says of an installation."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.data.registry import KNOWN
from vitgeom_nb.hub.transfer import fetch
from vitgeom_nb.networks import embedded as zoo

from ..stand_in_hub import StandInHub
from .running import run


def test_doctor_finds_everything_in_order(capsys: pytest.CaptureFixture[str], monkeypatch, hub: StandInHub) -> None:
    monkeypatch.delenv("VITGEOM_DATA", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "/nowhere")
    hub.add("facebook/vit-mae-base", {"config.json": b"{}"})
    fetch("facebook/vit-mae-base", "config.json")
    status, out, _ = run(capsys, "doctor")
    assert status == 0
    assert f"vitgeom-nb    {vg.__version__}" in out
    assert out.count("SHA-256 as on the card") == len(zoo.FAMILIES)
    assert out.count("export VITGEOM_DATA=") == sum(len(known.splits) for known in KNOWN.values())
    assert "tier          embedded" in out
    assert "hub           answers" in out
    (missing,) = (line for line in out.splitlines() if "vg.load(" in line)
    assert "clip, beit" in missing
    assert "vitmae" not in missing
    assert "googlenet" in missing
    assert "1 of 12 networks fetched" in out


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "OMP_WAIT_POLICY is not set: they spin"),
        ({"OMP_WAIT_POLICY": "active"}, "OMP_WAIT_POLICY=active"),
        ({"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "9"}, "OMP_WAIT_POLICY=passive, GOMP_SPINCOUNT=9"),
    ],
)
def test_doctor_says_how_threads_wait_and_how_to_have_them_sleep(
    environment: dict[str, str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch, hub: StandInHub
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    _, out, _ = run(capsys, "doctor")  # torch is loaded here, so the command sets nothing any more
    assert f"waiting       {words}; " in out
    assert "%env GOMP_SPINCOUNT=10000" in out


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
    assert out.count("SHA-256 as on the card") == len(zoo.FAMILIES) - 1
    assert "swin.safetensors is damaged" in out
    assert "reinstall" in out


def test_a_folder_that_is_none_is_one_sentence(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setenv("VITGEOM_DATA", "/nowhere/at/all")
    status, _, err = run(capsys, "doctor")
    assert status == 2
    assert "not a folder" in err


@pytest.mark.parametrize("name", ["banana", "meta"])
def test_doctor_tells_of_a_device_that_is_not_there(capsys, monkeypatch, hub: StandInHub, name: str) -> None:
    monkeypatch.setenv("VITGEOM_DEVICE", name)
    status, out, _ = run(capsys, "doctor")
    assert status == 1
    assert f"There is no device '{name}' that VITGEOM_DEVICE names here" in out
