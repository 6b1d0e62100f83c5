"""Rounding, as measured, against what steps too short to see really show."""

from __future__ import annotations

import pytest
import torch

import vitgeom_nb as vg
from tests.tiny_networks import pixels, random_network, wrapped
from vitgeom_nb.errors import ModelError
from vitgeom_nb.networks.rounding import rounding, rounding_of_change


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_the_rounding_of_a_change_is_the_one_that_differences_show(name):
    """Images far apart, in float32 and float64: the difference of their embeddings errs by what was measured."""
    model = vg.load(name)
    exact = model.in_dtype(torch.float64)
    x = torch.rand(2, 6, 3, *model.size, generator=torch.Generator().manual_seed(0))
    rough, fine = (m.embed_in_batches(x.flatten(0, 1).to(m.dtype)).double().view(2, 6, -1) for m in (model, exact))
    error = (rough.diff(dim=0) - fine.diff(dim=0))[0].norm(dim=-1)
    ratio = error / rounding_of_change(model, x[0])
    assert 0.5 < float(ratio.median()) < 2
    assert float(ratio.max()) < 4


def test_float64_is_scaled_from_float32():
    single, double = random_network(dtype=torch.float32), random_network()
    x = pixels(4).float()
    measured = rounding(single, lambda m: m.embed(x.to(m.dtype)))
    assert torch.equal(measured, single.embed(x).double() - double.embed(x.double()))
    scaled = rounding(double, lambda m: m.embed(x.to(m.dtype)))
    torch.testing.assert_close(scaled, measured * 2.0**-29, rtol=1e-12, atol=0)


def test_exact_answers_still_round_to_the_nearest_number():
    net = torch.nn.Flatten()
    model = wrapped(net, torch.float32, logits=None)
    floor = rounding_of_change(model, torch.full((1, 3, 2, 2), 0.5))
    assert float(floor) == pytest.approx(2**0.5 * 2**-24 * 12**0.5 / 2, rel=1e-6)


def test_a_network_that_cannot_compute_in_float64_is_named():
    weight = torch.randn(4, 12)
    model = wrapped(torch.nn.Flatten(), torch.float32, embed=lambda m, x: m(x) @ weight.T, logits=None)
    with pytest.raises(ModelError, match="as parameters or buffers"):
        rounding_of_change(model, pixels(1).float())
