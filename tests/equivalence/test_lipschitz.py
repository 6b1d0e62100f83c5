"""Local directional Lipschitz constants on maps whose answer is known."""

import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb import errors
from vitgeom_nb.core.random_directions import random_directions
from vitgeom_nb.equivalence.lipschitz import descent_directions, slope_square_sd
from vitgeom_nb.jacobians.gram import spectrum
from vitgeom_nb.jacobians.rows import jacobian_rows
from vitgeom_nb.networks.embedded import FAMILIES

from ..conftest import wrap_raw

N = 48
RADII = (0.01, 0.1, 1.0)


@pytest.fixture
def bent():
    torch.manual_seed(3)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(N, 16), torch.nn.GELU(), torch.nn.Linear(16, 5))
    return wrap_raw(net, 4, dtype=torch.float64)


def test_a_linear_map_has_constants_that_do_not_depend_on_the_radius(affine, pixels):
    result = vg.lldlc(affine, pixels, radii=RADII, directions=6)
    assert result.lldlc.dims == ("image", "kind", "direction", "radius")
    assert list(result.kind.values) == ["random", "gradient", "matching", "top", "null"]
    weight = affine.module.weight.double().numpy()
    s = np.linalg.svd(weight, compute_uv=False)
    v = random_directions(pixels, 6, 0).flatten(2).numpy()
    by_hand = np.linalg.norm(v @ weight.T, axis=2)
    for k in range(3):
        np.testing.assert_allclose(result.lldlc.sel(kind="random")[:, :, k], by_hand, rtol=1e-10)
        np.testing.assert_allclose(result.lldlc.sel(kind="top")[:, :2, k], s[0], rtol=1e-9)
    assert float(result.lldlc.sel(kind="null").max()) < 1e-10
    np.testing.assert_allclose(result.top_singular_value, s[0], rtol=1e-9)
    np.testing.assert_allclose(result.predicted_ratio, s[0] * N**0.5 / np.linalg.norm(weight), rtol=1e-9)
    ratio = s[0] / np.sqrt((by_hand**2).mean(1))
    np.testing.assert_allclose(result.measured_ratio, np.tile(ratio, (3, 1)).T, rtol=1e-9)
    np.testing.assert_allclose(result.limit_ratio, ratio, rtol=1e-9)


def test_kinds_with_fewer_directions_end_in_nan(affine, pixels):
    result = vg.lldlc(affine, pixels, radii=RADII, directions=6)
    counts = result.lldlc.isel(radius=0).notnull().sum("direction")
    for kind, count in {"random": 6, "gradient": 1, "matching": 1, "top": 2, "null": 6}.items():
        assert (counts.sel(kind=kind) == count).all()
    assert result.slope.notnull().equals(result.lldlc.isel(radius=0, drop=True).notnull())


def test_the_gradient_direction_of_a_linear_map_is_its_transpose_times_the_gap(affine, pixels):
    weight = affine.module.weight.double().numpy()
    result = vg.lldlc(affine, pixels, kinds=("random", "gradient"), radii=RADII, directions=3)
    gap = (pixels.roll(-1, 0) - pixels).flatten(1).double().numpy() @ weight.T
    way = gap @ weight
    by_hand = np.linalg.norm(way @ weight.T, axis=1) / np.linalg.norm(way, axis=1)
    for k in range(len(RADII)):
        np.testing.assert_allclose(result.lldlc.sel(kind="gradient")[:, 0, k], by_hand, rtol=1e-9)
    np.testing.assert_allclose(result.slope.sel(kind="gradient")[:, 0], by_hand, rtol=1e-9)
    assert "match_distance" not in result


def test_the_gradient_direction_lowers_the_distance_to_the_target_fastest(bent, pixels):
    target = pixels.roll(1, 0)
    way = descent_directions(bent, pixels, target)
    h, t = 1e-5, bent.embeddings(target)

    def fall(v):
        ahead, behind = ((bent.embeddings(pixels + s * v) - t).square().sum(1) / 2 for s in (h, -h))
        return (behind - ahead) / (2 * h)

    steepest = fall(way)
    for v in random_directions(pixels, 5, 1).transpose(0, 1):
        assert (fall(v) < steepest).all()


def test_gradient_directions_ask_for_targets(bent, pixels):
    with pytest.raises(errors.ArgumentError, match="gradient"):
        vg.lldlc(bent, pixels[:1], kinds=("gradient",))
    with pytest.raises(errors.ArgumentError, match="the same image"):
        vg.lldlc(bent, pixels, kinds=("gradient",), targets=pixels)


