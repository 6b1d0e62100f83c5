"""Products with the Jacobian through their public door."""

from __future__ import annotations

import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.errors import ArgumentError, ImageError

from ..tiny_networks import N, pixels, random_network


def vectors(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def test_products_are_those_with_the_whole_jacobian_image_by_image():
    model, x = random_network(), pixels(5)
    model.batch_size = 2
    v, u = vectors(5, 3, 2, 2), vectors(5, model.dim)
    J = torch.from_numpy(vg.jacobian(model, x).jacobian.values).flatten(2)
    assert J.shape == (5, model.dim, N)
    torch.testing.assert_close(vg.jvp(model, x, v), torch.einsum("bdn,bn->bd", J, v.flatten(1)), rtol=1e-12, atol=1e-12)
    found = vg.vjp(model, x, u)
    assert found.shape == x.shape
    torch.testing.assert_close(found.flatten(1), torch.einsum("bdn,bd->bn", J, u), rtol=1e-12, atol=1e-12)
    assert not found.requires_grad


def test_products_take_vectors_of_any_precision_and_images_of_samples():
    model, images = vg.load("mobilenetv2"), vg.samples("cifar10", n=2)
    v = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert vg.jvp(model, images, v.double()).dtype == torch.float32
    assert torch.equal(vg.jvp(model, images, v.double()), vg.jvp(model, images.pixels, v))


def test_bad_vectors_are_one_sentence():
    model, x = random_network(), pixels(2)
    for wrong, words in (
        (vectors(1, 3, 2, 2), r"shape \(2, 3, 2, 2\), one vector an image, not \(1, 3, 2, 2\)"),
        (
            vectors(2, 3, 2, 2).tolist(),
            r"a torch tensor or a NumPy array \(of real numbers\) as v, not a value of type list",
        ),
        (torch.ones(2, 3, 2, 2, dtype=torch.int64), "floats"),
        (vectors(2, 3, 2, 2) * torch.nan, "v contains NaN"),
    ):
        with pytest.raises(ArgumentError, match=words):
            vg.jvp(model, x, wrong)
    with pytest.raises(ArgumentError, match=rf"u must be a tensor of floats of shape \(2, {model.dim}\)"):
        vg.vjp(model, x, vectors(2, 3, 2, 2))
    with pytest.raises(ImageError, match="lie in"):
        vg.vjp(model, x + 1, vectors(2, model.dim))
