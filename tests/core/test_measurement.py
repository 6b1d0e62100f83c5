import hashlib
import json

import numpy as np
import pytest
import torch
import xarray as xr

import vitgeom_nb as vg
from vitgeom_nb.core.images import Images
from vitgeom_nb.core.measurement import Stopwatch, Variable, measurement, open_measurement, parameters, save_measurement
from vitgeom_nb.errors import DataError


def example(model=None):
    return measurement(
        {
            "angle": Variable(("image", "step"), torch.arange(6.0).reshape(2, 3), "rad", "direction change"),
            "outcome": Variable(("image",), np.array(["crossed", "never wrong"]), "1", "outcome"),
            "converged": Variable(("image",), torch.tensor([True, False]), "1", "converged"),
            "ece": Variable((), 0.25, "1", "expected calibration error"),
            "gap": Variable(("image",), np.array([np.nan, 1.0]), "dB", "gap"),
        },
        coords={
            "image": ["chelsea", "coffee"],
            "radius": Variable(("step",), [0.1, 0.2, 0.3], "pixel", "radius"),
        },
        model=model,
        seed=3,
        seconds=1.23456,
        radii=[0.1, 0.2],
    )


def test_values_units_and_names_are_kept():
    ds = example()
    assert ds["angle"].dims == ("image", "step")
    np.testing.assert_array_equal(ds["angle"], [[0, 1, 2], [3, 4, 5]])
    assert ds["angle"].attrs == {"units": "rad", "long_name": "direction change"}
    assert ds["radius"].attrs["units"] == "pixel"
    assert all({"units", "long_name"} <= set(v.attrs) for v in ds.variables.values())


def test_provenance_tells_what_made_it(affine):
    attrs = example(affine).attrs
    assert attrs["model"] == "affine"
    assert attrs["weights"] == affine.digest
    assert len(attrs["weights"]) == 64
    assert (attrs["dtype"], attrs["device"], attrs["seed"], attrs["seconds"]) == ("float64", "cpu", 3, 1.235)
    assert attrs["package"].startswith("vitgeom-nb ")


def test_a_measurement_says_what_made_it_and_of_which_images(affine):
    images = Images(torch.rand(2, 3, 4, 4, dtype=torch.float64), ["a", "\udcff"], "ours", "free")
    found = vg.direction_change(affine, images, directions=2, steps=3)
    assert found.attrs["function"] == "direction_change"
    assert json.loads(found.attrs["preprocessing"]) == {"mean": [0.0] * 3, "std": [1.0] * 3, "size": [4, 4]}
    inputs = json.loads(found.attrs["inputs"])
    assert inputs["images"].pop("sha256") == digest(images.pixels)
    assert inputs == {"images": {"names": ["a", "\\udcff"], "source": "ours"}}
    along = torch.rand(1, 2, 3, 4, 4)
    given = vg.direction_change(affine, images.pixels.float(), along=along, steps=3)
    assert json.loads(given.attrs["inputs"]) == {
        "images": {"sha256": digest(images.pixels)},
        "along": {"sha256": digest(along)},
    }


def test_a_measurement_inside_another_says_its_own_function(affine):
    x, y = torch.rand(2, 1, 3, 4, 4)
    matched = vg.match(affine, x, y)
    assert (matched.attrs["function"], set(json.loads(matched.attrs["inputs"]))) == ("match", {"source", "target"})
    constants = vg.lldlc(affine, x, targets=y, directions=2, radii=(0.1,))
    assert (constants.attrs["function"], set(json.loads(constants.attrs["inputs"]))) == ("lldlc", {"images", "targets"})
    assert example().attrs["function"] == "none"


def digest(pixels):
    return hashlib.sha256(pixels.float().numpy().tobytes() + json.dumps(list(pixels.shape)).encode()).hexdigest()


def test_a_measurement_of_a_measurement_says_which(affine):
    x, y = torch.rand(2, 1, 3, 4, 4)
    matched = vg.match(affine, x, y)
    found = json.loads(vg.match_remainder(affine, matched).attrs["inputs"])["matches"]
    assert (found["function"], found["weights"]) == ("match", affine.digest)
    assert found["inputs"] == json.loads(matched.attrs["inputs"])
    other = json.loads(vg.match_remainder(affine, matched.assign(matched=matched.source)).attrs["inputs"])["matches"]
    assert other["sha256"] != found["sha256"]


def test_a_measurement_says_how_products_were_computed(affine):
    x = torch.rand(1, 3, 4, 4)
    before = torch.backends.cuda.matmul.fp32_precision
    try:
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        assert vg.jacobian(affine, x).attrs["float32_products"] == "ieee"
        assert "tf32" in example(affine).attrs["float32_products"]  # by itself, it is not a door
    finally:
        torch.backends.cuda.matmul.fp32_precision = before
    assert example().attrs["float32_products"] == "none"


def test_parameters_are_read_back_also_from_a_file(tmp_path):
    ds = example()
    assert (
        parameters(ds) == parameters(open_measurement(save_measurement(ds, tmp_path / "m.nc"))) == {"radii": [0.1, 0.2]}
    )


def test_a_dataset_of_others_records_no_parameters():
    with pytest.raises(DataError, match="records no parameters"):
        parameters(xr.Dataset({"a": ("x", [1.0])}))


def test_netcdf_round_trip_is_exact(affine, tmp_path):
    ds = example(affine)
    back = open_measurement(save_measurement(ds, tmp_path / "m.nc"))
    xr.testing.assert_identical(back, ds)
    assert back["converged"].dtype == bool
    assert {n: v.dtype for n, v in back.variables.items()} == {n: v.dtype for n, v in ds.variables.items()}


def test_tensor_with_gradient_is_detached():
    ds = measurement({"a": Variable(("x",), torch.ones(2, requires_grad=True), "1", "a")})
    np.testing.assert_array_equal(ds["a"], [1, 1])


def test_missing_or_damaged_file_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="save_measurement"):
        open_measurement(tmp_path / "none.nc")
    (tmp_path / "bad.nc").write_bytes(b"not a file of ours")
    with pytest.raises(DataError, match="damaged"):
        open_measurement(tmp_path / "bad.nc")


def test_stopwatch_runs_forward():
    watch = Stopwatch()
    first = watch.seconds
    assert 0 <= first <= watch.seconds


def test_units_come_from_one_list():
    with pytest.raises(ValueError, match="unit of angle is 'degrees'; choose one of pixel, embedding"):
        measurement({"angle": Variable((), 1.0, "degrees", "angle")})
