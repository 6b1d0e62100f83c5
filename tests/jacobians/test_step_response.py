"""Steps from an image on maps whose answer is known."""

import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb import errors
from vitgeom_nb.jacobians.gram import spectrum
from vitgeom_nb.jacobians.rows import jacobian_rows
from vitgeom_nb.jacobians.step_response import embedding_steps, first_crossing, null_and_normal

from ..conftest import wrap_raw

N = 48
RADII = (0.01, 0.1, 1.0)


class Quadratic(torch.nn.Module):
    """f(x) = W x + c ||x - x_0||^2 e_1 with x_0 = 0.5: at x_0 the linearisation error of every step is c r^2."""

    def __init__(self, c: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(4, N, generator=torch.Generator().manual_seed(0)))
        self.c = c

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bend = torch.nn.functional.pad(self.c * (x.flatten(1) - 0.5).square().sum(1, keepdim=True), (0, 3))
        return x.flatten(1) @ self.weight.T + bend


@pytest.fixture
def grey():
    return torch.full((1, 3, 4, 4), 0.5, dtype=torch.float64)


def test_a_linear_map_has_no_error_and_null_steps_no_effect(affine, pixels):
    result = vg.step_response(affine, pixels, radii=RADII, directions=5)
    assert result.change.dims == ("image", "kind", "direction", "radius")
    assert result.change.shape == (3, 3, 5, 3)
    assert float(result.linearisation_error.max()) < 1e-11
    assert float(result.change.sel(kind="null").max()) < 1e-12
    np.testing.assert_allclose(result.change, result.slope * result.radius, atol=1e-12)
    assert set(result.linear_outcome.values.flat) == {"beyond the last radius"}
    assert bool(result.linear_radius.isnull().all())


def test_the_three_directions_are_unit_and_split_the_random_one(affine, pixels):
    J = jacobian_rows(affine, pixels[0])
    v = torch.randn(6, N, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    null, normal = null_and_normal(J, v, spectrum(J))
    np.testing.assert_allclose(null.norm(dim=1), 1, rtol=1e-12)
    np.testing.assert_allclose(normal.norm(dim=1), 1, rtol=1e-12)
    np.testing.assert_allclose((null * normal).sum(1), 0, atol=1e-12)
    rebuilt = (v * null).sum(1, keepdim=True) * null + (v * normal).sum(1, keepdim=True) * normal
    np.testing.assert_allclose(rebuilt, v, atol=1e-12)
    assert float((null @ J.T).abs().max()) < 1e-12


def test_the_error_of_a_quadratic_by_hand(grey):
    c = 0.3
    model = wrap_raw(Quadratic(c), 4, dtype=torch.float64)
    result = vg.step_response(model, grey, radii=(0.01, 0.1, 1.0, 10.0, 100.0), directions=4)
    r, g = result.radius, result.yardstick
    expected = (c * r / g).transpose(*result.change.dims)
    np.testing.assert_allclose(result.linearisation_error, expected, rtol=1e-7)
    np.testing.assert_allclose(result.change.sel(kind="null"), np.broadcast_to(c * r**2, (1, 4, 5)), rtol=1e-9)
    weight = model.module.weight.detach().double()
    np.testing.assert_allclose(g.sel(kind="null"), float(weight.norm()) / N**0.5, rtol=1e-6)
    for kind in ("random", "normal"):
        np.testing.assert_array_equal(g.sel(kind=kind), result.slope.sel(kind=kind))
    # the error is a power of the radius, so that the log-log interpolation is exact
    np.testing.assert_allclose(result.linear_radius, 0.1 * g / c, rtol=1e-6)
    assert set(result.linear_outcome.values.flat) == {"crossed"}


def test_normal_steps_move_further_than_random_ones_by_the_square_root_of_n_over_rank(affine, pixels):
    result = vg.step_response(affine, pixels[:1], radii=(0.1,), directions=2000)
    ratio = float(result.slope.sel(kind="normal").std() ** 2 + result.slope.sel(kind="normal").mean() ** 2)
    ratio /= float(result.slope.sel(kind="random").std() ** 2 + result.slope.sel(kind="random").mean() ** 2)
    assert ratio**0.5 == pytest.approx((N / 5) ** 0.5, rel=0.05)


def test_crossings():
    radii = torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)
    errors_ = torch.tensor(
        [[0.01, 1.0, 2.0], [0.2, 0.3, 0.4], [0.01, 0.02, 0.03], [torch.nan, 1, 1], [0.2, 0.01, 1.0]],
        dtype=torch.float64,
    )
    radius, outcome = first_crossing(errors_, radii, 0.1)
    assert list(outcome) == [
        "crossed",
        "below the first radius",
        "beyond the last radius",
        "undefined",
        "below the first radius",
    ]
    assert float(radius[0]) == pytest.approx(10**0.5)
    assert bool(radius[1:].isnan().all())
    single, outcome = first_crossing(errors_[:1, :1], radii[:1], 0.1)
    assert bool(single.isnan().all())
    assert list(outcome) == ["beyond the last radius"]


