"""Direction changes before training: other weights, the same lines, and nothing left behind in the generator."""

import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb import errors
from vitgeom_nb.networks.untrained import untrained

from ..tiny_networks import pixels, random_network


def test_weights_are_those_that_the_seed_draws():
    model = vg.load("resnet", dtype=torch.float64)
    before = torch.random.get_rng_state()
    first, again, other = (untrained(model, seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert first.digest == again.digest
    assert len({first.digest, other.digest, model.digest}) == 3
    assert first.dtype == torch.float64
    assert [p.shape for p in first.module.parameters()] == [p.shape for p in model.module.parameters()]
    images = vg.samples("cifar10", n=2, size=64)
    found = vg.untrained_direction_change(model, images, directions=2, steps=4, seed=1)
    np.testing.assert_array_equal(found.angle, vg.direction_change(other, images, directions=2, steps=4, seed=1).angle)


def test_other_networks_have_no_time_before_training():
    with pytest.raises(errors.ModelError, match="before training"):
        vg.untrained_direction_change(random_network(), pixels(1))
