"""In which precision the weights of a network travel to the page: in half where its derivatives bear it."""

from __future__ import annotations

import copy

import torch

from ..core.random_directions import generator
from ..networks.vision_model import VisionModel

ENOUGH = 5e-3
"""Relative error up to which embedding and derivatives of a network count as the same."""


def rounded(model: VisionModel) -> VisionModel:
    """A copy of a model whose weights are the nearest numbers in half precision; it computes as the model does."""
    other = copy.copy(model)
    other.module = copy.deepcopy(model.module).half().to(model.dtype)
    return other


def rounding_error(model: VisionModel, images: torch.Tensor) -> float:
    r"""What half precision of the weights costs: the largest relative error of the embedding and of the gradient.

    .. math:: \max_x \max\left(\frac{\lVert f_{16}(x) - f(x)\rVert}{\lVert f(x)\rVert},
              \frac{\lVert g_{16}(x) - g(x)\rVert}{\lVert g(x)\rVert}\right), \quad g = J_f^\top u + J_z^\top v

    with f_16 and g_16 those of `rounded(model)`, and one normally distributed u and v for all images. Kinks make the
    second large in a network with ReLU: a unit near 0 that rounding moves over it changes the gradient by all it has.

    Parameters
    ----------
    model
        A model with a classifier head.
    images
        `(B,3,H,W)` in [0,1].

    Returns
    -------
    float
        Without a unit; infinite or not a number where weights leave the range of half precision.
    """
    draw, found = generator(0), []
    u, v = (torch.randn(1, k, generator=draw) for k in (model.dim, model.logits(images[:1]).shape[1]))
    for one in (model, rounded(model)):
        x = images.to(model.device, model.dtype).clone().requires_grad_()
        with torch.enable_grad():
            embedding, logits = one.embed(x), one.logits(x)
            product = (embedding * u.to(embedding)).sum() + (logits * v.to(logits)).sum()
        found.append([embedding.detach().flatten(1), torch.autograd.grad(product, x)[0].flatten(1)])
    errors = [(half - whole).norm(dim=1) / whole.norm(dim=1) for whole, half in zip(*found, strict=True)]
    return float(torch.stack(errors).max())
