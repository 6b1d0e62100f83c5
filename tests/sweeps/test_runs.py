"""A run is read lazily, and one of a stranger executes nothing and leads nowhere."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import vitgeom_nb as vg
from vitgeom_nb.core import netcdf
from vitgeom_nb.errors import ArgumentError, DataError
from vitgeom_nb.sweeps import lazy_arrays, shards

from ..chapters import ROOT
from .simulated import here
from .test_sweep import swept


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "run"
    measures = [here("told"), "predictions:block=32", "travel_distance:epsilon_max=1.0,grid=4,images=12,block=4"]
    assert swept(out, measures=measures, block=8).complete
    return out


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


def shard(run: Path, label: str = "told", number: int = 0) -> Path:
    return sorted(run.glob(f"networks/*/{label}-*/*.nc"))[number]


def test_values_are_read_when_they_are_asked_for(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real = shards.read
    monkeypatch.setattr(shards, "read", lambda path, about: opened.append(path.name) or real(path, about))
    found = vg.open_run(made)["small"]["told"]
    assert len(opened) == 1  # one shard says what the others are like
    assert found.sizes["image"] == 40
    part = found["told"].sel(image=slice(9, 14))
    assert len(opened) == 1
    whole = part.load()
    assert len(opened) == 2
    np.testing.assert_array_equal(whole, found["told"].values[9:15])
    picked = found["twice"].isel(image=[3, 39, 17, 3], twice_1=1).values
    np.testing.assert_array_equal(picked, found["twice"].values[[3, 39, 17, 3], 1])
    assert found["twice"][5, 0] == found["twice"].values[5, 0]
    assert found["told"][::-7].values.tolist() == found["told"].values[::-7].tolist()


def test_a_shard_is_read_once_for_all_variables_as_far_as_there_is_room(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    real = shards.read
    monkeypatch.setattr(shards, "read", lambda path, about: opened.append(path.name) or real(path, about))
    whole = vg.open_run(made)["small"]["told"].load()
    assert len(opened) == 1 + 5
    monkeypatch.setattr(lazy_arrays, "HELD", 0)
    opened.clear()
    assert vg.open_run(made)["small"]["told"].load().identical(whole)
    assert len(opened) == 1 + 2 * 5


def test_a_run_is_a_mapping(made: Path) -> None:
    run = vg.open_run(made)
    assert list(run) == ["small"]
    assert sorted(run["small"]) == ["predictions", "told", "travel_distance"]
    assert run.attrs["data"]["images"] == 40
    assert run["small"]["told"] is run["small"]["told"]
    with pytest.raises(KeyError, match="no network 'vit' in this run; there are small"):
        run["vit"]
    with pytest.raises(KeyError, match="no measure 'match'"):
        run["small"]["match"]
    assert run["small"]["travel_distance"].attrs["data"] == here("images")
    assert json.loads(run["small"]["travel_distance"].attrs["parameters"])["grid"] == 4


def test_a_run_knows_what_its_measures_took(made: Path, tmp_path: Path) -> None:
    run = vg.open_run(made)["small"]
    stored = [shards.read(path, about) for path, about, *_ in run._places["predictions"].stored()]
    assert run.seconds("predictions") == sum(one.attrs["seconds"] for one in stored) > 0
    packed = vg.open_run(vg.pack_run(made, tmp_path / "run.zarr"))["small"]
    assert np.isnan(packed.seconds("predictions"))


def test_the_environment_names_a_run(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VITGEOM_RUN", raising=False)
    with pytest.raises(ArgumentError, match="VITGEOM_RUN"):
        vg.open_run()
    monkeypatch.setenv("VITGEOM_RUN", str(made))
    assert list(vg.open_run()) == ["small"]


def test_a_packed_run_is_the_same_run(made: Path, tmp_path: Path) -> None:
    packed = vg.pack_run(made, tmp_path / "run.zarr")
    a, b = vg.open_run(made)["small"], vg.open_run(packed)["small"]
    assert list(vg.open_run(packed)) == ["small"]
    for label in a:
        one, other = a[label].load(), b[label].load()
        assert one.attrs == other.attrs
        for name, variable in one.variables.items():
            np.testing.assert_array_equal(variable.values.astype(other[name].dtype), other[name].values)
            assert variable.attrs == other[name].attrs
    import zarr

    stored: Any = zarr.open_group(packed, mode="r")
    groups = {group.attrs["measure"]: group for _, group in stored["n0"].groups()}
    assert groups["told"]["twice"].chunks == (8, 2)
    assert groups["predictions"]["logits"].chunks == (32, 5)
    assert groups["travel_distance"]["outcome"].chunks == (4,)
    with pytest.raises(ArgumentError, match="something at"):
        vg.pack_run(made, packed)
    with pytest.raises(ArgumentError, match="packed already"):
        vg.pack_run(packed, tmp_path / "again.zarr")


def spoiled_codec(packed: Path) -> None:
    path = next(packed.rglob("told/zarr.json"))
    found = json.loads(path.read_text())
    found["codecs"] = [{"name": "numcodecs.pickle", "configuration": {}}]
    path.write_text(json.dumps(found))


def linked_chunk(packed: Path) -> None:
    path = next(packed.rglob("told/c/0"))
    path.unlink()
    path.symlink_to("/etc/hostname")


def no_attributes(packed: Path) -> None:
    path = packed / "zarr.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"attributes": {}}))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(spoiled_codec, "asks for numcodecs.pickle"), (linked_chunk, "is a link"), (no_attributes, "no packed run")],
)
def test_a_packed_run_of_a_stranger(made: Path, tmp_path: Path, spoil: Callable[[Path], None], words: str) -> None:
    packed = vg.pack_run(made, tmp_path / "run.zarr")
    spoil(packed)
    with pytest.raises(DataError, match=words):
        vg.open_run(packed)["small"]["told"].load()


@pytest.mark.parametrize("at", [1, 1000, -100, -1])
def test_no_bit_of_a_shard_changes_unseen(run: Path, at: int) -> None:
    path = shard(run)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="is damaged; delete it"):
        vg.open_run(run)["small"]["told"].load()
    path.unlink()
    assert swept(run, block=8).measured == 8
    assert vg.open_run(run)["small"]["told"].load().sizes["image"] == 40


def cut(run: Path) -> None:
    path = shard(run)
    path.write_bytes(path.read_bytes()[:-200])


def emptied(run: Path) -> None:
    shard(run).write_bytes(b"")


def of_another_block(run: Path) -> None:
    shutil.copy(shard(run, number=1), shard(run))


def of_another_measure(run: Path) -> None:
    shutil.copy(shard(run, "travel_distance"), shard(run))


def linked(run: Path) -> None:
    outside = run.parent / "outside.nc"
    shutil.move(shard(run), outside)
    (shard(run).parent / outside.name).unlink(missing_ok=True)
    name = "0000000000-0000000008.0.0.nc"
    (shard(run).parent / name).symlink_to(outside)


def linked_folder(run: Path) -> None:
    folder = shard(run).parent
    shutil.move(folder, run.parent / "elsewhere")
    folder.symlink_to(run.parent / "elsewhere")


def linked_document(run: Path) -> None:
    shutil.move(run / "run.json", run.parent / "run.json")
    (run / "run.json").symlink_to(run.parent / "run.json")


def of_other_files(run: Path) -> None:
    """A shard with a right digest that has its values in another file."""
    path = shard(run)
    (run.parent / "secret").write_bytes(bytes(64))
    data = path.read_bytes()[: -len(netcdf.SEAL) - 64]
    inner = run.parent / "inner.nc"
    inner.write_bytes(data)
    with h5py.File(inner, "a") as file:
        shape = file["told"].shape
        del file["told"]
        file.create_dataset("told", shape, "i8", external=[(str(run.parent / "secret"), 0, 64)])
    import hashlib

    data = inner.read_bytes()
    path.write_bytes(data + netcdf.SEAL + hashlib.sha256(data).hexdigest().encode())


def a_pickle(run: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {run.parent / 'executed'}",)

    shard(run).write_bytes(pickle.dumps(Bomb()) + b" " * 100)


def a_long_document(run: Path) -> None:
    (run / "run.json").write_text('{"a": "' + "x" * 2**25 + '"}')


def a_deep_document(run: Path) -> None:
    (run / "run.json").write_text("[" * 200_000)


def no_document(run: Path) -> None:
    next(run.glob("networks/*/network.json")).unlink()


def change(**keys: Any) -> Callable[[Path], None]:
    def changed(run: Path) -> None:
        path = shard(run).parent / "measure.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | keys))

    return changed


def a_huge_shard(run: Path) -> None:
    change(images=10**9, block=10**9)(run)
    shutil.copy(shard(run), shard(run).with_name("0000000000-1000000000.0.0.nc"))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (cut, "is damaged"), (emptied, "is damaged"), (of_another_block, "belongs to another"),
        (of_another_measure, "belongs to another"), (linked, "cannot be|is a link|belongs|damaged|sizes"),
        (linked_folder, "is a link"), (linked_document, "is a link"), (of_other_files, "in other files"),
        (a_pickle, "is damaged"), (a_long_document, "too large"), (a_deep_document, "cannot be read"),
        (no_document, "cannot be read"), (change(images=-1), "cannot be"), (change(block=10**30), "cannot be"),
        (change(unit="x"), "cannot be"), (change(images=True), "cannot be read"), (change(label=3), "cannot be read"),
        (a_huge_shard, "is damaged"), (change(identity="../../x"), "belongs to another"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)  # fmt: skip
def test_a_run_of_a_stranger(run: Path, spoil: Callable[[Path], None], words: str) -> None:
    spoil(run)
    if spoil is linked:  # a link is no shard
        assert vg.open_run(run)["small"]["told"]["image"].values.min() == 8
        return
    with pytest.raises(DataError, match=words):
        vg.open_run(run)["small"]["told"].load()
    assert not (run.parent / "executed").exists()


WATCH = """
import os, sys
import vitgeom_nb as vg, h5netcdf, xarray
import vitgeom_nb.sweeps.runs
vg.open_run(sys.argv[2])["small"]["told"].load()
run, seen = os.path.realpath(sys.argv[1]), []
libraries = tuple(os.path.realpath(p) for p in (*sys.path, sys.prefix, sys.base_prefix) if p)
def watch(event, arguments):
    if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect", "pickle.find_class"):
        seen.append(f"{event} {arguments}")
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if not path.startswith((run, *libraries, "/proc", "/sys", "/dev")):
            seen.append(path)
