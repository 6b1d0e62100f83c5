"""The labels beside crossings, where the boundary is known."""

from __future__ import annotations

import numpy as np
import torch

import vitgeom_nb as vg
from vitgeom_nb.boundary.crossings import labels_beside

from ..tiny_networks import pixels, random_network


def test_both_sides_of_each_crossing_are_read_again() -> None:
    model, labels = random_network(), torch.arange(60) % 5
    ways = vg.random_jump(model, pixels(60), labels, epsilon_max=0.1, tolerance=1e-5, pictures=True)
    crossed, wanted = ways.outcome.values == "crossed", labels.numpy()[:, None]
    assert 0 < crossed.sum() < crossed.size
    before, beyond = labels_beside(model.in_dtype(torch.float64), ways)
    assert (before == wanted).all()
    assert ((beyond != wanted) == crossed).all()


def test_a_crossing_that_is_none_is_seen() -> None:
    model, labels = random_network(), torch.arange(60) % 5
    ways = vg.random_jump(model, pixels(60), labels, epsilon_max=0.1, tolerance=1e-5, pictures=True)
    crossed = ways.outcome.values == "crossed"
    for shift, side in ((-5e-5, 1), (5e-5, 0)):
        false = ways.copy(deep=True)
        direction = (ways.moved.values - np.stack([ways.pixels, ways.jumped], 1))[crossed]
        direction = direction / ways.epsilon.values[crossed, None, None, None]
        false.epsilon.values[crossed] += shift
        false.moved.values[crossed] += shift * direction
        read = labels_beside(model, false)[side]
        assert ((read == labels.numpy()[:, None]) == (side == 1))[crossed].mean() > 0.9