def test_rounding_does_not_end_a_linear_region():
    class Offset(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("weight", torch.randn(4, N, generator=torch.Generator().manual_seed(0)))

        def forward(self, x):
            return x.flatten(1) @ self.weight.T + 1e5

    result = vg.step_response(wrap_raw(Offset(), 4), torch.full((1, 3, 4, 4), 0.5), radii=(1e-3, 1e-2, 0.1))
    assert float(result.linearisation_error.sel(kind="random").max()) > 0.1
    assert set(result.linear_outcome.values.flat) == {"beyond the last radius"}
    # the last addition rounds each of four components to a multiple of 2^-7, so a difference of two errs by up to that
    assert 0.2 * 4**0.5 * 2**-7 < float(result.rounding[0]) < 1.5 * 4**0.5 * 2**-7


def test_kinks_of_a_relu_network_are_found_where_they_are(grey):
    class Kink(torch.nn.Module):
        """f doubles its slope along the mean of the pixels at a distance of 0.2."""

        def forward(self, x):
            s = (x.flatten(1) - 0.5).sum(1, keepdim=True) / N**0.5
            return s + torch.relu(s - 0.2)

    model = wrap_raw(Kink(), 4, dtype=torch.float64)
    along = torch.full((1, N), N**-0.5, dtype=torch.float64)
    moved = embedding_steps(model, grey[0], along, torch.tensor([0.1, 0.2, 0.4]))
    np.testing.assert_allclose(moved[0, :, 0], [0.1, 0.2, 0.6], atol=1e-12)


def test_images_do_not_depend_on_their_batch_and_seeds_matter(affine, pixels):
    together = vg.step_response(affine, pixels, radii=RADII, directions=2)
    alone = vg.step_response(affine, pixels[2:], radii=RADII, directions=2)
    np.testing.assert_allclose(together.slope[2], alone.slope[0], rtol=1e-10, atol=1e-12)
    other = vg.step_response(affine, pixels[2:], radii=RADII, directions=2, seed=1)
    assert not np.allclose(other.slope.sel(kind="random"), alone.slope.sel(kind="random"))


def test_the_global_generator_is_left_alone(affine, pixels):
    before = torch.random.get_rng_state()
    vg.step_response(affine, pixels[:1], radii=RADII, directions=2)
    assert torch.equal(before, torch.random.get_rng_state())


def test_measurements_survive_a_file(affine, pixels, tmp_path):
    result = vg.step_response(affine, pixels[:1], radii=RADII, directions=2)
    assert vg.open_measurement(vg.save_measurement(result, tmp_path / "steps.nc")).identical(result)
    np.testing.assert_allclose(result.rms, np.array(RADII) / N**0.5)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"radii": ()}, "positive, finite and increasing"),
        ({"radii": (1.0, 0.1)}, "positive, finite and increasing"),
        ({"radii": (0.0, 0.1)}, "positive, finite and increasing"),
        ({"directions": 0}, "at least one"),
        ({"threshold": 0.0}, "between 0 and 1"),
        ({"tolerance": 1.0}, "between 0 and 1"),
    ],
)
def test_bad_arguments(affine, pixels, bad, message):
    with pytest.raises(errors.ArgumentError, match=message):
        vg.step_response(affine, pixels, **bad)
