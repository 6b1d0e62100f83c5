import math

import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.bending.image_lines import Lines
from vitgeom_nb.bending.tables import step_law_summary
from vitgeom_nb.errors import ArgumentError


class Circle(torch.nn.Module):
    """The unit circle, once round as u = w . x grows by 2 pi."""

    def __init__(self):
        super().__init__()
        self.register_buffer("w", torch.randn(48, generator=torch.Generator().manual_seed(3)) / 10)

    def forward(self, x):
        u = x.flatten(1) @ self.w
        return torch.stack([torch.cos(u), torch.sin(u)], dim=1)


class Kinks(torch.nn.Module):
    """A path that turns a little, at random, at 20,000 kinks spread evenly along u = w . x."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("w", torch.randn(48, generator=generator) / 10)
        self.register_buffer("at", torch.linspace(-4, 4, 20_000) + 1e-3 * torch.randn(20_000, generator=generator))
        self.register_buffer("turn", torch.randn(20_000, 12, generator=generator) / 400)
        self.register_buffer("drift", torch.ones(12))

    def forward(self, x):
        u = (x.flatten(1) @ self.w)[:, None]
        return u * self.drift + torch.relu(u - self.at) @ self.turn


def wrapped(net, dtype=torch.float32):
    return vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=4, dtype=dtype)


@pytest.fixture
def images():
    return torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(1))


def test_a_smooth_path_turns_by_an_angle_that_grows_like_the_step(images):
    model = wrapped(Circle())
    law = vg.step_law(model, images, directions=4, resamples=50)
    directions = Lines.make(model, images, 4, None, seed=0).directions.flatten(2).double()
    expected = (directions @ model.module.w.double()).abs().numpy()[..., None] * law["step_size"].values
    np.testing.assert_allclose(law["angle"], expected, rtol=1e-5, atol=2e-8)
    assert bool(law["fitted"].all())
    np.testing.assert_allclose(law["exponent"], 1, atol=1e-3)
    np.testing.assert_allclose([law["exponent_low"], law["exponent_high"]], 1, atol=1e-3)


def test_a_path_of_kinks_turns_by_an_angle_that_grows_like_the_root_of_the_step(images):
    law = vg.step_law(wrapped(Kinks()), images, lengths=np.geomspace(1e-4, 1e-1, 7), directions=40, resamples=200)
    rms = law.sel(statistic="rms")
    assert float(rms["exponent"]) == pytest.approx(0.5, abs=0.05)
    assert float(rms["exponent_low"]) < float(rms["exponent"]) < float(rms["exponent_high"])
    assert float(rms["exponent_high"]) < 1  # which a smooth path has
    # the shortest steps mostly cross no kink: the median does not see the law there
    median = law["typical"].sel(statistic="median").values
    assert median[0] < 0.01 * float(rms["typical"][0])
    assert not bool(law["fitted"].sel(statistic="median")[0])


def test_statistics_are_those_of_the_angles(images):
    law = vg.step_law(wrapped(Kinks()), images, directions=3, resamples=10)
    angle = law["angle"].values.reshape(-1, 11)
    np.testing.assert_allclose(law["typical"].sel(statistic="median"), np.median(angle, axis=0))
    np.testing.assert_allclose(law["typical"].sel(statistic="rms"), np.sqrt((angle**2).mean(axis=0)))
    use = law["fitted"].sel(statistic="rms").values
    assert (law["typical"].sel(statistic="rms").values[use] < math.pi / 6).all()
    slope = np.polyfit(np.log(law["step_size"].values[use]), np.log(law["typical"].sel(statistic="rms").values[use]), 1)
    assert float(law["exponent"].sel(statistic="rms")) == pytest.approx(slope[0])


def test_it_computes_in_float64_whatever_the_model(images):
    low, high = (
        vg.step_law(wrapped(Circle(), dtype), images, directions=2) for dtype in (torch.float32, torch.float64)
    )
    assert low.attrs["dtype"] == high.attrs["dtype"] == "float64"
    np.testing.assert_allclose(low["angle"], high["angle"], rtol=1e-4)  # directions were rounded to float32
    assert float(low["noise_floor"][0]) < 1e-6


def test_a_linear_network_has_no_exponent(images):
    torch.manual_seed(0)
    law = vg.step_law(wrapped(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))), images, resamples=10)
    assert not bool(law["fitted"].any())
    assert bool(law["exponent"].isnull().all())
    assert {str(words) for words in law["reason"].values} == {
        "of 11 steps 0 turn by 30 degrees or more and 11 no more clearly than rounding does; a fit needs three others"
    }
    assert step_law_summary([law])["exponent"].item() == str(law["reason"].values[1])


def test_steps_that_all_turn_too_far_are_the_reason(images):
    law = vg.step_law(wrapped(Circle()), images, lengths=(1.5, 2.0, 2.5), directions=10, resamples=10)
    assert "of 3 steps 3 turn by 30 degrees or more and 0 no more" in str(law["reason"].sel(statistic="rms").values)
    short = vg.step_law(wrapped(Kinks()), images, directions=2, resamples=10)
    assert str(short["reason"].sel(statistic="rms").values) == ""


def test_seed_and_file(images, tmp_path):
    model = wrapped(Kinks())
    a, b = (vg.step_law(model, images, directions=2, resamples=20, seed=s) for s in (0, 0))
    assert np.isfinite(a["exponent_low"].sel(statistic="rms"))
    np.testing.assert_array_equal(a["exponent_low"], b["exponent_low"])
    few = vg.step_law(model, images[:5], directions=2, resamples=20)
    assert np.isfinite(few["exponent"].sel(statistic="rms"))
    assert bool(few["exponent_low"].isnull().all() & few["exponent_high"].isnull().all())
    assert vg.open_measurement(vg.save_measurement(a, tmp_path / "law.nc")).identical(a)


@pytest.mark.parametrize("steps", [[1e-3, 1e-2], [1e-2, 1e-3, 1e-4], [0, 1e-3, 1e-2], [1e-3, 1e-2, math.inf]])
def test_unusable_steps_are_one_clear_sentence(images, steps):
    with pytest.raises(ArgumentError, match=r"increasing order|finite"):
        vg.step_law(wrapped(Circle()), images, lengths=steps)


def test_an_image_on_a_tie_of_a_maximum_turns_at_every_step():
    """f(x) = (max(x1, x2), x1): where x1 = x2 the path has a corner of known angle, whatever the step."""

    class Tie(torch.nn.Module):
        def forward(self, x):
            first = x.flatten(1)[:, :2]
            return torch.stack([torch.nn.functional.max_pool1d(first[:, None], 2)[:, 0, 0], first[:, 0]], dim=1)

    images = torch.full((1, 3, 4, 4), 0.5)
    law = vg.step_law(wrapped(Tie()), images, directions=5, resamples=1)
    found = law["angle"].values[0]
    directions = Lines.make(wrapped(Tie()), images, 5, None, seed=0).directions[0].flatten(1)[:, :2].double().numpy()
    for angles, (a, b) in zip(found, directions, strict=True):
        before, beyond = np.array([min(a, b), a]), np.array([max(a, b), a])  # slopes on the two sides
        expected = np.arccos(before @ beyond / np.linalg.norm(before) / np.linalg.norm(beyond))
        np.testing.assert_allclose(angles, expected, rtol=1e-6)
