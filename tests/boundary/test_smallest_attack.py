"""The smallest of several attacks, where the smallest change is known."""

import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb import errors

from ..tiny_networks import N, linear, pixels, random_network


def test_on_a_linear_map_the_line_is_the_shortest_way_and_no_attack_beats_it():
    weights = torch.randn(2, N, generator=torch.Generator().manual_seed(0))
    model, x = linear(weights), pixels(20) * 0.2 + 0.4  # no way out leaves [0, 1]
    labels = model.labels(x)
    w = (weights[0] - weights[1]).double()
    exact = ((x.flatten(1) @ w).abs() / w.abs().sum()).numpy()
    found = vg.smallest_attack(model, x, labels, epsilon_max=0.4, grid=8, tolerance=1e-6)
    np.testing.assert_allclose(found.epsilon.sel(attack="fgsm line"), exact, atol=2e-6)
    np.testing.assert_allclose(found.epsilon.sel(attack="deepfool"), exact, rtol=0.05)  # it overshoots by 2 %
    pgd = found.epsilon.sel(attack="pgd").values
    assert (pgd >= exact - 1e-9).all()
    # the next of the sizes that it tries, which are a factor apart, or less where the way there was shorter
    assert (pgd <= np.maximum(exact * 100 ** (1 / 7), 0.004) * (1 + 1e-6)).all()
    np.testing.assert_allclose(found.smallest, exact, atol=2e-6)


def test_the_minimum_is_no_larger_than_the_line_and_every_change_changes_the_label():
    model, x = random_network(), pixels(30)
    labels = torch.where(torch.arange(30) < 24, model.labels(x), (model.labels(x) + 1) % 5)
    found = vg.smallest_attack(model, x, labels, epsilon_max=1.0)
    way = vg.travel_distance(model, x, labels, epsilon_max=1.0, clamp=True, tolerance=1e-4)
    np.testing.assert_array_equal(found.epsilon.sel(attack="fgsm line"), way.epsilon)
    np.testing.assert_array_equal(found.outcome.sel(attack="fgsm line"), way.outcome)
    wrong = (way.outcome == "already wrong").values
    assert wrong.tolist() == [False] * 24 + [True] * 6
    assert (found.outcome[wrong] == "already wrong").all()
    assert found.smallest[wrong].isnull().all()
    crossed = found.smallest[~wrong]
    np.testing.assert_array_equal(crossed, found.epsilon[~wrong].min("attack"))
    assert float(crossed.min()) > 0
    assert float((crossed < found.epsilon.sel(attack="fgsm line")[~wrong] - 1e-9).mean()) > 0.1


def test_what_no_attack_moves_is_never_wrong():
    model, x = linear(torch.stack([torch.ones(N), -torch.ones(N)]) * 0.1), torch.full((2, 3, 2, 2), 0.9)
    found = vg.smallest_attack(model, x.double(), torch.tensor([0, 1]), epsilon_max=0.01, grid=2)
    assert (found.outcome[0] == "never wrong").all()
    assert (found.outcome[1] == "already wrong").all()
    assert found.epsilon.isnull().all()


def test_batches_do_not_matter():
    model, x = random_network(), pixels(10)
    labels = model.labels(x)
    whole = vg.smallest_attack(model, x, labels, epsilon_max=1.0)
    model.batch_size = 3
    np.testing.assert_allclose(vg.smallest_attack(model, x, labels, epsilon_max=1.0).epsilon, whole.epsilon, rtol=1e-6)


@pytest.mark.parametrize("wrong", [{"grid": 1}, {"steps": 0}, {"epsilon_max": -1.0}])
def test_sizes_that_leave_nothing_to_try_are_refused(wrong):
    with pytest.raises(errors.ArgumentError):
        vg.smallest_attack(random_network(), pixels(1), torch.tensor([0]), **wrong)
