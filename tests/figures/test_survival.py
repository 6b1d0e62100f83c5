"""Survival curves: the share that is drawn is the share that was measured."""

import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb import errors
from vitgeom_nb.statistics.intervals import wilson

from ..tiny_networks import pixels, random_network


@pytest.fixture(scope="module")
def network():
    model, x = random_network(), pixels(40)
    labels = torch.where(torch.arange(40) < 34, model.labels(x), (model.labels(x) + 1) % 5)
    return model, x, labels


def test_the_line_is_the_share_of_images_that_keep_their_label(network):
    way = vg.travel_distance(*network, epsilon_max=0.2)
    assert {"crossed", "already wrong", "never wrong"} == set(way.outcome.values)
    axes = vg.figures.survival(way).axes[0]
    at, share = axes.lines[0].get_data()
    right = (way.outcome != "already wrong").values
    distance = np.where(way.outcome == "crossed", way.epsilon, np.inf)[right]
    np.testing.assert_allclose(share, [(distance > size).mean() for size in at])
    assert at[-1] == pytest.approx(0.2)
    assert share[-1] > 0  # those never wrong are still there at the end
    assert (np.diff(share) <= 0).all()
    band = axes.collections[0].get_paths()[0].vertices
    _, low, high = wilson((distance[:, None] > at).sum(0), np.full(len(at), len(distance)))
    assert set(np.round(low, 9)) | set(np.round(high, 9)) <= set(np.round(band[:, 1], 9))
    assert axes.get_ylabel() == "share of images that keep their label"
    assert axes.get_xscale() == "log"


def test_the_smallest_of_all_attacks_lies_below_each(network):
    found = vg.smallest_attack(*network, epsilon_max=0.2)
    axes = vg.figures.survival([found, found]).axes[0]
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert set(lines) == {"fgsm line", "pgd", "deepfool", "smallest of all"}
    least = lines.pop("smallest of all")
    for share in lines.values():
        assert (least <= share + 1e-12).all()
    right = (found.outcome.isel(attack=0) != "already wrong").values
    distance = np.where(found.smallest.isnull(), np.inf, found.smallest)[right]
    np.testing.assert_allclose(least, [(distance > size).mean() for size in axes.lines[0].get_xdata()])


def test_jumps_are_drawn_by_their_direct_way(network):
    jumped = vg.random_jump(*network, epsilon_max=0.2)
    way = vg.travel_distance(*network, epsilon_max=0.2)
    drawn = [vg.figures.survival(data).axes[0].lines[0].get_ydata() for data in (jumped, way)]
    np.testing.assert_allclose(*drawn)


def test_attacks_and_ways_are_not_mixed(network):
    with pytest.raises(errors.ArgumentError, match="of their own"):
        vg.figures.survival([vg.travel_distance(*network), vg.smallest_attack(*network)])
