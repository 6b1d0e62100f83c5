"""Equivalent images against linear algebra, hand-written loops and exact counts."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import torch
import torch.nn.functional as F

import vitgeom_nb as vg
from tests.conftest import Affine, wrap_raw
from tests.tiny_networks import N, linear, pixels
from vitgeom_nb.equivalence.matching import METHODS
from vitgeom_nb.equivalence.proximal_lbfgs import ProximalLBFGS
from vitgeom_nb.errors import ArgumentError, ImageError


class Counting(torch.nn.Module):
    """A small smooth network that counts the images whose gradient is asked for."""

    def __init__(self, kink: bool = False) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(3)
        self.first = torch.nn.Parameter(torch.randn(16, 48, generator=draw) / 5)
        self.second = torch.nn.Parameter(torch.randn(6, 16, generator=draw) / 3)
        self.bend = torch.relu if kink else torch.tanh
        self.counted = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled() and x.requires_grad:
            self.counted += len(x)
        return self.bend(x.flatten(1) @ self.first.T) @ self.second.T


@pytest.fixture
def smooth() -> vg.VisionModel:
    return wrap_raw(Counting(), 4, name="smooth", dtype=torch.float64)


def pairs(count: int = 3, low: float = 0.4, high: float = 0.6) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.rand(2, count, 3, 4, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    source, target = low + (high - low) * drawn
    return source, target


def least_norm(model: vg.VisionModel, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """x_0 + J^+ (t - f(x_0)) for the linear model."""
    inverse = torch.linalg.pinv(model.module.weight)
    return source + ((model.embed(target) - model.embed(source)) @ inverse.T).view_as(source)


def values(dataset: object, name: str) -> torch.Tensor:
    return torch.from_numpy(np.array(dataset[name].values))  # type: ignore[index]


@pytest.mark.parametrize("method", ["minimum-change", "gauss-newton", "gradient-descent"])
def test_linear_match_is_the_least_norm_solution(affine: vg.VisionModel, method: str) -> None:
    """Steps in the row space of J from x_0 end at the nearest solution while no bound is active."""
    source, target = pairs()
    expected = least_norm(affine, source, target)
    assert expected.min() > 0
    assert expected.max() < 1
    steepest = torch.linalg.matrix_norm(affine.module.weight, 2).item()
    lr = 1 / steepest**2 if method == "gradient-descent" else None
    found = vg.match(affine, source, target, method=method, residual=1e-8, lr=lr)
    assert found.converged.all()
    torch.testing.assert_close(values(found, "matched"), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_reaches_the_target_and_reports_it(smooth: vg.VisionModel, method: str) -> None:
    source, target = pairs(low=0.0, high=1.0)
    found = vg.match(smooth, source, target, method=method, cosine=0.9999, residual=1e-3)
    assert found.converged.all()
    matched = values(found, "matched")
    assert matched.min() >= 0
    assert matched.max() <= 1
    with torch.no_grad():
        f, f_0, t = smooth.embed(matched), smooth.embed(source), smooth.embed(target)
    residual = (f - t).norm(dim=1) / (f_0 - t).norm(dim=1)
    torch.testing.assert_close(values(found, "residual"), residual)
    torch.testing.assert_close(values(found, "cosine"), F.cosine_similarity(f, t))
    torch.testing.assert_close(values(found, "source_cosine"), F.cosine_similarity(f, f_0))
    torch.testing.assert_close(values(found, "pair_cosine"), F.cosine_similarity(f_0, t))
    assert (residual <= 1e-3).all()
    assert (found.cosine >= 0.9999).all()


@pytest.mark.parametrize("method", METHODS)
def test_evaluations_are_counted_exactly(smooth: vg.VisionModel, method: str) -> None:
    """One forward with gradient an evaluation; a Jacobian product is a backward and a forward-mode pass."""
    source, target = pairs(low=0.0, high=1.0)
    smooth.module.counted = 0
    found = vg.match(smooth, source, target, method=method, residual=1e-2)
    points = int(found.loss.notnull().sum())
    if method == "gauss-newton":
        products = smooth.module.counted - points
        assert int(found.evaluations.sum()) == points + 2 * products
        assert products > 0
    else:
        assert int(found.evaluations.sum()) == smooth.module.counted == points


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("budget", [1, 7, 12])
def test_the_budget_holds(smooth: vg.VisionModel, method: str, budget: int) -> None:
    source, target = pairs(low=0.0, high=1.0)
    found = vg.match(smooth, source, target, method=method, cosine=1.0, residual=1e-12, max_evaluations=budget)
    assert not found.converged.any()
    assert (found.evaluations <= budget).all()
    assert found.sizes["step"] <= budget
    lowest = found.loss.min("step")
    reported = (values(found, "matched_embedding") - values(found, "target_embedding")).square().sum(1) / 2
    np.testing.assert_allclose(reported, lowest)


def test_history_begins_at_the_source_and_ends_at_the_match(smooth: vg.VisionModel) -> None:
    source, target = pairs(low=0.0, high=1.0)
    found = vg.match(smooth, source, target, residual=1e-2)
    with torch.no_grad():
        f_0, t = smooth.embed(source), smooth.embed(target)
    np.testing.assert_allclose(found.loss.sel(step=1), (f_0 - t).square().sum(1) / 2)
    np.testing.assert_allclose(found.cosine_history.sel(step=1), F.cosine_similarity(f_0, t))
    np.testing.assert_allclose(found.residual_history.sel(step=1), 1)
    for pair, count in enumerate(found.evaluations.values):
        history = found.residual_history.isel(pair=pair)
        assert history.sel(step=count) == pytest.approx(float(found.residual[pair]))
        assert history.sel(step=slice(count + 1, None)).isnull().all()
        assert (history.sel(step=slice(1, count - 1)) > 1e-2).any()


def test_gradient_descent_is_the_published_loop(smooth: vg.VisionModel) -> None:
    source, target = pairs(low=0.0, high=1.0)
    found = vg.match(
        smooth, source, target, method="gradient-descent", lr=0.3, cosine=1, residual=1e-9, max_evaluations=25
    )
    x, t = source.clone(), smooth.embed(target).detach()
    for step in range(25):
        x.requires_grad_()
        loss = (smooth.embed(x) - t).square().sum(1) / 2
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        np.testing.assert_allclose(found.loss[:, step], loss.detach(), rtol=1e-12)
        x = (x.detach() - 0.3 * gradient).clamp(0, 1)


def test_adam_is_that_of_torch(smooth: vg.VisionModel) -> None:
    source, target = pairs()
    found = vg.match(smooth, source, target, method="adam", lr=0.01, cosine=1, residual=1e-9, max_evaluations=15)
    x, t = source.clone().requires_grad_(), smooth.embed(target).detach()
    optimiser = torch.optim.Adam([x], lr=0.01)
    for step in range(15):
        loss = (smooth.embed(x) - t).square().sum(1) / 2
        np.testing.assert_allclose(found.loss[:, step], loss.detach(), rtol=1e-6)
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
        x.data.clamp_(0, 1)


def test_minimum_change_is_smaller_than_the_first_match_found() -> None:
    """On a network with kinks the proximal term finds a nearer match than steps of Adam do."""
    model = wrap_raw(Counting(kink=True), 4, name="kinks", dtype=torch.float64)
    source, target = pairs(5, 0.1, 0.9)
    near = vg.match(model, source, target, residual=1e-2)
    far = vg.match(model, source, target, method="adam", residual=1e-2, max_evaluations=400)
    both = (near.converged & far.converged).values
    assert both.sum() >= 3
    assert (near.change_norm < far.change_norm)[both].all()


def test_minimum_change_is_the_constrained_minimum_at_active_bounds() -> None:
    """Against scipy's SLSQP: least ||x - x_0|| with W x = W b inside the box."""
    from scipy.optimize import minimize

    model = wrap_raw(Affine(3, 2), 2, name="affine", dtype=torch.float64)
    drawn = torch.rand(2, 1, 3, 2, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    source, target = drawn[0].round(), drawn[1]
    found = vg.match(model, source, target, cosine=-1, residual=1e-6, max_evaluations=3000)
    w, x_0 = model.module.weight.numpy(), source.flatten().numpy()
    exact = minimize(
        lambda x: ((x - x_0) @ (x - x_0) / 2, x - x_0),
        target.flatten().numpy(),
        jac=True,
        bounds=[(0, 1)] * 12,
        constraints={"type": "eq", "fun": lambda x: w @ (x - target.flatten().numpy()), "jac": lambda _: w},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert found.converged.all()
    assert float(found.change_norm[0]) == pytest.approx(np.linalg.norm(exact.x - x_0), rel=0.02)


def test_the_change_is_measured_right(smooth: vg.VisionModel) -> None:
    source, target = pairs()
    found = vg.match(smooth, source, target)
    change = (values(found, "matched") - source).flatten(1)
    torch.testing.assert_close(values(found, "change_norm"), change.norm(dim=1))
    torch.testing.assert_close(values(found, "rms"), change.norm(dim=1) / 48**0.5)
    torch.testing.assert_close(values(found, "max"), change.abs().amax(1))
    np.testing.assert_allclose(found.psnr, -20 * np.log10(found.rms))
    rounded = (values(found, "matched") * 255).round() / 255
    with torch.no_grad():
        f, f_0, t = smooth.embed(rounded), smooth.embed(source), smooth.embed(target)
    np.testing.assert_allclose(found.residual_8bit, (f - t).norm(dim=1) / (f_0 - t).norm(dim=1))
    np.testing.assert_allclose(found.cosine_8bit, F.cosine_similarity(f, t))


def test_labels_are_those_that_the_head_gives(affine: vg.VisionModel, smooth: vg.VisionModel) -> None:
    source, target = pairs()
    found = vg.match(affine, source, target)
    for name, images in (("source", source), ("target", target), ("matched", values(found, "matched"))):
        np.testing.assert_array_equal(found[f"{name}_label"], affine.logits(images).argmax(1))
    assert "matched_label" not in vg.match(smooth, source, target)  # no head, no labels


@pytest.mark.parametrize("method", METHODS)
def test_pairs_do_not_know_of_each_other(smooth: vg.VisionModel, method: str) -> None:
    source, target = pairs(4, 0.1, 0.9)
    order = [2, 0, 3, 1]
    straight = vg.match(smooth, source, target, method=method, max_evaluations=40)
    shuffled = vg.match(smooth, source[order], target[order], method=method, max_evaluations=40)
    np.testing.assert_array_equal(straight.evaluations[order], shuffled.evaluations)
    np.testing.assert_allclose(straight.matched[order], shuffled.matched, atol=1e-9)


def test_a_source_that_embeds_like_its_target_is_left_alone(affine: vg.VisionModel) -> None:
    source, _ = pairs(1)
    null = torch.linalg.svd(affine.module.weight)[2][-1].view(1, 3, 4, 4)
    found = vg.match(affine, source, source + 0.1 * null, residual=2.0)
    assert found.converged.all()
    assert found.evaluations.item() == 1
    assert found.change_norm.item() == 0


def test_it_is_repeatable_and_leaves_the_global_generator_alone(smooth: vg.VisionModel) -> None:
    source, target = pairs()
    state = torch.random.get_rng_state()
    first = vg.match(smooth, source, target)
    assert torch.equal(state, torch.random.get_rng_state())
    assert first.drop_attrs().identical(vg.match(smooth, source, target).drop_attrs())
    assert torch.equal(source, pairs()[0])  # the caller's images are not written to


def test_float32_and_a_caller_without_gradients(smooth: vg.VisionModel) -> None:
    single = wrap_raw(Counting(), 4, name="smooth")
    source, target = pairs()
    with torch.no_grad():
        found = vg.match(single, source.float(), target.float())
    assert found.matched.dtype == np.float32
    assert found.converged.all()
    double = vg.match(smooth, source, target)
    np.testing.assert_allclose(found.matched, double.matched, atol=1e-3)


def test_what_a_linear_match_has_left_is_what_the_pseudoinverse_says(affine: vg.VisionModel) -> None:
    source, target = (part.double() for part in pairs(2))
    matches = vg.match(affine, source, target, cosine=1.0, residual=1e-9, max_evaluations=3)
    left = vg.match_remainder(affine, matches)
    gap = (matches.target_embedding - matches.matched_embedding).values
    for i, image in enumerate(torch.from_numpy(matches.matched.values)):
        J = torch.autograd.functional.jacobian(lambda x: affine.embed(x[None])[0], image).flatten(1).double().numpy()
        step = np.linalg.pinv(J) @ gap[i]
        np.testing.assert_allclose(left.least_norm[i], np.linalg.norm(step), rtol=1e-6)
        u, s, _ = np.linalg.svd(J, full_matrices=False)
        assert int(left["rank"][i]) == len(s)
        strong = np.square(u.T @ gap[i])[: len(s) // 2].sum() / np.square(gap[i]).sum()
        np.testing.assert_allclose(left.strong_share[i], strong, rtol=1e-6)
        # the network is linear: the step closes the distance
        closed = affine.embed(image[None] + torch.from_numpy(step).to(image).view_as(image[None]))[0]
        np.testing.assert_allclose(closed, matches.target_embedding.values[i], atol=1e-9)
    nothing = vg.match_remainder(affine, matches.assign(matched_embedding=matches.target_embedding))
    assert nothing.strong_share.isnull().all()
    assert (nothing.least_norm == 0).all()
    other = matches.assign_attrs(weights="of another network")
    with pytest.raises(ArgumentError, match="not made with the weights of affine"):
        vg.match_remainder(affine, other)


def test_nothing_is_left_along_free_pixels_at_a_minimum_in_the_box() -> None:
    """A linear network with a target out of reach: SciPy finds the minimum in the box, where many pixels are held."""
    draw = torch.Generator().manual_seed(0)
    W = torch.randn(5, N, generator=draw, dtype=torch.float64)
    model, source, goal = linear(W), pixels(1), 20 * torch.randn(5, generator=draw, dtype=torch.float64)
    best = scipy.optimize.lsq_linear(W.numpy(), goal.numpy(), (0, 1), method="bvls", tol=1e-14)
    x = torch.from_numpy(best.x).clamp(0, 1)
    matches = vg.match(model, source, pixels(1, seed=2), max_evaluations=1).assign(
        matched=(("pair", "channel", "y", "x"), x.view(1, 3, 2, 2).numpy()),
        matched_embedding=(("pair", "component"), (W @ x)[None].numpy()),
        target_embedding=(("pair", "component"), goal[None].numpy()),
    )
    left = vg.match_remainder(model, matches)
    assert float((goal - W @ x).abs().max()) > 1
    free = N - np.count_nonzero(best.active_mask)
    assert 0 < free < 5
    assert float(left.held[0]) == pytest.approx(1 - free / N)
    assert int(left["rank"][0]) == free
    assert float(left.strong_share[0]) < 1e-12
    assert float(left.least_norm[0]) < 1e-6


def test_the_measurement_survives_netcdf(smooth: vg.VisionModel, tmp_path: object) -> None:
    found = vg.match(smooth, *pairs())
    assert found.psnr.units == "dB"
    assert all(variable.attrs["long_name"] for variable in found.data_vars.values())
    path = vg.save_measurement(found, tmp_path / "match.nc")  # type: ignore[operator]
    assert vg.open_measurement(path).identical(found)


def test_bad_input_names_the_fix(smooth: vg.VisionModel) -> None:
    source, target = pairs()
    with pytest.raises(ArgumentError, match="pair 1 are the same image; choose two that differ"):
        vg.match(smooth, source, torch.cat([target[:1], source[1:2], target[2:]]))
    with pytest.raises(ArgumentError, match="3 source and 2 target images; pass as many of each"):
        vg.match(smooth, source, target[:2])
    with pytest.raises(ArgumentError, match="did you mean 'gradient-descent'"):
        vg.match(smooth, source, target, method="gradient_descend")
    with pytest.raises(ArgumentError, match="there are minimum-change"):
        vg.match(smooth, source, target, method="xyz")
    with pytest.raises(ArgumentError, match=r"cosine is 1.5; ask for a value in \[-1, 1\]"):
        vg.match(smooth, source, target, cosine=1.5)
    with pytest.raises(ArgumentError, match="residual is 0; ask for a positive one"):
        vg.match(smooth, source, target, residual=0)
    with pytest.raises(ArgumentError, match="max_evaluations is 0; allow at least one"):
        vg.match(smooth, source, target, max_evaluations=0)
    with pytest.raises(ArgumentError, match="leave lr out"):
        vg.match(smooth, source, target, lr=0.1)
    with pytest.raises(ArgumentError, match="a learning rate is positive"):
        vg.match(smooth, source, target, method="adam", lr=-1.0)
    with pytest.raises(ImageError, match=r"must have shape \(B, 3, H, W\)"):
        vg.match(smooth, source[0], target)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_two_images_with_one_embedding_are_matched_already(method: str, scale: float) -> None:
    """A network that sees the mean of each channel alone, exactly or to within rounding, and one that sees nothing."""
    shift = torch.linspace(-0.2, 0.2, 16, dtype=torch.float32).view(4, 4)
    source = torch.full((1, 3, 4, 4), 0.4) + shift
    target = torch.full((1, 3, 4, 4), 0.4) - 1.001 * shift  # with another mean, by rounding
    model = wrap_raw(torch.nn.Flatten(), 4, name="means", embed=lambda m, x: scale * x.mean((2, 3)))
    found = vg.match(model, source, target, method=method)
    assert bool(found.converged[0])
    assert int(found.evaluations[0]) == 1
    assert float(found.residual[0]) <= 0.1
    assert np.array_equal(found.matched, found.source)
    way = vg.homotopy(model, source, target, steps=2)
    assert bool(way.converged.all())
    assert not bool(way.residual.isnull().any())


def rippled() -> vg.VisionModel:
    """Sees the means of the channels, with a ripple on them."""

    def embed(m: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean((2, 3))
        return mean + 0.02 * (2 * torch.pi * mean / 0.05).sin()

    return wrap_raw(torch.nn.Identity(), 4, name="rippled", dtype=torch.float64, embed=embed)


@pytest.mark.parametrize("budget", [80, 150, 300, 600])
def test_no_pair_is_lost_in_a_trap_that_long_steps_pass(budget: int) -> None:
    """The loss has a local minimum in every ripple: L-BFGS alone stays in the first, Adam in long steps passes them."""
    model = rippled()
    source = torch.full((2, 3, 4, 4), 0.2, dtype=torch.float64)
    target = torch.stack([torch.full((3, 4, 4), 0.7), torch.full((3, 4, 4), 0.6)]).double()
    goal = {"cosine": 0.99, "residual": 0.05, "max_evaluations": budget}
    assert int(vg.match(model, source, target, method="adam", lr=0.03, **goal).evaluations.max()) == 38
    found = vg.match(model, source, target, **goal)
    assert bool(found.converged.all())
    alone = ProximalLBFGS(source.flatten(1))
    x, t = source.flatten(1).clone(), model.embed(target)
    for _ in range(budget):
        leaf = x.clone().requires_grad_()
        loss = (model.embed(leaf.view_as(source)) - t).square().sum(1) / 2
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        x = alone(torch.arange(2), x, loss.detach(), gradient)
    assert float((model.embed(x.view_as(source)) - t).norm(dim=1).min()) > 0.2


def test_psnr_is_recorded_by_evaluation(smooth: vg.VisionModel) -> None:
    """Against the published loop: the PSNR of the image that the loop has at each evaluation, endless at the source."""
    source, target = pairs(low=0.0, high=1.0)
    found = vg.match(
        smooth, source, target, method="gradient-descent", lr=0.3, cosine=1, residual=1e-9, max_evaluations=9
    )
    x, t = source.clone(), smooth.embed(target).detach()
    for step in range(9):
        np.testing.assert_allclose(found.psnr_history[:, step], vg.psnr(x, source), rtol=1e-9)
        x.requires_grad_()
        (gradient,) = torch.autograd.grad((smooth.embed(x) - t).square().sum() / 2, x)
        x = (x.detach() - 0.3 * gradient).clamp(0, 1)
    assert np.isinf(found.psnr_history[:, 0]).all()
    assert found.psnr_history.units == "dB"
