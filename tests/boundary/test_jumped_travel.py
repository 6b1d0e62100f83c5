import math

import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.boundary.jumped_travel import jump_noise

from ..tiny_networks import N, linear, pixels, random_network, wrapped


def test_the_jump_is_of_the_size_asked_for():
    model, x = random_network(), pixels(8)
    labels = model.labels(x)
    ways = vg.random_jump(model, x, labels, epsilon_max=1.0, pictures=True)
    np.testing.assert_allclose(ways.psnr_jump, -20 * math.log10(0.05), atol=1e-9)
    assert round(float(ways.psnr_jump[0]), 2) == 26.02
    noise = jump_noise(x, 0)
    np.testing.assert_allclose(noise.flatten(1).square().mean(1).sqrt(), 1, atol=1e-12)
    landed = (x + 0.05 * noise).float()
    np.testing.assert_allclose(ways.jumped, landed, atol=1e-7)
    kept = vg.random_jump(model, x, labels, jump=0.5, clamp=True, pictures=True)
    assert all(0 <= float(kept[v].min()) <= float(kept[v].max()) <= 1 for v in ("jumped", "moved"))
    assert (kept.psnr_jump > -20 * math.log10(0.5)).all()


def test_the_direct_path_is_the_travel_distance_and_the_jumped_path_starts_at_the_jump():
    model, x = random_network(), pixels(30)
    labels = torch.arange(30) % 5
    ways = vg.random_jump(model, x, labels, epsilon_max=0.5, tolerance=1e-6)
    way = vg.travel_distance(model, x, labels, epsilon_max=0.5, tolerance=1e-6)
    for key in ("epsilon", "outcome", "label_reached", "psnr"):
        np.testing.assert_array_equal(ways[key].sel(path="direct").values, way[key].values)
    # shift the network instead of the image: z'(x) = z(x + 0.05 u)
    jump = 0.05 * jump_noise(x, 0)
    for i in (0, 1, 2, 6):
        shifted = wrapped(model.module, logits=lambda m, v, i=i: m(v + jump[i : i + 1]))
        alone = vg.travel_distance(shifted, x[i : i + 1], labels[i : i + 1], epsilon_max=0.5, tolerance=1e-6)
        assert alone.outcome[0] == ways.outcome.sel(path="jumped")[i]
        np.testing.assert_allclose(alone.epsilon[0], ways.epsilon.sel(path="jumped")[i], atol=1e-9)


def test_total_change_and_paired_change():
    model, x = random_network(), pixels(40)
    labels = torch.arange(40) % 5
    ways = vg.random_jump(model, x, labels, epsilon_max=0.5, pictures=True)
    for path in ("direct", "jumped"):
        crossed = (ways.outcome.sel(path=path) == "crossed").values
        if path == "jumped":  # or the jump alone was enough
            crossed |= ((ways.outcome == ["crossed", "already wrong"]).all("path")).values
        change = (ways.moved.sel(path=path) - ways.pixels).values.reshape(40, -1)[crossed]
        rms = np.sqrt((change**2).mean(1))
        np.testing.assert_allclose(ways.total.sel(path=path)[crossed], rms, atol=1e-6)
        np.testing.assert_allclose(ways.psnr.sel(path=path)[crossed], -20 * np.log10(rms), atol=1e-3)
        assert np.isnan(ways.total.sel(path=path)[~crossed]).all()
    both = (ways.outcome == "crossed").all("path").values
    change = ways.epsilon.sel(path="jumped") - ways.epsilon.sel(path="direct")
    np.testing.assert_allclose(ways.change[both], change[both], atol=1e-12)
    assert 0 < both.sum() < 40
    np.testing.assert_allclose(ways.bend_change, ways.direction_change.diff("path").squeeze(), atol=1e-12)
    assert float(ways.median_bend_change) == pytest.approx(float(np.nanmedian(ways.bend_change)), abs=1e-12)
    known = ways.change.values[~np.isnan(ways.change.values)]
    assert float(ways.median_change) == pytest.approx(float(np.median(known)), abs=1e-12)
    assert float(ways.median_change_low) <= float(ways.median_change) <= float(ways.median_change_high)