def test_the_matching_direction_leads_to_the_match(bent, pixels):
    result = vg.lldlc(bent, pixels, kinds=("matching",), radii=RADII)
    found = vg.match(bent, pixels, pixels.roll(-1, 0))
    np.testing.assert_allclose(result.match_distance, found.change_norm, rtol=1e-9)
    with torch.no_grad():
        f, g = bent.embed(pixels), bent.embed(torch.from_numpy(found.matched.values))
    at_match = vg.lldlc(
        bent, pixels[:1], kinds=("matching",), radii=(float(found.change_norm[0]),), targets=pixels[1:2]
    )
    assert float(at_match.lldlc[0, 0, 0, 0]) == pytest.approx(
        float((g - f)[0].norm()) / float(found.change_norm[0]), rel=1e-6
    )


def test_matches_take_what_they_are_allowed_and_say_whether_they_arrived(bent, pixels):
    short = vg.lldlc(bent, pixels, kinds=("matching",), radii=RADII, max_evaluations=2, slopes=False)
    found = vg.match(bent, pixels, pixels.roll(-1, 0), max_evaluations=2)
    assert not short.match_arrived.any()
    np.testing.assert_allclose(short.match_distance, found.change_norm, rtol=1e-9)
    whole = vg.lldlc(bent, pixels, kinds=("matching",), radii=RADII, slopes=False)
    np.testing.assert_array_equal(whole.match_arrived, vg.match(bent, pixels, pixels.roll(-1, 0)).converged)
    assert whole.match_arrived.all()


def test_constants_tend_to_the_jacobian_and_never_pass_its_norm_there(bent, pixels):
    result = vg.lldlc(bent, pixels, kinds=("random", "top", "null"), radii=(1e-5, 1e-4), directions=8)
    smallest = result.lldlc.isel(radius=0)
    # the remainder is r/2 ||f''||, of order 1e-5
    np.testing.assert_allclose(smallest, result.slope, atol=1e-4)
    assert (result.slope.max(("kind", "direction")) <= result.top_singular_value * (1 + 1e-12)).all()
    np.testing.assert_allclose(
        result.slope.sel(kind="top")[:, :2], np.stack([result.top_singular_value] * 2, 1), rtol=1e-9
    )


def test_the_mean_square_over_random_directions_is_the_frobenius_norm_over_n(bent, pixels):
    count = 20000
    J = jacobian_rows(bent, pixels[0])
    squares = (random_directions(pixels[:1], count, 5)[0].flatten(1) @ J.T).square().sum(1)
    expected = float(J.square().sum()) / N
    relative = slope_square_sd(spectrum(J), N)
    # five standard errors: fails once in two million seeds, and the seed is fixed
    assert abs(float(squares.mean()) / expected - 1) < 5 * relative / count**0.5
    # the spread itself: the standard error of a standard deviation is below 2 % at this sample size
    assert float(squares.std()) / expected == pytest.approx(relative, rel=0.06)


def test_the_spread_of_slopes_by_hand():
    # one row: (J v)^2 is n v_1^2, whose mean is 1 and variance 2 (n - 1) / (n + 2); an isometry has no spread
    assert slope_square_sd(spectrum(torch.eye(1, N)), N) == pytest.approx((2 * (N - 1) / (N + 2)) ** 0.5)
    assert slope_square_sd(spectrum(torch.eye(N)), N) == pytest.approx(0, abs=1e-7)


def test_the_measured_ratio_agrees_with_the_law(bent, pixels):
    result = vg.lldlc(bent, pixels, kinds=("random", "top"), radii=(1e-4,), directions=400)
    gap = abs(result.limit_ratio / result.predicted_ratio - 1) / result.ratio_error
    assert float(gap.max()) < 5
    np.testing.assert_allclose(result.measured_ratio[:, 0], result.limit_ratio, rtol=1e-3)
    np.testing.assert_allclose(result.predicted_ratio, np.sqrt(N / result.stable_rank), rtol=1e-12)


def test_slopes_without_a_jacobian_are_those_of_the_jacobian(bent, pixels):
    kinds = ("random", "matching")
    forward = vg.lldlc(bent, pixels, kinds=kinds, radii=RADII, directions=20)
    backward = vg.lldlc(bent, pixels, kinds=(*kinds, "top"), radii=RADII, directions=20)
    np.testing.assert_allclose(forward.slope, backward.slope.sel(kind=list(kinds)), rtol=1e-12)
    np.testing.assert_array_equal(forward.lldlc, backward.lldlc.sel(kind=list(kinds)))
    assert not {"top_singular_value", "stable_rank", "predicted_ratio", "limit_ratio"} & set(forward)
    quick = vg.lldlc(bent, pixels, kinds=kinds, radii=RADII, directions=20, slopes=False)
    assert quick.equals(forward.drop_vars("slope"))


