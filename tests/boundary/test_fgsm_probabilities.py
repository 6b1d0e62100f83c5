"""Probabilities along FGSM paths: by hand on a linear classifier, and in step with the random jump."""

import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.errors import ArgumentError

from ..tiny_networks import linear, pixels, random_network


def test_on_a_linear_classifier_the_path_is_known():
    model = linear(torch.stack([torch.ones(12), -torch.ones(12)]).double())
    x = torch.full((1, 3, 2, 2), 0.05, dtype=torch.float64)
    path = vg.fgsm_path(model, x, torch.tensor([0]), lengths=(0.0, 0.02, 0.05, 0.08))
    # the logits are +-12 (0.05 - epsilon), their difference 24 (0.05 - epsilon)
    expected = 1 / (1 + np.exp(-24 * (0.05 - path.epsilon)))
    np.testing.assert_allclose(path.probability.sel(path="direct")[0, :, 0], expected, rtol=1e-12)
    assert path.crossing.sel(path="direct")[0] == pytest.approx(0.05, abs=1e-4)
    assert (path.direction.sel(path="direct") == -1).all()


def test_agrees_with_the_random_jump():
    model, x = random_network(), pixels(20)
    labels = model.labels(x)
    path = vg.fgsm_path(model, x, labels, lengths=(0.0, 0.1), jump=0.1, seed=3, epsilon_max=0.5)
    ways = vg.random_jump(model, x, labels, jump=0.1, seed=3, epsilon_max=0.5)
    np.testing.assert_array_equal(path.crossing, ways.epsilon)
    np.testing.assert_array_equal(path.outcome, ways.outcome)
    assert {"crossed"} < set(path.outcome.values.flatten().tolist())
    np.testing.assert_allclose(path.probability.sum("class"), 1, atol=1e-12)
    np.testing.assert_array_equal(path.probability.sel(path="direct")[:, 0].argmax("class"), labels)
    # pictures are rebuilt from origin and direction
    there = torch.from_numpy((path.start + 0.1 * path.direction).values)
    with torch.no_grad():
        p = model.logits(there.flatten(0, 1)).softmax(1).unflatten(0, (20, 2))
    np.testing.assert_allclose(path.probability[:, :, 1], p, atol=1e-12)


def test_the_label_changes_where_the_crossing_is():
    model, x = random_network(), pixels(20)
    labels = model.labels(x)
    crossing = vg.fgsm_path(model, x, labels, epsilon_max=0.5, tolerance=1e-6).crossing.sel(path="direct").values
    for i in np.flatnonzero(np.isfinite(crossing))[:5]:
        around = (crossing[i] - 1e-5, crossing[i] + 1e-5)
        path = vg.fgsm_path(model, x[i : i + 1], labels[i : i + 1], lengths=around, epsilon_max=0.5)
        before, after = path.probability.sel(path="direct")[0].argmax("class").values
        assert before == labels[i] != after


def test_survives_netcdf(tmp_path):
    model, x = random_network(), pixels(2)
    path = vg.fgsm_path(model, x, model.labels(x))
    assert vg.open_measurement(vg.save_measurement(path, tmp_path / "path.nc")).identical(path)


@pytest.mark.parametrize("epsilons", [(), (-0.1, 0.0), (0.1, 0.1), (0.0, float("nan"))])
def test_epsilons_without_meaning_are_refused(epsilons):
    with pytest.raises(ArgumentError, match=r"increasing from 0 or more|finite"):
        vg.fgsm_path(random_network(), pixels(1), torch.tensor([0]), lengths=epsilons)
    with pytest.raises(ArgumentError, match="it must have a positive size"):
        vg.fgsm_path(random_network(), pixels(1), torch.tensor([0]), jump=0)
