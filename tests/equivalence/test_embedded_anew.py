"""Goals and drifts from pictures alone: as measured where the measurement is right, and not where it is not."""

from __future__ import annotations

import numpy as np

import vitgeom_nb as vg
from vitgeom_nb.equivalence.embedded_anew import drift_of, goal_of

from ..tiny_networks import pixels, random_network


def test_a_match_is_read_from_its_picture() -> None:
    model, source, target = random_network(), pixels(3), pixels(3, seed=7)
    matched = vg.match(model, source, target)
    cosine, left = goal_of(model, matched, source, target)
    np.testing.assert_allclose(cosine, matched.cosine, atol=1e-6)
    np.testing.assert_allclose(left, matched.residual, atol=1e-6)
    other, _ = goal_of(model, matched.assign(matched=matched.matched.isel(pair=[1, 2, 0])), source, target)
    assert (other < cosine - 1e-3).any()


def test_a_drift_is_read_from_the_path() -> None:
    model = random_network()
    walk = vg.fibre_walk(model, pixels(2), pixels(2, seed=7), steps=3)
    np.testing.assert_allclose(drift_of(model, walk), walk.drift, atol=1e-6)
    path = walk.path.copy()
    path[:, -1] = walk.target
    assert (drift_of(model, walk.assign(path=path))[:, -1] > 1e-2).all()
