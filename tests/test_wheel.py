"""The wheel brings all that the package needs, and little enough of it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import vitgeom_nb as vg

from .chapters import ROOT

USED = """
import torch, vitgeom_nb as vg
from pathlib import Path
assert Path(vg.__file__).is_relative_to({place!r}), vg.__file__
for name in vg.models("embedded").index:
    model = vg.load(name)
    images = vg.samples("imagenet", n=2, model=model)
    vg.travel_distance(model, images, model.labels(images))
    vg.recorded_predictions(name)
explorer = vg.explore.reliability({{"vit": vg.recorded_predictions("vit")}})
assert "<script" in explorer.to_html()
assert len(vg.claims.sentences()) > 20
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of what a copy of the repository holds, not of what lies about."""
    folder = tmp_path_factory.mktemp("wheel")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in files.split("\0"):
        if name.startswith("vitgeom_nb/") or name in ("pyproject.toml", "README.md", "LICENSE"):
            (folder / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "copy" / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, folder / "copy"], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_it_is_small_enough_for_the_index(wheel: Path) -> None:
    assert wheel.stat().st_size < 60e6


def test_it_holds_every_file_of_the_package(wheel: Path) -> None:
    files = subprocess.run(["git", "ls-files", "-z", "vitgeom_nb"], cwd=ROOT, capture_output=True, check=True).stdout
    wanted = {name for name in files.decode().split("\0") if name and (ROOT / name).exists()}
    with zipfile.ZipFile(wheel) as archive:
        assert wanted <= set(archive.namelist())


def test_it_works_without_the_repository(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("VITGEOM")}
    done = subprocess.run(
        [sys.executable, "-c", USED.format(place=str(place))],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert vg.__version__ in wheel.name
