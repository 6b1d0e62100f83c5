"""Golub-Kahan-Lanczos bidiagonalisation of Jacobians that are never computed, a step at a time."""

from __future__ import annotations

import torch

from ..core.random_directions import generator
from ..networks.answers import Numbers
from ..networks.differentiation import all_derivatives
from ..networks.vision_model import VisionModel

TINY = 1e-30


class Products:
    """J v and J^T u at a batch of images, from one forward pass whose graph is kept.

    `J^T u` is a backward pass through it. That is linear in u, so its own backward pass gives `J v`, for about the
    cost of a forward pass; forward mode costs several.
    """

    def __init__(self, model: VisionModel, x: torch.Tensor, images: Numbers = 0) -> None:
        self.model, self.images, self.shape = model, images, x.shape
        with all_derivatives(cheap_transposes=True), torch.enable_grad():
            self.x = x.detach().requires_grad_()
            self.f = model.embed(self.x)
            model.finite(self.f.detach(), "embedding", first=images)
            self.u = torch.zeros_like(self.f).requires_grad_()
            self.pulled = torch.autograd.grad(self.f, self.x, self.u, create_graph=True)[0]

    def pull(self, u: torch.Tensor) -> torch.Tensor:
        """J^T u, `(B,D)` -> `(B,n)`."""
        with all_derivatives(cheap_transposes=True):
            return torch.autograd.grad(self.f, self.x, u.to(self.f.dtype), retain_graph=True)[0].flatten(1)

    def push(self, v: torch.Tensor) -> torch.Tensor:
        """J v, `(B,n)` -> `(B,D)`."""
        with all_derivatives(cheap_transposes=True):
            v = v.to(self.f.dtype).view(self.shape)
            return torch.autograd.grad(self.pulled, self.u, v, retain_graph=True)[0]

    def finite(self, found: torch.Tensor) -> torch.Tensor:
        """Products `(B,...)`, or vectors made of them, unless there is NaN among them."""
        return self.model.finite(found, "product with J", first=self.images)


class Lanczos:
    r"""`J V = U B` with orthonormal columns in U and V and upper bidiagonal B, a step at a time, for a batch of J.

    .. math:: \alpha_j u_j = J v_j - \beta_{j-1} u_{j-1}, \qquad \beta_j v_{j+1} = J^T u_j - \alpha_j v_j

    with every new vector made orthogonal to all before it, twice. Singular values of B approach those of J from
    below, the largest first. If `B = P S Q^T`, then `J V q_i = s_i U p_i` exactly and `J^T U p_i = s_i V q_i + r_i`,
    where `||r_i|| = \beta_k |e_k^T p_i|` is the residual of the i-th triplet.
    """

    def __init__(self, products: Products, start: torch.Tensor, most: int) -> None:
        self.products = products
        batch, n = start.shape
        self.right = start.new_zeros(batch, most + 1, n)
        self.left = start.new_zeros(batch, most, products.f.shape[1])
        self.alpha, self.beta = start.new_zeros(2, batch, most, dtype=torch.float64)
        self.right[:, 0] = start / start.norm(dim=1, keepdim=True)
        self.steps = 0

    def advance(self) -> None:
        """One step: a product with J and one with its transpose."""
        j = self.steps
        u, alpha = _orthogonal(self.products.push(self.right[:, j]), self.left[:, :j])
        v, beta = _orthogonal(self.products.pull(u), self.right[:, : j + 1])
        self.left[:, j], self.right[:, j + 1] = u, v
        self.alpha[:, j], self.beta[:, j] = alpha, beta
        self.steps += 1

    def values(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Singular values `(B,k)` of B, its left and right vectors `(B,k,k)`, and the residuals `(B,k)`, in float64."""
        k = self.steps
        bidiagonal = torch.diag_embed(self.alpha[:, :k]) + torch.diag_embed(self.beta[:, : k - 1], offset=1)
        left, values, right = torch.linalg.svd(bidiagonal)
        return values, left, right, self.beta[:, k - 1 : k] * left[:, -1].abs()

    def rounding(self) -> torch.Tensor:
        r"""How far rounding has taken the steps from `J V = U B` and `J^T U = V B^T`, `(B,)`, in the Frobenius norm.

        Estimated from one product with each, as `||A w||` of independent standard normal components of w.
        """
        k = self.steps
        w = torch.randn(k, generator=generator(0), dtype=torch.float64).to(self.alpha.device)
        alpha, beta = self.alpha[:, :k], self.beta[:, :k]
        image = alpha * w + torch.cat([beta[:, : k - 1] * w[1:], 0 * beta[:, :1]], dim=1)
        pulled = torch.cat([alpha * w, 0 * beta[:, :1]], dim=1) + torch.cat([0 * beta[:, :1], beta * w], dim=1)

        def combined(basis: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
            return torch.einsum("bj,bjm->bm", weights.expand(len(basis), -1).to(basis.dtype), basis)

        left, right = self.left[:, :k], self.right[:, : k + 1]
        push = self.products.push(combined(right[:, :k], w)) - combined(left, image)
        pull = self.products.pull(combined(left, w)) - combined(right, pulled)
        return torch.hypot(push.norm(dim=1), pull.norm(dim=1)).double()


def _orthogonal(vector: torch.Tensor, basis: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`vector` `(B,m)` less its part in `basis` `(B,j,m)`, of norm 1, and the norm it had; zero where none is left."""
    before = vector.norm(dim=1, keepdim=True)
    for _ in range(2):
        vector = vector - torch.einsum("bj,bjm->bm", torch.einsum("bjm,bm->bj", basis, vector), basis)
    norm = vector.norm(dim=1, keepdim=True)
    norm = torch.where(norm > 10 * torch.finfo(vector.dtype).eps * before, norm, 0.0)
    return vector / norm.clamp_min(TINY) * (norm > 0), norm[:, 0].double()
