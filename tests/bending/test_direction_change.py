import math

import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.bending.image_lines import Lines, embeddings_along, turning_angle
from vitgeom_nb.bending.path_curvature import line_derivatives
from vitgeom_nb.errors import ArgumentError, ImageError


class Path(torch.nn.Module):
    """Any curve in the plane or in space, as a function of u = w . x."""

    def __init__(self, curve):
        super().__init__()
        self.curve = curve
        self.register_buffer("w", torch.randn(48, generator=torch.Generator().manual_seed(3)) / 10)

    def forward(self, x):
        return torch.stack(self.curve(x.flatten(1) @ self.w), dim=1)


def wrapped(net, dtype=torch.float64):
    return vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=4, dtype=dtype)


def pace(model, lines):
    """du/ds of a Path along every line, (B,M)."""
    return (lines.directions.flatten(2) @ model.module.w).expand(lines.shape)


def smooth_net():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(48, 32), torch.nn.LayerNorm(32), torch.nn.GELU(), torch.nn.Linear(32, 6)
    )


@pytest.fixture
def images():
    return torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(1))


def test_a_linear_network_is_straight_to_the_noise_floor(images):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    for dtype in (torch.float32, torch.float64):
        bend = vg.direction_change(wrapped(net, dtype), images, directions=10, steps=20)
        angle, floor = bend["angle"].values, bend["noise_floor"].values
        assert angle.shape == (3, 10, 19)
        assert (floor > 0).all()
        assert floor.max() < 100 * torch.finfo(dtype).eps * 20 / 0.05
        assert np.median(angle) < 3 * floor.max()
        assert bend.attrs["precision"].startswith("lost")


def test_a_circle_turns_by_the_angle_it_was_given_and_has_curvature_one_over_radius(images):
    radius = 2.5
    model = wrapped(Path(lambda u: (radius * torch.cos(u), radius * torch.sin(u), 0 * u)))
    speed = pace(model, Lines.make(model, images, 4, None, seed=5)).abs().numpy()
    bend = vg.direction_change(model, images, directions=4, steps=10, epsilon=0.2, seed=5)
    np.testing.assert_allclose(bend["angle"], np.broadcast_to(speed[..., None] * 0.02, (3, 4, 9)), rtol=1e-9)
    assert bend.attrs["precision"].startswith("ok")
    curved = vg.curvature(model, images, directions=4, step=0.02, seed=5)
    np.testing.assert_allclose(curved["curvature"], 1 / radius, rtol=1e-10)
    np.testing.assert_allclose(curved["speed"], radius * speed, rtol=1e-10)
    np.testing.assert_allclose(curved["turning_rate"], speed, rtol=1e-10)
    np.testing.assert_allclose(curved["predicted_angle"], 0.02 * speed, rtol=1e-10)
    assert curved.attrs["piecewise_linear"] == 0


def test_a_parabola_has_its_textbook_curvature(images):
    model = wrapped(Path(lambda u: (u, 0.7 * u.square())))
    u = images.double().flatten(1) @ model.module.w
    expected = 1.4 / (1 + (1.4 * u).square()).pow(1.5)
    curved = vg.curvature(model, images, directions=3)["curvature"]
    np.testing.assert_allclose(curved, np.broadcast_to(expected.numpy()[:, None], (3, 3)), rtol=1e-10)


def test_a_kink_of_45_degrees_is_seen_at_the_steps_that_cross_it():
    model = wrapped(Path(lambda u: (u, torch.relu(u - 0.25))))
    images = torch.zeros(1, 3, 4, 4)
    along = model.module.w.view(1, 1, 3, 4, 4)
    pace_ = float(pace(model, Lines.make(model, images, 1, along, 0)))
    # ten steps of 0.06 in u: the kink at 0.25 lies a sixth of the way into the fifth
    bend = vg.direction_change(model, images, along=along, steps=10, epsilon=0.6 / pace_)["angle"].values[0, 0]
    part = math.atan(1 - 1 / 6)
    np.testing.assert_allclose(bend[3:5], [part, math.pi / 4 - part], rtol=1e-6)
    np.testing.assert_allclose(np.delete(bend, [3, 4]), 0, atol=1e-7)
    curved = vg.curvature(model, images, along=along)
    assert float(curved["curvature"].max()) == 0
    assert curved.attrs["piecewise_linear"] == 1


