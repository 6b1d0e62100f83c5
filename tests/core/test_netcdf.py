import hashlib
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from vitgeom_nb.core import first_look, netcdf
from vitgeom_nb.core.measurement import open_measurement, save_measurement
from vitgeom_nb.errors import DataError


def example():
    return xr.Dataset({"angle": ("image", np.arange(3.0), {"units": "rad"})}, attrs={"model": "tiny"})


@pytest.fixture
def saved(tmp_path):
    return save_measurement(example(), tmp_path / "m.nc")


def test_others_read_what_is_saved(saved):
    with xr.open_dataset(saved, engine="h5netcdf") as plain:
        xr.testing.assert_identical(plain.load(), example())


def test_what_others_wrote_is_read(tmp_path):
    example().to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    xr.testing.assert_identical(open_measurement(tmp_path / "other.nc"), example())


def test_one_changed_bit_anywhere_is_damage(saved):
    whole = saved.read_bytes()
    for place in (0, len(whole) // 3, len(whole) // 2, len(whole) - 100, len(whole) - 1):
        broken = bytearray(whole)
        broken[place] ^= 1
        saved.write_bytes(broken)
        with pytest.raises(DataError, match="damaged"):
            open_measurement(saved)


def resealed(path):
    """The file with a digest that is right, as anyone can compute it."""
    data = path.read_bytes()
    path.write_bytes(data + netcdf.SEAL + hashlib.sha256(data).hexdigest().encode())
    return path


@pytest.fixture
def child(monkeypatch):
    """A child of our own that looks first; told what to do with a file, as code."""
    own = first_look._Child()
    monkeypatch.setattr(first_look, "_CHILD", own)

    def does(code):
        probe = f"import os, time\ndef probe(path, limit): {code}\nfrom vitgeom_nb.core import first_look\n"
        start = f"import sys, json; sys.path[:] = json.loads(sys.argv[1])\n{probe}first_look.serve(probe)"
        monkeypatch.setattr(first_look, "_SERVE", start)

    yield does
    own.end()


@pytest.mark.parametrize("code", ["os.abort()", "raise SystemExit(3)", "time.sleep(1e6)"])
@pytest.mark.parametrize("seal", [False, True])
def test_a_file_that_crashes_or_holds_the_library_is_one_sentence(tmp_path, monkeypatch, child, code, seal):
    path = tmp_path / "other.nc"
    example().to_netcdf(path, engine="h5netcdf")
    if seal:
        resealed(path)
    child(code)
    monkeypatch.setattr(netcdf, "FIRST_LOOK", 1.0 if "sleep" in code else 60.0)
    for _ in range(2):  # the next file has a child of its own
        with pytest.raises(DataError, match="damaged"):
            open_measurement(path)
    child("return")
    xr.testing.assert_identical(open_measurement(path), example())


def test_one_child_looks_at_all_files(tmp_path, monkeypatch, child, saved):
    other, third = (Path(shutil.copy(saved, tmp_path / name)) for name in ("other.nc", "third.nc"))
    open_measurement(saved)
    process = first_look._CHILD._process
    monkeypatch.chdir(tmp_path)
    open_measurement(other.name)
    assert first_look._CHILD._process is process
    assert process.poll() is None
    process.kill()
    process.wait()
    xr.testing.assert_identical(open_measurement(third), example())


def test_a_file_is_looked_at_once_until_it_changes(child, saved):
    open_measurement(saved)
    first_look._CHILD.end()
    child("os.abort()")
    xr.testing.assert_identical(open_measurement(saved), example())
    saved.write_bytes(saved.read_bytes())
    os.utime(saved, ns=(1, 1))
    with pytest.raises(DataError, match="damaged"):
        open_measurement(saved)


def test_a_file_without_permission_is_one_sentence(saved, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(DataError, match=r"Permission denied\); check its permissions"):
        open_measurement(saved)


@pytest.mark.parametrize("value", [None, {}, [], True, "\udcff", b"x", 10**30, [[1], [1, 2]]])
@pytest.mark.parametrize("owner", ["dataset", "variable"])
def test_attributes_are_checked_before_the_first_byte(saved, owner, value):
    before, ds = saved.read_bytes(), example()
    (ds if owner == "dataset" else ds.angle).attrs["note"] = value
    with pytest.raises(DataError, match="cannot hold the attribute 'note' of"):
        save_measurement(ds, saved)
    assert saved.read_bytes() == before


@pytest.mark.parametrize("values", [np.array([object()] * 3), np.array(["\udcff"] * 3)])
def test_values_that_no_file_can_hold_are_one_sentence(saved, values):
    before = saved.read_bytes()
    with pytest.raises(DataError, match="cannot hold this dataset"):
        save_measurement(example().assign(odd=("image", values)), saved)
    assert saved.read_bytes() == before


def hostile(path, make):
    example().to_netcdf(path, engine="h5netcdf")
    with h5py.File(path, "a") as file:
        make(file)
    return path


def test_files_that_lead_to_others_are_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(24))
    with h5py.File(tmp_path / "target.h5", "w") as file:
        file["x"] = np.zeros(3)

    def link(file):
        file["x"] = h5py.ExternalLink(str(tmp_path / "target.h5"), "x")

    def deep_link(file):
        file.create_group("inner")["x"] = h5py.ExternalLink(str(tmp_path / "target.h5"), "x")

    def storage(file):
        file.create_dataset("x", (3,), "f8", external=[(str(secret), 0, 24)])

    def virtual(file):
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "target.h5"), "x", (3,))
        file.create_virtual_dataset("x", layout)

    for make, words in (
        (link, "refers to another file"),
        (deep_link, "refers to another file"),
        (storage, "keeps 'x' in other files"),
        (virtual, "keeps 'x' in other files"),
    ):
        with pytest.raises(DataError, match=words):
            open_measurement(hostile(tmp_path / f"{make.__name__}.nc", make))


def test_sizes_that_cannot_be_are_refused_before_they_are_allocated(tmp_path):
    def huge(file):
        file.create_dataset("x", (2**45,), "f8", chunks=(2**20,))

    with pytest.raises(DataError, match=r"holds 281,475\.0 GB, and there is memory for"):
        open_measurement(hostile(tmp_path / "huge.nc", huge))


def test_what_is_no_file_is_one_sentence_and_ends(tmp_path):
    os.mkfifo(tmp_path / "pipe.nc")
    for name, words in (("pipe.nc", "a device, pipe or socket"), (".", "is a folder"), ("x" * 300, "looked at")):
        with pytest.raises(DataError, match=words):
            open_measurement(tmp_path / name)
    with pytest.raises(DataError, match="There is no file https:"):
        open_measurement("https://localhost/m.nc")