sys.addaudithook(watch)
found = vg.open_run(sys.argv[1])
for name in found:
    for label in found[name]:
        found[name][label].load()
        found.failed()
print(seen)
"""


def test_nothing_outside_is_read_and_nothing_is_executed(run: Path, made: Path) -> None:
    document = shard(run).parent / "measure.json"
    known = json.loads(document.read_text())
    document.write_text(json.dumps(known | {"function": "os:system", "measure": "os:system", "summary": "os:system"}))
    (run / "networks" / "sitecustomize.py").write_text("raise SystemExit")
    command = [sys.executable, "-c", WATCH, str(run), str(made)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_only_what_is_missing_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no run"):
        vg.open_run(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"run\.json cannot be read"):
        vg.open_run(tmp_path)


def test_a_run_without_results_yet(tmp_path: Path) -> None:
    (tmp_path / "networks").mkdir()
    document = {"format": 1, "package": "0", "seed": 0, "data": {}}
    (tmp_path / "run.json").write_text(json.dumps(document))
    assert len(vg.open_run(tmp_path)) == 0


def test_a_network_that_a_sweep_is_about_to_begin_with_is_not_there_yet(run: Path) -> None:
    (run / "networks" / "later").mkdir()
    assert list(vg.open_run(run)) == ["small"]
    next((run / "networks").glob("small*/network.json")).unlink()
    with pytest.raises(DataError, match=r"network\.json cannot be read"):
        vg.open_run(run)