def test_direction_change_tends_to_curvature_times_speed_times_step(images):
    model = wrapped(smooth_net())
    lines = Lines.make(model, images, 4, None, seed=2)
    turning = vg.curvature(model, images, directions=4, seed=2)["turning_rate"].values
    errors = []
    for h in (2e-2, 2e-3):
        z = embeddings_along(model, *lines.start(*lines.each()), torch.tensor([-h, 0.0, h]).double())
        angle = turning_angle(z[:, 2] - z[:, 1], z[:, 1] - z[:, 0]).view(3, 4).numpy()
        errors.append(np.abs(angle / (turning * h) - 1).max())
    assert errors[1] < 1e-3
    assert errors[1] < errors[0] / 50  # the next term of the series is of second order in h


@pytest.mark.parametrize("name", list(vg.models("embedded").index))
def test_derivatives_along_a_line_equal_finite_differences_on_the_embedded_networks(name):
    model = vg.load(name, dtype=torch.float64)
    lines = Lines.make(model, vg.samples("imagenet", n=1, size=model.size), 1, None, seed=0)
    start = lines.start(*lines.each())
    smooth = name not in ("resnet", "mobilenetv2")
    # torch has only slow code for the double derivatives of grouped convolutions in float64
    precision = torch.float64 if model.family == "transformer" else torch.float32
    first, second = line_derivatives(model.in_dtype(precision), *(t.to(precision) for t in start))
    # kinks between the points of a ReLU network would spoil a difference of the second order
    h = 3e-4 if smooth else 1e-8
    z = embeddings_along(model, *start, h * torch.arange(-2.0, 3.0, dtype=torch.float64)).unbind(1)
    slope = (z[0] - 8 * z[1] + 8 * z[3] - z[4]) / (12 * h)
    assert float((first - slope).norm() / first.norm()) < (1e-5 if smooth else 1e-3)
    if smooth:
        bend = (-z[0] + 16 * z[1] - 30 * z[2] + 16 * z[3] - z[4]) / (12 * h**2)
        assert float(second.norm() / first.norm()) > 1e-3
        assert float((second - bend).norm() / bend.norm()) < 1e-3
    else:
        assert float(second.norm()) < 1e-4 * float(first.norm())


def test_neither_batch_size_nor_order_of_images_matters(images):
    model = wrapped(smooth_net())
    whole = vg.direction_change(model, images, directions=4, steps=6)["angle"]
    by_default = vg.curvature(model, images, directions=4)["curvature"]
    model.batch_size = 3
    parts = vg.direction_change(model, images.flip(0), directions=4, steps=6)["angle"]
    np.testing.assert_allclose(parts[::-1], whole, rtol=1e-6)
    np.testing.assert_allclose(vg.curvature(model, images, directions=4)["curvature"], by_default, rtol=1e-10)


def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(images):
    refused = []

    class Picky(torch.nn.Sequential):
        def forward(self, x):
            if len(x) > 5:
                refused.append(len(x))
                raise torch.OutOfMemoryError("no room")
            return super().forward(x)

    nets = smooth_net(), Picky(*smooth_net())
    whole, small = (vg.direction_change(wrapped(net), images, directions=2, steps=6) for net in nets)
    np.testing.assert_allclose(small["angle"], whole["angle"], rtol=1e-9)
    assert max(refused) == wrapped(nets[0]).batch_size // 7 * 7 < 3 * 2 * 7


def test_rotating_and_scaling_the_embedding_changes_no_angle(images):
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(0)).double())[0]
    net = smooth_net()
    turned = torch.nn.Sequential(*smooth_net(), torch.nn.Linear(6, 6, bias=False))
    turned[-1].weight.data = 3 * rotation.float()
    a, b = (vg.direction_change(wrapped(n), images, directions=3, steps=5)["angle"] for n in (net, turned))
    np.testing.assert_allclose(a, b, rtol=1e-5)  # the rotation was rounded to float32
    a, b = (vg.curvature(wrapped(n), images, directions=3) for n in (net, turned))
    np.testing.assert_allclose(b["curvature"], a["curvature"] / 3, rtol=1e-5)
    np.testing.assert_allclose(b["turning_rate"], a["turning_rate"], rtol=1e-5)


