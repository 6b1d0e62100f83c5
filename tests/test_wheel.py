"""The wheel brings all that the package needs, and little enough of it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

import vitgeom_nb as vg

from .alone import ENDS_IN, wrong
from .chapters import ROOT, chapters
from .wheel import built, unpacked

USED = """
import torch, warnings, vitgeom_nb as vg
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
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    table = vg.claims.table()
    assert [type(one.message) for one in said] == [vg.errors.EvidenceWarning]
    assert vg.claims.recorded("match") == [] and len(said) == 2
assert set(table.network) >= set(vg.models("embedded").index)
found = table[table.network == "vit"].set_index("claim").verdict
assert found["S1"] == "not at hand" and found["K1"] in ("supported", "not supported"), found
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(wheel, tmp_path_factory.mktemp("site"))


def test_it_is_small_enough_for_the_index(wheel: Path) -> None:
    assert wheel.stat().st_size < 60e6


def test_it_holds_every_file_of_the_package(wheel: Path) -> None:
    assert vg.__version__ in wheel.name
    files = subprocess.run(["git", "ls-files", "-z", "vitgeom_nb"], cwd=ROOT, capture_output=True, check=True).stdout
    wanted = {name for name in files.decode().split("\0") if name and (ROOT / name).exists()}
    with zipfile.ZipFile(wheel) as archive:
        assert wanted <= set(archive.namelist())


def without_repository(place: Path, code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("VITGEOM")}
    command, environment = [sys.executable, "-c", code], environment | {"PYTHONPATH": str(place)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_it_works_without_the_repository(site: Path, tmp_path: Path) -> None:
    done = without_repository(site, USED.format(place=str(site)), tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ENDS_IN)
def test_a_chapter_about_recordings_ends_in_its_sentence_without_them(name: str, site: Path, tmp_path: Path) -> None:
    cells = nbformat.read(ROOT / "book" / f"{name}.ipynb", as_version=4).cells
    first = next(cell.source for cell in cells if cell.cell_type == "code")
    done = without_repository(site, first, tmp_path)
    assert not wrong(name, done.returncode, done.stderr)


def test_how_a_chapter_ended_is_held_to_how_it_should() -> None:
    assert set(ENDS_IN) < set(chapters())
    assert not wrong("curvature", 0, "EvidenceWarning: not at hand")
    assert "AssertionError" in wrong("curvature", 1, "AssertionError")
    assert not wrong("speed", 1, ENDS_IN["speed"].replace("DataError", "\x1b[31mDataError\x1b[39m"))
    assert "It should end in: DataError: There are no" in wrong("speed", 1, "ImportError")
    assert "It should end in: DataError: There are no" in wrong("speed", 0, "")
