"""Bound-constrained L-BFGS with a proximal term, one independent problem a row, as a sequence of trial points."""

from __future__ import annotations

from collections.abc import Iterator

import torch

COLUMNS = 16384  # components of the secant pairs that are multiplied at a time
ARMIJO = 1e-4
CUT = 10.0
GIVE_UP = 20
TINY = 1e-30


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).sum(-1)


def inverse_hessian_product(
    vector: torch.Tensor,
    steps: torch.Tensor,
    changes: torch.Tensor,
    scale: torch.Tensor,
    mu: torch.Tensor | float = 0.0,
    newest_first: torch.Tensor | None = None,
    known: torch.Tensor | bool = True,
    free: torch.Tensor | bool = True,
    rows: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""The L-BFGS two-loop recursion, row by row, for secant pairs s and y + mu s over the `free` components.

    `vector` is `(R,n)`, and so is `free`; `steps` s and `changes` y are `(R,m,n)`, or stores of more of which `rows`
    `(R,)` counts, newest first or in the order that `newest_first` `(R,m)` gives. `known` `(R,m)` says which count,
    newest first; pairs without positive curvature are left out. `scale` `(R,)` is the inverse curvature where no pair
    says better. The recursion runs on inner products alone, for long vectors are slow to read:

    .. math:: H v = \gamma \bigl(v - \textstyle\sum_i \alpha_i y_i\bigr) + \sum_i (\alpha_i - \beta_i)\, s_i
    """
    rows = torch.arange(len(vector), device=vector.device) if rows is None else rows
    vector, free = vector * free, torch.as_tensor(free, device=vector.device).expand_as(vector)
    ss, sy, yy, sv, yv = _inner_products(vector, steps, changes, free, rows)
    mu = torch.as_tensor(mu, device=vector.device, dtype=vector.dtype).expand(len(vector))[:, None]
    if newest_first is not None:
        down, across = newest_first[:, :, None].expand_as(ss), newest_first[:, None].expand_as(ss)
        ss, sy, yy = (product.gather(1, down).gather(2, across) for product in (ss, sy, yy))
        sv, yv = sv.gather(1, newest_first), yv.gather(1, newest_first)
    wide = mu[:, :, None]
    yy, sy, yv = yy + wide * (sy + sy.mT) + wide.square() * ss, sy + wide * ss, yv + mu * sv
    curvature, square = sy.diagonal(dim1=1, dim2=2), yy.diagonal(dim1=1, dim2=2).clamp_min(TINY)
    enough = 1e-10 * (ss.diagonal(dim1=1, dim2=2) * square).sqrt().clamp_min(TINY)
    valid = (curvature > enough) & known
    rho = torch.where(valid, 1 / torch.where(valid, curvature, 1.0), 0.0)
    alpha, left = torch.zeros_like(rho), torch.zeros_like(rho)
    for i in range(rho.shape[1]):
        alpha[:, i] = rho[:, i] * (sv[:, i] - _dot(sy[:, i], alpha))
    for i in reversed(range(rho.shape[1])):  # the newest valid pair sets the scale
        scale = torch.where(valid[:, i], curvature[:, i] / square[:, i], scale)
    pulled = scale[:, None] * (yv - (yy @ alpha[:, :, None])[:, :, 0])
    for i in reversed(range(rho.shape[1])):
        left[:, i] = torch.where(valid[:, i], alpha[:, i] - rho[:, i] * (pulled[:, i] + _dot(sy[:, :, i], left)), 0.0)
    with_changes = scale[:, None] * alpha
    with_steps = left - mu * with_changes
    if newest_first is not None:
        with_steps, with_changes = (
            torch.zeros_like(part).scatter(1, newest_first, part) for part in (with_steps, with_changes)
        )
    out = scale[:, None] * vector
    for columns, s, y in _parts(steps, changes, rows):
        out[:, columns] += (with_steps[:, None] @ s - with_changes[:, None] @ y)[:, 0]
    return out * free


def _parts(
    steps: torch.Tensor, changes: torch.Tensor, rows: torch.Tensor
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """The secant pairs of `rows`, a part of their components at a time: copies that the caches of a processor hold."""
    for start in range(0, steps.shape[2], COLUMNS):
        columns = slice(start, start + COLUMNS)
        yield columns, *(store[:, :, columns].index_select(0, rows) for store in (steps, changes))


def _inner_products(
    vector: torch.Tensor, steps: torch.Tensor, changes: torch.Tensor, free: torch.Tensor, rows: torch.Tensor
) -> list[torch.Tensor]:
    """s s, s y and y y `(R,m,m)`, s v and y v `(R,m)`, over the free components."""
    count, memory = len(rows), steps.shape[1]
    products = [vector.new_zeros(count, memory, memory) for _ in range(3)]
    products += [vector.new_zeros(count, 1, memory) for _ in range(2)]
    for columns, s, y in _parts(steps, changes, rows):
        v = vector[:, None, columns]
        for pairs in (s, y):
            pairs.mul_(free[:, None, columns])
        # v as rows: a batch of matrices times columns is an order of magnitude slower on a processor
        for product, a, b in zip(products, (s, s, y, v, v), (s, y, y, s, y), strict=True):
            product += a @ b.mT
    return [*products[:3], *(product[:, 0] for product in products[3:])]


class ProximalLBFGS:
    r"""Minimise `phi(x) + mu/2 ||x - x_0||^2` over the box [0,1]^n while mu falls to 0.

    Each call takes the value and gradient of phi at the trial points and returns the next trial points, so that
    whoever evaluates phi also counts. Secant pairs come from phi alone, and mu is added to them when they are used,
    so they stay right when mu changes. Pixels at a bound that the gradient pushes outward are held.

    mu starts at a fraction of the curvature that the first gradient shows, and is cut tenfold when the proximal
    gradient is of the size of the gradient that is left, or after `patience` accepted steps: the balance alone stalls
    at the kinks of ReLU networks.

    Rows take the same operations whatever becomes of them, so that a call waits for nothing on an accelerator.

    Parameters
    ----------
    anchor
        x_0, `(P,n)`.
    memory
        Secant pairs kept a row.
    start_weight
        First mu, in units of ||grad phi||^2 / (2 phi), which is the curvature of phi along its residual.
    balance
        mu is cut when the projected gradient of the sum falls below so many times the proximal gradient.
    patience
        Accepted steps after which mu is cut all the same.
    """

    def __init__(
        self,
        anchor: torch.Tensor,
        *,
        memory: int = 20,
        start_weight: float = 0.01,
        balance: float = 3.0,
        patience: int = 30,
    ) -> None:
        count, size = anchor.shape
        self.anchor, self.start_weight, self.balance, self.patience = anchor, start_weight, balance, patience
        self.x, self.gradient, self.direction = anchor.clone(), torch.zeros_like(anchor), torch.zeros_like(anchor)
        self.steps, self.changes = (anchor.new_zeros(count, memory, size) for _ in range(2))
        self.value = anchor.new_full((count,), torch.inf)  # until a row has been evaluated
        self.mu, self.curvature, self.length = (anchor.new_zeros(count) for _ in range(3))
        self.pairs, self.since_cut, self.failures = anchor.new_zeros(3, count, dtype=torch.long)
        self.calls = 0

    def __call__(
        self, rows: torch.Tensor, x: torch.Tensor, value: torch.Tensor, gradient: torch.Tensor
    ) -> torch.Tensor:
        """Next trial points of the problems `rows`; a row comes back unchanged when it can go no further."""
        self.calls += 1
        old, mu, first = self.x[rows], self.mu[rows], self.value[rows].isinf()
        curvature = gradient.square().sum(1) / (2 * value).clamp_min(TINY)
        self.curvature[rows] = torch.where(first, curvature, self.curvature[rows])
        self.mu[rows] = mu = torch.where(first, self.start_weight * curvature, mu)
        away, new_away = old - self.anchor[rows], x - self.anchor[rows]
        rise = value - self.value[rows] + mu / 2 * (new_away.square().sum(1) - away.square().sum(1))
        slope = _dot(self.gradient[rows] + mu[:, None] * away, x - old)
        accepted = first | (rise <= ARMIJO * slope)
        failures = torch.where(accepted, 0, self.failures[rows] + 1)
        stuck = failures == GIVE_UP // 2  # the curvature model is of no use here: forget it
        self.failures[rows] = failures
        self._remember(rows, x - old, gradient - self.gradient[rows], accepted & ~first, stuck)
        for store, new in ((self.x, x), (self.gradient, gradient), (self.value, value)):
            store[rows] = torch.where(accepted.view(-1, *[1] * (new.ndim - 1)), new, store[rows])
        self._cut(rows, accepted)
        # a rejected step is cut to the minimum of the parabola through what is known, within a tenth and a half
        factor = (-slope / (2 * (rise - slope))).nan_to_num(nan=0.1, posinf=0.5, neginf=0.1).clamp(0.1, 0.5)
        aim = accepted | stuck
        self.direction[rows] = torch.where(aim[:, None], self._aim(rows), self.direction[rows])
        self.length[rows] = torch.where(aim, 1.0, self.length[rows] * factor)
        trial = (self.x[rows] + self.length[rows, None] * self.direction[rows]).clamp(0, 1)
        return torch.where((failures > GIVE_UP)[:, None], x, trial)

    def _total_gradient(self, rows: torch.Tensor) -> torch.Tensor:
        return self.gradient[rows] + self.mu[rows, None] * (self.x[rows] - self.anchor[rows])

    def _remember(
        self, rows: torch.Tensor, step: torch.Tensor, change: torch.Tensor, kept: torch.Tensor, stuck: torch.Tensor
    ) -> None:
        """Put the secant pairs that are `kept` in place of the oldest; forget all pairs of rows that are `stuck`."""
        slot = self.pairs[rows] % self.steps.shape[1]
        for store, new in ((self.steps, step), (self.changes, change)):
            store[rows, slot] = torch.where(kept[:, None], new, store[rows, slot])
        self.pairs[rows] = torch.where(stuck, 0, self.pairs[rows] + kept)

    def _cut(self, rows: torch.Tensor, accepted: torch.Tensor) -> None:
        """Lower mu where its problem is solved well enough, or has had its time."""
        x, mu, since = self.x[rows], self.mu[rows], self.since_cut[rows] + accepted
        left = ((x - self._total_gradient(rows)).clamp(0, 1) - x).norm(dim=1)
        pull = mu * (x - self.anchor[rows]).norm(dim=1)
        cut = accepted & ((left <= self.balance * pull) | (since > self.patience))
        less = torch.where(mu / CUT < 1e-8 * self.curvature[rows], 0.0, mu / CUT)
        self.mu[rows], self.since_cut[rows] = torch.where(cut, less, mu), torch.where(cut, 0, since)

    def _aim(self, rows: torch.Tensor) -> torch.Tensor:
        """Quasi-Newton directions over the free pixels."""
        x, gradient, mu = self.x[rows], self._total_gradient(rows), self.mu[rows]
        free = ~(((x <= 0) & (gradient > 0)) | ((x >= 1) & (gradient < 0)))
        downhill = -gradient * free
        memory = min(self.steps.shape[1], self.calls)  # as many pairs as there can be, in the first slots
        age = torch.arange(memory, device=x.device)
        newest_first = (self.pairs[rows, None] - 1 - age) % memory
        scale = 1 / (self.curvature[rows] + mu).clamp_min(TINY)
        known = age < self.pairs[rows, None]
        stores = self.steps[:, :memory], self.changes[:, :memory]
        direction = inverse_hessian_product(downhill, *stores, scale, mu, newest_first, known, free, rows)
        usable = _dot(direction, downhill) > 0
        return torch.where(usable[:, None], direction, scale[:, None] * downhill)