def test_images_that_a_way_does_not_cross_count_as_what_they_are():
    """Two classes left and right of a mean of 0.5: distances are known, with the jump and without."""
    weights = torch.stack([torch.full((N,), 1.0 / N), torch.full((N,), -1.0 / N)])
    model = linear(weights, bias=torch.tensor([-0.5, 0.5]))
    mean = 0.5 + torch.cat([torch.linspace(0.002, 0.05, 30), torch.tensor([0.097, 0.099, 0.101, 0.103, 0.3, -0.1])])
    x, labels = mean.double().view(-1, 1, 1, 1).expand(-1, 3, 2, 2), torch.zeros(36, dtype=torch.long)
    ways = vg.random_jump(model, x, labels, epsilon_max=0.1, tolerance=1e-9)
    after = mean.double() - 0.5 + 0.05 * jump_noise(x, 0).flatten(1).mean(1)
    before, after = (mean.double() - 0.5).numpy(), after.numpy()
    ends = [np.where(d > 0.1, np.inf, d) for d in (before, np.maximum(after, 0))]
    with np.errstate(invalid="ignore"):
        expected = np.where(before < 0, np.nan, ends[1] - ends[0])
    np.testing.assert_allclose(ways.change, expected, atol=1e-7)
    pushed = (ways.outcome == ["crossed", "already wrong"]).all("path").values
    assert pushed.sum() > 1
    np.testing.assert_allclose(ways.change.values[pushed], -before[pushed], atol=1e-7)
    np.testing.assert_allclose(ways.total.sel(path="jumped").values[pushed], 0.05, atol=1e-7)
    assert np.isnan(ways.change.values[-2:]).all()  # never wrong on both ways, and wrong from the start
    assert float(ways.median_change) == pytest.approx(float(np.nanmedian(expected)), abs=1e-7)


def test_a_linear_network_bends_nowhere_and_the_jump_moves_the_boundary_as_computed():
    own = torch.Generator().manual_seed(5)
    weights = torch.randn(2, N, generator=own)
    model, x = linear(weights), pixels(25)
    labels = model.labels(x)
    ways = vg.random_jump(model, x, labels, epsilon_max=2.0, grid=500, tolerance=1e-9)
    bend, right = ways.direction_change.values, ways.outcome.values != "already wrong"
    np.testing.assert_allclose(bend[right], 0, atol=1e-6)
    assert np.isnan(bend[~right]).all()
    assert not right.all()
    w = weights[0].double() - weights[1].double()
    signed = torch.where(labels == 0, 1.0, -1.0) * ((x + 0.05 * jump_noise(x, 0)).flatten(1) @ w)
    ok = (signed > 0).numpy()
    np.testing.assert_array_equal(ways.outcome.sel(path="jumped").values == "crossed", ok)
    np.testing.assert_allclose(ways.epsilon.sel(path="jumped")[ok], signed[ok] / w.abs().sum(), atol=2e-9)


def test_direction_change_along_the_way_is_that_of_direction_change():
    model, x = random_network(), pixels(4)
    labels = model.labels(x)
    ways = vg.random_jump(model, x, labels, early_steps=8, early_step=0.01, epsilon_max=1.0)
    d = vg.fgsm_direction(model, x, labels)
    bend = vg.direction_change(model, x, along=d[:, None], steps=8, epsilon=0.08)
    np.testing.assert_allclose(
        ways.direction_change.sel(path="direct"), bend["angle"].mean("step").squeeze("direction"), rtol=1e-9
    )


def test_seeds_of_the_jump():
    model, x = random_network(), pixels(6)
    labels = model.labels(x)
    state = torch.get_rng_state()
    first, again, other = (vg.random_jump(model, x, labels, seed=s, epsilon_max=1.0) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(first.epsilon, again.epsilon)
    assert (first.epsilon.sel(path="jumped") != other.epsilon.sel(path="jumped")).any()
    np.testing.assert_array_equal(first.epsilon.sel(path="direct"), other.epsilon.sel(path="direct"))


def test_a_jump_depends_on_the_image_and_not_on_its_place():
    x = pixels(7)
    noise, order = jump_noise(x, 0), torch.tensor([3, 0, 6])
    torch.testing.assert_close(jump_noise(x[order], 0), noise[order], rtol=0, atol=0)
    torch.testing.assert_close(jump_noise(x.float(), 0).double(), noise, rtol=0, atol=1e-6)
    flat = noise.flatten(1) / N**0.5
    assert float((flat @ flat.T - torch.eye(7)).abs().max()) < 0.9  # no two alike
    big = jump_noise(torch.rand(4, 3, 32, 32), -5).flatten(1)
    np.testing.assert_allclose(big.mean(1), 0, atol=0.1)
    np.testing.assert_allclose((big**4).mean(1), 3, atol=0.5)  # normal, not uniform or signs
