"""The proximal L-BFGS against problems solved by hand or by scipy."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize

from vitgeom_nb.equivalence.proximal_lbfgs import ProximalLBFGS, inverse_hessian_product


def quadratic(seed: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    root = torch.randn(size, size, generator=draw, dtype=torch.float64)
    return root @ root.T + torch.eye(size, dtype=torch.float64), torch.randn(size, generator=draw, dtype=torch.float64)


def test_two_loop_recursion_is_the_bfgs_inverse() -> None:
    """Against H built pair by pair with the BFGS formula."""
    hessian, _ = quadratic(0, 6)
    draw = torch.Generator().manual_seed(1)
    steps = torch.randn(1, 4, 6, generator=draw, dtype=torch.float64)
    changes = steps @ hessian
    vector = torch.randn(1, 6, generator=draw, dtype=torch.float64)
    newest = float((steps[0, 0] @ changes[0, 0]) / changes[0, 0].square().sum())
    inverse = newest * np.eye(6)
    for s, y in zip(steps[0].flip(0).numpy(), changes[0].flip(0).numpy(), strict=True):  # oldest first
        left = np.eye(6) - np.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
    out = inverse_hessian_product(vector, steps, changes, torch.ones(1, dtype=torch.float64))
    np.testing.assert_allclose(out[0], inverse @ vector[0].numpy(), rtol=1e-10)


def test_pairs_in_any_order_with_mu_added() -> None:
    """Against the plain recursion on the pairs themselves, s and y + mu s, newest first."""
    hessian, _ = quadratic(3, 6)
    draw = torch.Generator().manual_seed(4)
    steps = torch.randn(2, 4, 6, generator=draw, dtype=torch.float64)
    changes, vector = steps @ hessian, torch.randn(2, 6, generator=draw, dtype=torch.float64)
    scale, mu = torch.ones(2, dtype=torch.float64), torch.tensor([0.3, 2.0], dtype=torch.float64)
    plain = inverse_hessian_product(vector, steps, changes + mu[:, None, None] * steps, scale)
    order = torch.tensor([[2, 0, 3, 1], [1, 2, 3, 0]])
    stored_at = order[:, :, None].expand_as(steps)
    stored = [torch.zeros_like(steps).scatter(1, stored_at, pairs) for pairs in (steps, changes)]
    out = inverse_hessian_product(vector, *stored, scale, mu, order)
    np.testing.assert_allclose(out, plain, rtol=1e-10)
    known = torch.tensor([[True, True, False, False]] * 2)
    out = inverse_hessian_product(vector, *stored, scale, mu, order, known)
    two = inverse_hessian_product(vector, steps[:, :2], (changes + mu[:, None, None] * steps)[:, :2], scale)
    np.testing.assert_allclose(out, two, rtol=1e-10)


def test_pairs_without_positive_curvature_are_left_out() -> None:
    hessian, _ = quadratic(0, 6)
    steps = torch.randn(1, 3, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    changes = steps @ hessian
    vector, scale = torch.ones(1, 6, dtype=torch.float64), torch.full((1,), 0.5, dtype=torch.float64)
    spoilt = changes.clone()
    spoilt[0, 1] *= -1
    kept = [0, 2]
    expected = inverse_hessian_product(vector, steps[:, kept], changes[:, kept], scale)
    torch.testing.assert_close(inverse_hessian_product(vector, steps, spoilt, scale), expected)
    nothing = torch.zeros_like(steps)
    torch.testing.assert_close(inverse_hessian_product(vector, nothing, nothing, scale), 0.5 * vector)


def run(hessian: torch.Tensor, centres: torch.Tensor, start: torch.Tensor, calls: int) -> torch.Tensor:
    """Lowest points of (x - c)^T H (x - c) / 2 after `calls` evaluations, one problem a row."""
    solver, x, rows = ProximalLBFGS(start), start, torch.arange(len(start))
    best, lowest = start.clone(), torch.full((len(start),), torch.inf, dtype=start.dtype)
    for _ in range(calls):
        gradient = (x - centres) @ hessian
        value = ((x - centres) * gradient).sum(1) / 2
        better = value < lowest
        best[better], lowest[better] = x[better], value[better]
        assert (x >= 0).all()
        assert (x <= 1).all()
        x = solver(rows, x, value, gradient)
    return best


def test_box_constrained_minimum_is_that_of_scipy() -> None:
    hessian, _ = quadratic(3, 8)
    draw = torch.Generator().manual_seed(4)
    centres = 2 * torch.rand(3, 8, generator=draw, dtype=torch.float64) - 0.5  # some outside the box
    start = torch.rand(3, 8, generator=draw, dtype=torch.float64)
    found = run(hessian, centres, start, calls=150)
    h = hessian.numpy()
    for x, centre in zip(found.numpy(), centres.numpy(), strict=True):
        exact = minimize(
            lambda z, c=centre: ((z - c) @ h @ (z - c) / 2, h @ (z - c)),
            np.full(8, 0.5),
            jac=True,
            bounds=[(0, 1)] * 8,
            method="L-BFGS-B",
            options={"ftol": 1e-15, "gtol": 1e-12},
        )
        assert ((exact.x == 0) | (exact.x == 1)).any()  # the bounds do bite
        np.testing.assert_allclose(x, exact.x, atol=1e-5)


def test_rows_do_not_know_of_each_other() -> None:
    hessian, _ = quadratic(5, 6)
    draw = torch.Generator().manual_seed(6)
    centres = torch.rand(4, 6, generator=draw, dtype=torch.float64)
    start = torch.rand(4, 6, generator=draw, dtype=torch.float64)
    together = run(hessian, centres, start, calls=12)
    alone = torch.cat([run(hessian, centres[i : i + 1], start[i : i + 1], calls=12) for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-11)


def test_it_stays_where_no_step_helps() -> None:
    """A value that always rises makes the line search give up: the trial point comes back unchanged."""
    start = torch.full((1, 4), 0.5, dtype=torch.float64)
    solver, x, rows = ProximalLBFGS(start), start, torch.arange(1)
    for call in range(60):
        new = solver(rows, x, torch.tensor([1.0 + call], dtype=torch.float64), torch.ones_like(start))
        if torch.equal(new, x):
            break
        x = new
    assert call < 30
