"""Bound-constrained L-BFGS with a proximal term, one independent problem a row, as a sequence of trial points."""

from __future__ import annotations

import torch

ARMIJO = 1e-4
CUT = 10.0
GIVE_UP = 20
TINY = 1e-30


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).sum(-1)


def inverse_hessian_product(
    vector: torch.Tensor, steps: torch.Tensor, changes: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """The L-BFGS two-loop recursion, row by row.

    `vector` is `(R,n)`; `steps` and `changes` are the secant pairs `(R,m,n)`, newest first. Pairs without positive
    curvature are left out. `scale` `(R,)` is the inverse curvature where no pair says better.
    """
    curvature = _dot(steps, changes)
    valid = curvature > 1e-10 * (steps.norm(dim=-1) * changes.norm(dim=-1)).clamp_min(TINY)
    rho = torch.where(valid, 1 / torch.where(valid, curvature, 1.0), 0.0)
    alphas = []
    for i in range(steps.shape[1]):
        alpha = rho[:, i] * _dot(steps[:, i], vector)
        vector = vector - alpha[:, None] * changes[:, i]
        alphas.append(alpha)
    for i in reversed(range(steps.shape[1])):  # the newest valid pair sets the scale
        newest = curvature[:, i] / changes[:, i].square().sum(-1).clamp_min(TINY)
        scale = torch.where(valid[:, i], newest, scale)
    vector = scale[:, None] * vector
    for i in reversed(range(steps.shape[1])):
        beta = rho[:, i] * _dot(changes[:, i], vector)
        vector = vector + (alphas[i] - beta)[:, None] * steps[:, i]
    return vector


class ProximalLBFGS:
    r"""Minimise `phi(x) + mu/2 ||x - x_0||^2` over the box [0,1]^n while mu falls to 0.

    Each call takes the value and gradient of phi at the trial points and returns the next trial points, so that
    whoever evaluates phi also counts. Secant pairs come from phi alone, and mu is added to them when they are used,
    so they stay right when mu changes. Pixels at a bound that the gradient pushes outward are held.

    mu starts at a fraction of the curvature that the first gradient shows, and is cut tenfold when the proximal
    gradient balances the data gradient, or after `patience` accepted steps: the balance alone stalls at the kinks of
    ReLU networks.

    Parameters
    ----------
    anchor
        x_0, `(P,n)`.
    start_weight
        First mu, in units of ||grad phi||^2 / (2 phi), which is the curvature of phi along its residual.
    balance
        mu is cut when the projected gradient of the sum falls below this fraction of the proximal gradient.
    """

    def __init__(
        self,
        anchor: torch.Tensor,
        *,
        memory: int = 10,
        start_weight: float = 0.1,
        balance: float = 1.0,
        patience: int = 30,
    ) -> None:
        count, size = anchor.shape
        self.anchor, self.start_weight, self.balance, self.patience = anchor, start_weight, balance, patience
        self.x, self.gradient, self.direction = (anchor.clone() for _ in range(3))
        self.steps, self.changes = (anchor.new_zeros(count, memory, size) for _ in range(2))
        self.value, self.mu, self.curvature, self.length = (anchor.new_zeros(count) for _ in range(4))
        self.since_cut, self.failures = (torch.zeros(count, dtype=torch.long, device=anchor.device) for _ in range(2))
        self.started = torch.zeros(count, dtype=torch.bool, device=anchor.device)

    def _total(self, rows: torch.Tensor, value: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return value + self.mu[rows] / 2 * (x - self.anchor[rows]).square().sum(1)

    def _total_gradient(self, rows: torch.Tensor) -> torch.Tensor:
        return self.gradient[rows] + self.mu[rows, None] * (self.x[rows] - self.anchor[rows])

    def __call__(
        self, rows: torch.Tensor, x: torch.Tensor, value: torch.Tensor, gradient: torch.Tensor
    ) -> torch.Tensor:
        """Next trial points of the problems `rows`; a row comes back unchanged when it can go no further."""
        before, total = self._total(rows, self.value[rows], self.x[rows]), self._total(rows, value, x)
        slope = _dot(self._total_gradient(rows), x - self.x[rows])
        accepted = ~self.started[rows] | (total <= before + ARMIJO * slope)
        self._shorten(rows[~accepted], (total - before)[~accepted], slope[~accepted])
        self._accept(rows[accepted], x[accepted], value[accepted], gradient[accepted])
        trial = (self.x[rows] + self.length[rows, None] * self.direction[rows]).clamp(0, 1)
        return torch.where((self.failures[rows] > GIVE_UP)[:, None], x, trial)

    def _shorten(self, rows: torch.Tensor, rise: torch.Tensor, slope: torch.Tensor) -> None:
        """Cut the step to the minimum of the parabola through what is known, within a tenth and a half."""
        if not len(rows):
            return
        self.failures[rows] += 1
        factor = (-slope / (2 * (rise - slope))).nan_to_num(nan=0.1, posinf=0.5, neginf=0.1).clamp(0.1, 0.5)
        self.length[rows] *= factor
        stuck = rows[self.failures[rows] == GIVE_UP // 2]
        if len(stuck):  # the curvature model is of no use here: forget it
            self.steps[stuck], self.changes[stuck] = 0, 0
            self._aim(stuck)

    def _accept(self, rows: torch.Tensor, x: torch.Tensor, value: torch.Tensor, gradient: torch.Tensor) -> None:
        if not len(rows):
            return
        old = rows[self.started[rows]]
        if len(old):
            kept = self.started[rows]
            for store, new in ((self.steps, x - self.x[rows]), (self.changes, gradient - self.gradient[rows])):
                store[old] = torch.cat([new[kept][:, None], store[old][:, :-1]], dim=1)
        self.x[rows], self.value[rows], self.gradient[rows] = x, value, gradient
        new = rows[~self.started[rows]]
        self.curvature[new] = self.gradient[new].square().sum(1) / (2 * self.value[new]).clamp_min(TINY)
        self.mu[new] = self.start_weight * self.curvature[new]
        self.started[rows] = True
        self.failures[rows] = 0
        self.since_cut[rows] += 1
        self._cut(rows)
        self._aim(rows)

    def _cut(self, rows: torch.Tensor) -> None:
        """Lower mu where its problem is solved well enough, or has had its time."""
        x = self.x[rows]
        left = ((x - self._total_gradient(rows)).clamp(0, 1) - x).norm(dim=1)
        pull = self.mu[rows] * (x - self.anchor[rows]).norm(dim=1)
        cut = rows[(left <= self.balance * pull) | (self.since_cut[rows] > self.patience)]
        self.mu[cut] /= CUT
        self.mu[cut] = torch.where(self.mu[cut] < 1e-8 * self.curvature[cut], 0.0, self.mu[cut])
        self.since_cut[cut] = 0

    def _aim(self, rows: torch.Tensor) -> None:
        """Quasi-Newton direction over the free pixels, and a full step along it."""
        x, gradient, mu = self.x[rows], self._total_gradient(rows), self.mu[rows]
        free = ~(((x <= 0) & (gradient > 0)) | ((x >= 1) & (gradient < 0)))
        downhill = -gradient * free
        steps = self.steps[rows] * free[:, None]
        changes = self.changes[rows] * free[:, None] + mu[:, None, None] * steps
        scale = 1 / (self.curvature[rows] + mu).clamp_min(TINY)
        direction = inverse_hessian_product(downhill, steps, changes, scale)
        usable = _dot(direction, downhill) > 0
        self.direction[rows] = torch.where(usable[:, None], direction, scale[:, None] * downhill)
        self.length[rows] = 1.0