@pytest.mark.parametrize("name", FAMILIES)
def test_slopes_of_embedded_networks_are_those_of_the_jacobian(name):
    model = vg.load(name)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    slopes = vg.lldlc(model, images, kinds=("random",), radii=(0.1,), directions=3).slope[:, 0]
    ways = random_directions(images, 3, 0).flatten(2).double()
    expected = torch.stack(
        [(v @ jacobian_rows(model, x).double().T).norm(dim=1) for v, x in zip(ways, images, strict=True)]
    )
    np.testing.assert_allclose(slopes, expected, rtol=1e-4)


def test_constants_are_forward_passes_in_full_batches(bent, pixels):
    sizes = []

    def embed(module, x):
        sizes.append(len(x))
        return module(x)

    model = wrap_raw(bent.module, 4, dtype=torch.float64, embed=embed)
    sizes.clear()
    vg.lldlc(model, pixels, kinds=("random",), radii=RADII, directions=30, slopes=False)
    full, rest = divmod(3 * 30 * 3, model.batch_size)
    # the images, and once more in each precision for what rounding adds, and the steps
    assert sizes == [3, 3, 3, *[model.batch_size] * full, rest]


def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(bent, pixels):
    refused = []

    def embed(module, x):
        if len(x) > 5:
            refused.append(len(x))
            raise torch.OutOfMemoryError("no room")
        return module(x)

    model = wrap_raw(bent.module, 4, dtype=torch.float64, embed=embed)
    kinds = ("random", "top")
    small, whole = (vg.lldlc(m, pixels, kinds=kinds, radii=RADII, directions=8) for m in (model, bent))
    np.testing.assert_allclose(small.lldlc, whole.lldlc, rtol=1e-10)
    np.testing.assert_allclose(small.slope, whole.slope, rtol=1e-10)
    assert refused[0] == model.batch_size < 3 * 8 * 3


def test_ratios_only_where_both_kinds_are_there(affine, pixels):
    result = vg.lldlc(affine, pixels, kinds=("top",), radii=RADII)
    assert "predicted_ratio" in result
    assert "measured_ratio" not in result
    assert "match_distance" not in result


def test_an_embedded_network_keeps_its_constants_below_the_norm_of_its_jacobian():
    model = vg.load("vit")
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    result = vg.lldlc(model, images, kinds=("random", "top", "null"), radii=(0.01,), directions=4)
    assert float(result.slope.max()) <= float(result.top_singular_value[0]) * (1 + 1e-5)
    allowed = 0.05 * float(result.top_singular_value[0]) + float(result.rounding[0]) / 0.01
    assert float(abs(result.lldlc[..., 0] - result.slope).max()) < allowed


def test_images_do_not_depend_on_their_batch(bent, pixels):
    kinds = ("random", "top", "null")
    together = vg.lldlc(bent, pixels, kinds=kinds, radii=RADII, directions=3)
    alone = vg.lldlc(bent, pixels[1:2], kinds=kinds, radii=RADII, directions=3)
    np.testing.assert_allclose(together.lldlc[1], alone.lldlc[0], rtol=1e-8, atol=1e-10)


def test_measurements_survive_a_file(affine, pixels, tmp_path):
    result = vg.lldlc(affine, pixels, radii=RADII, directions=2)
    assert vg.open_measurement(vg.save_measurement(result, tmp_path / "lldlc.nc")).identical(result)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"kinds": ("random", "topmost")}, "random, gradient, matching, top, null"),
        ({"kinds": ()}, "name each once"),
        ({"kinds": ("top", "top")}, "name each once"),
        ({"radii": (-1.0,)}, "positive, finite and increasing"),
        ({"directions": 0}, "at least one"),
        ({"tolerance": 0.0}, "between 0 and 1"),
    ],
)
def test_bad_arguments(affine, pixels, bad, message):
    with pytest.raises(errors.ArgumentError, match=message):
        vg.lldlc(affine, pixels, **bad)


def test_one_image_needs_a_target_to_match(affine, pixels):
    with pytest.raises(errors.ArgumentError, match="targets="):
        vg.lldlc(affine, pixels[:1], radii=RADII)
    with pytest.raises(errors.ArgumentError, match="same image"):
        vg.lldlc(affine, pixels, radii=RADII, targets=pixels)