def test_float32_says_so_where_its_angles_are_rounding(images):
    single, double = wrapped(smooth_net(), torch.float32), wrapped(smooth_net())
    honest = vg.direction_change(double, images, directions=5, steps=10, epsilon=1e-4)
    assert honest.attrs["precision"].startswith("ok")
    lost = vg.direction_change(single, images, directions=5, steps=10, epsilon=1e-4)
    assert lost.attrs["precision"].startswith("lost")
    assert "float64" in lost.attrs["precision"]
    assert np.median(lost["angle"]) > 10 * np.median(honest["angle"])
    np.testing.assert_allclose(np.median(lost["angle"]), np.median(lost["noise_floor"]), rtol=0.7)
    fine = vg.direction_change(single, images, directions=5, steps=10, epsilon=1.0)
    assert fine.attrs["precision"].startswith("ok")


def test_measurement_has_units_provenance_and_leaves_the_global_generator_alone(images, tmp_path):
    model = wrapped(smooth_net())
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    bend = vg.direction_change(model, images, directions=2, steps=4, epsilon=0.02, seed=9)
    curved = vg.curvature(model, images, directions=2)
    assert torch.rand(1) == expected
    assert bend["angle"].dims == ("image", "direction", "step")
    assert bend["angle"].attrs["units"] == "rad"
    assert bend["step"].values.tolist() == [1, 2, 3]
    np.testing.assert_allclose(bend["distance"], [0.005, 0.01, 0.015])
    assert bend.attrs["seed"] == 9
    assert '"step_size": 0.005' in bend.attrs["parameters"]
    for found in (bend, curved):
        path = vg.save_measurement(found, tmp_path / "m.nc")
        assert vg.open_measurement(path).identical(found)


def test_a_network_that_stands_still_has_no_angle(images):
    model = wrapped(Path(lambda u: (0 * u, 0 * u)))
    assert bool(vg.direction_change(model, images, directions=1, steps=3)["angle"].isnull().all())
    assert bool(vg.curvature(model, images, directions=1)["curvature"].isnull().all())


def test_bad_input_is_one_clear_sentence(images):
    model = wrapped(smooth_net())
    with pytest.raises(ArgumentError, match="at least two"):
        vg.direction_change(model, images, steps=1)
    with pytest.raises(ArgumentError, match=r"positive|finite"):
        vg.direction_change(model, images, epsilon=0)
    with pytest.raises(ArgumentError, match=r"positive|finite"):
        vg.curvature(model, images, step=math.inf)
    with pytest.raises(ArgumentError, match="at least one"):
        vg.curvature(model, images, directions=0)
    with pytest.raises(ImageError, match=r"\[0, 1\]"):
        vg.direction_change(model, images + 1)


def test_an_interrupted_direction_change_keeps_its_finished_lines() -> None:
    model, calls = vg.load("vit"), []

    def stop() -> None:
        calls.append(1)
        if len(calls) == 5:  # the first two measure the rounding
            raise KeyboardInterrupt

    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    model.batch_size = 12  # two lines at a time
    settings = {"directions": 4, "steps": 5}
    whole = vg.direction_change(model, x, **settings).angle.values.reshape(8, 4)
    with pytest.raises(vg.errors.Interrupted, match="4 of 8 lines") as stopped:
        vg.direction_change(model.watched(stop), x, **settings)
    kept = stopped.value.finished.angle.values.reshape(8, 4)
    np.testing.assert_array_equal(kept[:4], whole[:4])
    assert np.isnan(kept[4:]).all()
    calls[:] = [1, 1]
    with pytest.raises(KeyboardInterrupt) as plain:
        vg.direction_change(model.watched(stop), x, **settings)
    assert not isinstance(plain.value, vg.errors.Interrupted)
