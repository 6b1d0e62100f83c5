"""Second derivatives of single operations against finite differences of first ones."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import vitgeom_nb as vg
from tests.tiny_networks import pixels, wrapped
from vitgeom_nb.errors import ModelError
from vitgeom_nb.networks.differentiation import all_derivatives

W, B = torch.tensor([0.5, 1.5, 0.7, 1.1], dtype=torch.float64), torch.tensor([0.1, 0.2, -0.3, 0.0], dtype=torch.float64)
OPERATIONS = {
    "layer_norm": lambda x: F.layer_norm(x, (5, 5)),
    "torch.layer_norm": lambda x: torch.layer_norm(x, (5, 5)),
    "instance_norm": lambda x: F.instance_norm(x, weight=W, bias=B),
    "torch.instance_norm": lambda x: torch.instance_norm(x, W, B, None, None, True, 0.1, 1e-5, False),
    "InstanceNorm2d": torch.nn.InstanceNorm2d(4),
    "batch_norm of the batch": lambda x: F.batch_norm(x, None, None, W, B, True),
    "torch.batch_norm of the batch": lambda x: torch.batch_norm(x, W, B, None, None, True, 0.1, 1e-5, False),
    "batch_norm, squared": lambda x: F.batch_norm(x, B, W, W, B).square(),
    "group_norm": lambda x: F.group_norm(x, 2, W, B),
    "rms_norm": lambda x: F.rms_norm(x, (5,)),
    "glu": lambda x: F.glu(x, 1),
    "hardsigmoid, squared": lambda x: F.hardsigmoid(x).square(),
    "softmax": lambda x: x.softmax(1),
    "gelu": F.gelu,
    "attention": lambda x: F.scaled_dot_product_attention(x, 2 * x, 3 * x),
}


@pytest.mark.parametrize("cheap", [False, True])
@pytest.mark.parametrize("name", OPERATIONS)
def test_forward_over_forward_is_the_difference_of_first_derivatives(name, cheap):
    x, v = torch.randn(2, 2, 4, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    f, h = OPERATIONS[name], 1e-5

    def slope(y):
        return torch.func.jvp(f, (y,), (v,))[1]

    plain = f(x)
    with all_derivatives(cheap_transposes=cheap):
        torch.testing.assert_close(f(x), plain, rtol=1e-12, atol=1e-12)
        second = torch.func.jvp(slope, (x,), (v,))[1]
        difference = (slope(x + h * v) - slope(x - h * v)) / (2 * h)
    assert float((second - difference).norm() / difference.norm()) < 1e-7


def test_curvature_checks_itself_against_a_finite_difference():
    for net in (torch.nn.InstanceNorm2d(3, affine=True), torch.nn.LayerNorm((3, 2, 2)), torch.nn.Tanh()):
        model = wrapped(net, embed=lambda m, x: m(x).flatten(1), logits=None)
        said = vg.curvature(model, pixels(1), directions=2).attrs["checked"]
        assert said.startswith("second derivatives agree with a finite difference to ")
        assert float(said.split()[-1]) < 1e-5
    kinked = wrapped(torch.nn.ReLU(), embed=lambda m, x: m(x - 0.5).flatten(1), logits=None)
    assert "agree" in vg.curvature(kinked, pixels(1), directions=2).attrs["checked"]


def test_curvature_refuses_an_operation_whose_second_derivative_is_wrong():
    model = wrapped(
        torch.nn.Identity(),
        embed=lambda m, x: torch.native_layer_norm(x.flatten(1), (12,), None, None, 1e-5)[0],
        logits=None,
    )
    with pytest.raises(ModelError, match="use direction_change"):
        vg.curvature(model, pixels(1), directions=2)


def broken_at(*places):
    """Squares of the distance to an image, and absolute values whose kinks lie as far from it as `places` say."""
    here = pixels(1).flatten(1)

    def embed(m, x):
        moved = (x.flatten(1) - here).to(x.dtype)
        return torch.cat([moved.square(), *((moved - place).abs() for place in places)], dim=1)

    return wrapped(torch.nn.Identity(), embed=embed, logits=None)


def test_curvature_checks_itself_closer_than_any_kink():
    # a random network of the papers' size has kinks within 1e-7 of an image, across which a difference is no derivative
    said = vg.curvature(broken_at(3e-6, 3e-8), pixels(1), directions=2).attrs["checked"]
    assert said.startswith("second derivatives agree with a finite difference to ")
    assert float(said.split()[-1]) < 1e-4
    said = vg.curvature(broken_at(0.0), pixels(1), directions=2).attrs["checked"]
    assert said == "second derivatives are not checked: tiny has kinks wherever a difference was taken"


def test_curvature_says_where_it_could_not_check_itself():
    weight = torch.randn(4, 12)
    model = wrapped(
        torch.nn.Identity(), torch.float32, embed=lambda m, x: (x.flatten(1) @ weight.T).tanh(), logits=None
    )
    said = vg.curvature(model, pixels(1).float(), directions=2).attrs["checked"]
    assert said == "second derivatives are not checked: tiny does not compute in float64"
