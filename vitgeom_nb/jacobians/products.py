"""Products with the Jacobian J = df/dx of an embedding: J v and J^T u, image by image, without J in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from ..core.arguments import checked
from ..core.batching import kept_in_batches
from ..errors import ArgumentError
from ..networks.differentiation import all_derivatives
from ..networks.vision_model import VisionModel


def jvp_at(model: VisionModel, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """`jvp` at points that need not lie in [0,1], all at once."""
    with all_derivatives():
        return torch.func.jvp(model.embed, (x,), (v,))[1].detach()


def vjp_at(model: VisionModel, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """`vjp` at points that need not lie in [0,1], all at once."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        return torch.autograd.grad(model.embed(leaf), leaf, u)[0]


def _factor(model: VisionModel, given: Any, shape: tuple[int, ...], name: str) -> torch.Tensor:
    """The vectors to multiply, checked, where the model computes."""
    if not isinstance(given, torch.Tensor) or given.shape != shape or not given.is_floating_point():
        got = tuple(given.shape) if isinstance(given, torch.Tensor) else type(given).__name__
        raise ArgumentError(f"{name} must be a tensor of floats of shape {shape}, one vector an image, not {got}.")
    if not bool(torch.isfinite(given).all()):
        raise ArgumentError(f"{name} contains NaN or infinite values.")
    return given.detach().to(model.device, model.dtype)


def _products(
    at: Callable[[VisionModel, torch.Tensor, torch.Tensor], torch.Tensor],
    model: VisionModel,
    pixels: torch.Tensor,
    factors: torch.Tensor,
) -> torch.Tensor:
    """Products of J, or of its transpose, with one factor an image, in batches that are kept."""
    model.embed_in_batches(pixels)  # NaN is no embedding to differentiate, whatever its derivative
    return model.finite(kept_in_batches(partial(at, model), pixels, factors, size=model.batch_size), "product with J")


@checked
def jvp(model: VisionModel, images: Any, v: torch.Tensor) -> torch.Tensor:
    r"""Jacobian-vector products of the embedding by forward mode: how fast it moves when an image moves along v.

    .. math:: J_b v_b = \lim_{h \to 0} \frac{f(x_b + h v_b) - f(x_b)}{h}, \qquad b = 1, \dots, B

    Parameters
    ----------
    model
        The network; products are in its dtype.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns: the points x.
    v
        `(B,3,H,W)`: one direction an image, of any length, in pixel values.

    Returns
    -------
    torch.Tensor
        `(B,D)`, embedding units per unit of h, on the model's device, without a graph.

    Raises
    ------
    ImageError
        If the images are not what the model takes.
    ArgumentError
        If `v` is not a finite tensor of that shape.
    ModelError
        If an embedding or a product is NaN or infinite.
    Interrupted
        If someone stops it; `finished` then has the products of the first images.

    References
    ----------
    [salman2024], the local linear map J.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> model = vg.wrap(net, mean=[0] * 3, std=[1] * 3, size=4)
    >>> x, v = torch.rand(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    >>> torch.allclose(vg.jvp(model, x, v), v.flatten(1) @ net[1].weight.T, atol=1e-6)
    True
    """
    pixels = model.pixels(images)
    return _products(jvp_at, model, pixels, _factor(model, v, tuple(pixels.shape), "v"))


@checked
def vjp(model: VisionModel, images: Any, u: torch.Tensor) -> torch.Tensor:
    r"""Vector-Jacobian products of the embedding by reverse mode: the gradient of u . f at each image.

    .. math:: J_b^T u_b = \nabla_x \langle u_b, f(x) \rangle \big|_{x = x_b}, \qquad b = 1, \dots, B

    Parameters
    ----------
    model
        The network; products are in its dtype.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns: the points x.
    u
        `(B,D)`: one covector an image.

    Returns
    -------
    torch.Tensor
        `(B,3,H,W)`, per unit of pixel value (black to white), on the model's device, without a graph.

    Raises
    ------
    ImageError
        If the images are not what the model takes.
    ArgumentError
        If `u` is not a finite tensor of that shape.
    ModelError
        If an embedding or a product is NaN or infinite.
    Interrupted
        If someone stops it; `finished` then has the products of the first images.

    References
    ----------
    [salman2024], the local linear map J.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> model = vg.wrap(net, mean=[0] * 3, std=[1] * 3, size=4)
    >>> x, u = torch.rand(2, 3, 4, 4), torch.randn(2, 5)
    >>> torch.allclose(vg.vjp(model, x, u).flatten(1), u @ net[1].weight, atol=1e-6)
    True
    """
    pixels = model.pixels(images)
    return _products(vjp_at, model, pixels, _factor(model, u, (len(pixels), model.dim), "u"))
