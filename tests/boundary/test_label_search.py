"""The search for the crossing: equal to a dense scan, cheap, and never waiting for the device inside its loops."""

import math

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import vitgeom_nb as vg
from vitgeom_nb.boundary.fgsm import depart
from vitgeom_nb.boundary.label_search import Search, travel

from ..tiny_networks import N, linear, pixels, random_network, wrapped

TO_HOST = {"cpu", "tolist", "item", "numpy", "__bool__", "__float__", "__int__", "__index__"}


class HostReads(TorchDispatchMode):
    """Counts what would make an accelerator wait: reading a value, or a size that depends on values."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        by_mask = name in ("index", "index_put_", "index_put") and any(
            i is not None and i.dtype == torch.bool for i in args[1]
        )
        self.count += by_mask or name in ("_local_scalar_dense", "nonzero", "masked_select", "unique_dim", "_unique2")
        return func(*args, **(kwargs or {}))


class HostCopies(TorchFunctionMode):
    """Counts copies to the host, which a test on the host cannot see at work."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.count += getattr(func, "__name__", "") in TO_HOST
        return func(*args, **(kwargs or {}))


def reads_and_copies(model, x, labels, search):
    rounds = []
    counted = model.watched(lambda: rounds.append(1))
    start = depart(model, x, labels)
    with HostReads() as reads, HostCopies() as copies:
        way = travel(counted, start, labels, search, "travel")
    return reads.count, copies.count, len(rounds), way


def test_the_device_is_waited_for_once_a_round_and_never_in_the_bisection():
    model, x = random_network(), pixels(30)
    model.batch_size = 1000
    labels = model.labels(x)
    coarse, fine = (Search.make(1.0, 50, tolerance, False) for tolerance in (1.0 / 50 / 2, 1.0 / 50 / 2**20))
    assert (coarse.halvings, fine.halvings) == (1, 20)
    reads, copies, passes, way = reads_and_copies(model, x, labels, coarse)
    assert (way.outcome == 0).any()
    # one look at which images march on a round of the march, one before it, one at which images bisect; and, on the
    # host, whether the ways of all have ended
    assert reads == (passes - coarse.halvings) + 2 + 1
    assert copies == len(way) + 1
    more, copies, further, _ = reads_and_copies(model, x, labels, fine)
    assert (more, copies) == (reads, len(way) + 1)
    assert further == passes + 19


def test_the_march_looks_ahead_where_few_images_are_left_and_wastes_little():
    # one image, never wrong: every point of the grid is looked at once, in far fewer batches
    model, x, label = linear(torch.zeros(2, N), torch.tensor([1.0, 0.0])), pixels(1), torch.tensor([0])
    model.batch_size = 64
    search = Search.make(1.0, 400, 1e-3, False)
    _, _, passes, way = reads_and_copies(model, x, label, search)
    assert way.evaluations.tolist() == [401]
    assert passes < 40
    # full batches look one step ahead: nothing is wasted
    network, x = random_network(), pixels(40)
    labels = network.labels(x)
    for batch in (1, 40, 1000):
        network.batch_size, search = batch, Search.make(1.0, 200, 1e-3, False)
        way = travel(network, depart(network, x, labels), labels, search, "travel")
        steps = (way.epsilon / search.grid[1]).ceil().nan_to_num(200)
        needed = 1 + steps + search.halvings * (way.outcome == 0)
        assert (way.evaluations >= needed).all()
        assert (way.evaluations <= needed + (steps / 4).ceil()).all()
        if batch == 1:
            assert way.evaluations.tolist() == needed.tolist()


def test_a_batch_that_does_not_fit_is_halved_once_and_nothing_is_lost():
    network, x = random_network(), pixels(30)
    labels, tried = network.labels(x), []

    def picky(module, x):
        tried.append(len(x))
        if len(x) > 8 and not x.requires_grad:
            raise torch.OutOfMemoryError("no room")
        return module(x)

    model = wrapped(network.module, logits=picky)
    model.batch_size = network.batch_size = 30
    way, plain = (vg.travel_distance(m, x, labels, epsilon_max=0.5) for m in (model, network))
    assert [size for size in tried if size > 8] == [30, 30, 15]  # with its gradient, then twice until it fits
    for key in ("epsilon", "outcome", "label_reached"):
        np.testing.assert_array_equal(way[key], plain[key])


def test_evaluations_of_the_three_outcomes():
    model = linear(torch.stack([torch.ones(N), -torch.ones(N)]), torch.tensor([0.0, 10.0]))
    x = torch.tensor([0.2, 0.5, 0.9]).view(3, 1, 1, 1).expand(3, 3, 2, 2)  # class 0 from 5/12 on
    way = vg.travel_distance(model, x, torch.zeros(3).long(), epsilon_max=0.2, grid=7, tolerance=0.2 / 7 / 8)
    # already wrong: the image alone; crossed at 1/12, in the third step, then three halvings; never wrong: the grid
    assert way.evaluations.values.tolist() == [1, 1 + 3 + 3, 1 + 7]
    assert way.evaluations.attrs["units"] == "1"


def dense_scan(model, x, labels, step, end):
    """First wrong multiple of `step` up to `end` (NaN if none), and how many points each image took to get there."""
    direction = vg.fgsm_direction(model, x, labels)
    epsilon, taken = np.full(len(x), math.nan), np.zeros(len(x), dtype=int)
    right = np.arange(len(x))
    for k in range(1, round(end / step) + 1):
        with torch.no_grad():
            seen = model.logits(x[right] + k * step * direction[right]).argmax(1)
        taken[right] += 1
        wrong = (seen != labels[right]).numpy()
        epsilon[right[wrong]] = k * step
        right = right[~wrong]
        if not len(right):
            break
    return epsilon, taken


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_equals_a_dense_scan_on_every_image_in_a_fifth_of_its_evaluations(name):
    model, tolerance, end = vg.load(name), 2.5e-5, 0.1
    x = model.pixels(vg.samples("imagenet", 20, size=model.size))
    labels = model.labels(x)
    way = vg.travel_distance(model, x, labels, epsilon_max=end, tolerance=tolerance)
    dense, taken = dense_scan(model, x, labels, tolerance, end)
    assert (way.outcome == "crossed").all()
    # both upper ends are at most a tolerance beyond the crossing; one more machine epsilon for the float32 of a pixel
    np.testing.assert_allclose(way.epsilon, dense, rtol=0, atol=tolerance + 1e-7)
    assert int(way.evaluations.sum()) <= taken.sum() / 5
    assert int(way.evaluations.sum()) <= len(x) * (end / tolerance) / 5
