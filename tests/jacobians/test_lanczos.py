"""Leading singular values against NumPy's, and their bounds against the true errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb import errors
from vitgeom_nb.jacobians import lanczos as leading
from vitgeom_nb.jacobians.bidiagonalisation import Lanczos, Products
from vitgeom_nb.jacobians.rows import jacobian_rows
from vitgeom_nb.networks.embedded import FAMILIES

EMBEDDED = tuple(FAMILIES)


def linear(weight: torch.Tensor, dtype: torch.dtype = torch.float64) -> vg.VisionModel:
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = weight.clone()
    side = int((weight.shape[1] / 3) ** 0.5)
    net = torch.nn.Sequential(torch.nn.Flatten(), layer)
    return vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=side, dtype=dtype)


def matrix(values: torch.Tensor, n: int = 192, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    count = len(values)
    left = torch.linalg.qr(torch.randn(count, count, generator=draw, dtype=torch.float64))[0]
    right = torch.linalg.qr(torch.randn(n, count, generator=draw, dtype=torch.float64))[0]
    return left @ torch.diag(values.double()) @ right.T


def images(count: int, size: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", EMBEDDED)
def test_products_from_one_graph_are_those_of_the_jacobian(name: str) -> None:
    """Against forward mode and against J itself, in float64."""
    model = vg.load(name, dtype=torch.float64)
    x = model.pixels(images(2, model.size[0]))
    products = Products(model, x)
    draw = torch.Generator().manual_seed(2)
    v = torch.randn(x.shape, generator=draw, dtype=torch.float64)
    u = torch.randn(2, model.dim, generator=draw, dtype=torch.float64)
    np.testing.assert_allclose(products.push(v.flatten(1)), vg.jvp(model, x, v), rtol=1e-9, atol=1e-10)
    pulled = products.pull(u)
    both = (u * products.push(v.flatten(1))).sum(1), (pulled * v.flatten(1)).sum(1)
    np.testing.assert_allclose(*both, rtol=1e-10)
    if name == "vit":
        np.testing.assert_allclose(pulled[0], u[0] @ jacobian_rows(model, x[0]), rtol=1e-9, atol=1e-12)


def test_the_bidiagonalisation_is_one() -> None:
    J = matrix(torch.linspace(5, 1, 12))
    model = linear(J)
    x = model.pixels(images(1, 8))
    lanczos = Lanczos(Products(model, x), torch.randn(1, 192, generator=torch.Generator().manual_seed(3)).double(), 6)
    for _ in range(6):
        lanczos.advance()
    U, V = lanczos.left[0], lanczos.right[0]
    np.testing.assert_allclose(U @ U.T, np.eye(6), atol=1e-12)
    np.testing.assert_allclose(V @ V.T, np.eye(7), atol=1e-12)
    B = torch.diag(lanczos.alpha[0]) + torch.diag(lanczos.beta[0, :5], diagonal=1)
    np.testing.assert_allclose(J @ V[:6].T, U.T @ B, atol=1e-12)
    values, p, q, residuals = lanczos.values()
    for i in range(6):
        left, right = U.T @ p[0, :, i], V[:6].T @ q[0, i]
        assert float((J.T @ left - values[0, i] * right).norm()) == pytest.approx(float(residuals[0, i]), abs=1e-12)


@pytest.mark.parametrize("name", EMBEDDED[:3])
def test_values_and_bounds_on_the_embedded_networks(name: str) -> None:
    model = vg.load(name, dtype=torch.float64)
    x = images(2, model.size[0])
    top = vg.leading_singular_values(model, x, k=6)
    assert bool(top.converged.all())
    exact = np.stack([np.linalg.svd(jacobian_rows(model, image), compute_uv=False)[:6] for image in model.pixels(x)])
    error = np.abs(top.singular_value.values - exact)
    assert (error <= top.error_bound.values).all()
    assert (top.error_bound.values <= 1e-6 * exact * (1 + 1e-6) + top.rounding.values[:, None]).all()
    assert (top.rounding.values <= 1e-11 * exact[:, 0]).all()


def test_bounds_hold_at_every_step_of_a_slow_spectrum() -> None:
    exact = torch.linspace(1, 0.5, 40, dtype=torch.float64)
    model = linear(matrix(exact))
    lanczos = Lanczos(
        Products(model, model.pixels(images(1, 8))),
        torch.randn(1, 192, generator=torch.Generator().manual_seed(4)).double(),
        40,
    )
    for _ in range(38):
        lanczos.advance()
        values, _, _, residuals = lanczos.values()
        distance = (values[0][:, None] - exact).abs().amin(1)
        assert bool((distance <= residuals[0] + 1e-10).all())  # Weyl: always
        assert bool((values[0] <= 1 + 1e-12).all())  # from below


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bounds_hold_on_operators_with_clustered_values(dtype: torch.dtype) -> None:
    """A hundred random operators in each precision; clusters are 1e-3 to 1e-14 wide, found or not."""
    draw, converged = torch.Generator().manual_seed(5), []
    for seed in range(100):
        centres = torch.rand(4, generator=draw, dtype=torch.float64).sort(descending=True).values + 0.1
        width = 10.0 ** -(3 + 11 * torch.rand(4, 1, generator=draw, dtype=torch.float64))
        exact = (centres[:, None] + width * torch.rand(4, 4, generator=draw, dtype=torch.float64)).flatten()
        k, model = 1 + seed % 8, linear(matrix(exact, n=48, seed=seed), dtype)
        limit = None if seed % 3 else 2 * k + 5  # some of them stopped before their time
        top = vg.leading_singular_values(model, images(1, 4), k=k, max_products=limit, seed=seed)
        nearest = np.abs(top.singular_value.values[0][:, None] - exact.numpy()).min(axis=1)
        assert (nearest <= top.error_bound.values[0]).all()
        assert float(top.rounding[0]) < 100 * torch.finfo(dtype).eps
        converged.append(bool(top.converged[0]))
        if converged[-1]:  # and so a bound to go by
            assert float(top.residual.max()) <= 1e-6 * float(exact.max())
    assert 0.5 < sum(converged) / len(converged) < 1


def test_two_values_that_can_be_told_apart_are_not_taken_for_one() -> None:
    for seed in range(10):
        exact = torch.tensor([1.0, 1.0 - 1e-5, 0.3, 0.2, 0.1, 0.05], dtype=torch.float64)
        top = vg.leading_singular_values(linear(matrix(exact, 48, seed)), images(1, 4), k=2, seed=seed)
        np.testing.assert_allclose(top.singular_value[0], exact[:2], rtol=1e-6)


def test_rounding_is_that_of_the_precision() -> None:
    exact = torch.linspace(4, 1, 12, dtype=torch.float64)
    found = {
        dtype: vg.leading_singular_values(linear(matrix(exact), dtype), images(1, 8), k=3)
        for dtype in (torch.float32, torch.float64)
    }
    single, double = (float(found[dtype].rounding[0]) for dtype in (torch.float32, torch.float64))
    assert 1e-8 < single < 1e-5
    assert single / double == pytest.approx(2**29, rel=0.9)
    error = np.abs(found[torch.float32].singular_value.values - exact[:3].numpy()).max()
    assert error <= single + float(found[torch.float32].residual.max())


def test_all_values_when_k_is_all_of_them() -> None:
    exact = torch.linspace(4, 1, 12, dtype=torch.float64)
    top = vg.leading_singular_values(linear(matrix(exact)), images(2, 8), k=12, vectors=True)
    np.testing.assert_allclose(top.singular_value, np.tile(exact, (2, 1)), rtol=1e-10)
    assert bool(top.converged.all())
    u, s, v = top.left_vector.values, top.singular_value.values, top.right_vector.values.reshape(2, 12, -1)
    np.testing.assert_allclose(np.einsum("irc,ir,irn->icn", u, s, v)[0], matrix(exact), atol=1e-10)
    assert (v.sum(2) > 0).all()


def test_a_jacobian_of_low_rank_ends_early_with_zeros() -> None:
    exact = torch.tensor([3.0, 2.0, 1.0] + [0.0] * 9)
    top = vg.leading_singular_values(linear(matrix(exact)), images(1, 8), k=5)
    np.testing.assert_allclose(top.singular_value[0], [3, 2, 1, 0, 0], atol=1e-9)
    assert bool(top.converged.all())


def test_the_budget_holds_and_what_is_unfinished_says_so() -> None:
    model = linear(matrix(torch.linspace(1, 0.9, 64)))
    top = vg.leading_singular_values(model, images(2, 8), k=4, max_products=15)
    assert int(top.products.max()) == 15
    assert not bool(top.converged.any())
    assert float((top.error_bound / top.singular_value).min()) > 1e-6


def test_batches_change_nothing_and_memory_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = vg.load("vit", dtype=torch.float64), images(3, 64)
    whole, sizes, real = vg.leading_singular_values(model, x, k=3), [], leading.Products

    def small(model: vg.VisionModel, x: torch.Tensor, *numbers: torch.Tensor) -> Products:
        sizes.append(len(x))
        if len(x) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return real(model, x, *numbers)

    monkeypatch.setattr(leading, "Products", small)
    alone = vg.leading_singular_values(model, x, k=3)
    assert sizes == [3, 1, 1, 1]
    np.testing.assert_allclose(whole.singular_value, alone.singular_value, rtol=2e-6)


def test_float32_products_and_a_caller_without_gradients() -> None:
    single, x = vg.load("vit"), images(1, 64)
    with torch.no_grad():
        top = vg.leading_singular_values(single, x, k=10)
    exact = vg.singular_spectrum(vg.load("vit", dtype=torch.float64), x, k=10).singular_value
    np.testing.assert_allclose(top.singular_value, exact, rtol=5e-6)


def test_an_interrupt_leaves_the_finished_images(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, calls, real = linear(matrix(torch.linspace(4, 1, 12))), images(3, 8), [], leading.Products

    def stopped(model: vg.VisionModel, x: torch.Tensor, *numbers: torch.Tensor) -> Products:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(model, x, *numbers)

    monkeypatch.setattr(leading, "Products", stopped)
    model.batch_size = 1
    with pytest.raises(errors.Interrupted, match="2 of 3 images") as stop:
        vg.leading_singular_values(model, x, k=2)
    np.testing.assert_allclose(stop.value.finished.singular_value[:, 0], [4, 4])
    calls[:] = [1, 1]
    with pytest.raises(KeyboardInterrupt) as plain:
        vg.leading_singular_values(model, x, k=2)
    assert not isinstance(plain.value, errors.Interrupted)


def test_it_survives_a_file(tmp_path: object) -> None:
    top = vg.leading_singular_values(linear(matrix(torch.linspace(4, 1, 12))), images(1, 8), k=2, vectors=True)
    assert all(v.attrs["units"] and v.attrs["long_name"] for v in top.data_vars.values())
    path = vg.save_measurement(top, tmp_path / "top.nc")  # type: ignore[operator]
    assert vg.open_measurement(path).identical(top)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 13}, "k from 1 to 12"),
        ({"k": 2, "tolerance": 0}, "between 0 and 1"),
        ({"k": 4, "max_products": 8}, "take at least 9 products"),
    ],
)
def test_bad_input(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(errors.ArgumentError, match=message):
        vg.leading_singular_values(linear(matrix(torch.linspace(4, 1, 12))), images(1, 8), **arguments)


def test_a_network_with_nan_is_named() -> None:
    with pytest.raises(errors.ModelError, match="float64"):
        vg.leading_singular_values(linear(matrix(torch.linspace(4, 1, 12)) * torch.nan), images(1, 8), k=2)
