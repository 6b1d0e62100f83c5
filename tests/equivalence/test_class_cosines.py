"""Cosines within and between classes, where they are known."""

import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb import errors
from vitgeom_nb.equivalence import class_cosines as module

from ..conftest import wrap_raw

# the embedding is the first two pixels: unit vectors at these angles, in degrees
ANGLES = (0, 60, 90, 30, 180)
CLASSES = torch.tensor([0, 0, 0, 1, 2])


def plane():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    net[1].weight.data = torch.zeros(2, 12)
    net[1].weight.data[0, 0] = net[1].weight.data[1, 1] = 2.0
    net[1].bias.data = torch.full((2,), -1.0)  # pixels in [0, 1] embed in [-1, 1]
    return wrap_raw(net, 2, dtype=torch.float64)


def images():
    at = np.radians(ANGLES)
    x = torch.full((len(ANGLES), 12), 0.5, dtype=torch.float64)
    x[:, 0], x[:, 1] = (torch.from_numpy((v + 1) / 2) for v in (np.cos(at), np.sin(at)))
    return x.view(-1, 3, 2, 2)


def test_angles_of_a_plane():
    found = vg.class_cosines(plane(), images(), CLASSES)
    cosine = np.cos(np.radians(np.subtract.outer(ANGLES, ANGLES)))
    within = [cosine[i, [j for j in range(3) if j != i]].mean() for i in range(3)]
    between = cosine[:3, 3:].mean(1)  # of two images the median is the mean too
    np.testing.assert_allclose(found.within[:3], within, atol=1e-12)
    np.testing.assert_allclose(found.within_lowest[:3], [0, 0.5, 0], atol=1e-12)
    np.testing.assert_allclose(found.between[:3], between, atol=1e-12)
    np.testing.assert_allclose(found.between_median[:3], between, atol=1e-12)
    # only the image at 90 degrees has a companion farther off than the middle of the others: that at 0, for 0 < 0.25
    np.testing.assert_allclose(found.overtaken[:3], [0, 0, 0.5])
    assert found.companions.values.tolist() == [2, 2, 2, 0, 0]
    for name in ("within", "within_lowest", "overtaken"):
        assert found[name][3:].isnull().all()


def test_as_many_at_a_time_as_one_likes(monkeypatch):
    model, x = wrap_raw(torch.nn.Flatten(), 2), torch.rand(20, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(20) % 4
    whole = vg.class_cosines(model, x, labels)
    monkeypatch.setattr(module, "AT_ONCE", 3)
    for name, values in vg.class_cosines(model, x, labels).items():
        np.testing.assert_allclose(values, whole[name], rtol=1e-12)
    shuffled = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    again = vg.class_cosines(model, x[shuffled], labels[shuffled])
    np.testing.assert_allclose(again.within, whole.within[shuffled.numpy()], rtol=1e-12)


def test_embeddings_that_know_no_classes_are_overtaken_half_the_time():
    own = torch.Generator().manual_seed(0)
    x = torch.rand(400, 3, 2, 2, generator=own, dtype=torch.float64)
    found = vg.class_cosines(wrap_raw(torch.nn.Flatten(), 2, dtype=torch.float64), x, torch.arange(400) % 4)
    assert float(found.overtaken.mean()) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("labels", [[0, 0, 0, 0, 0], [0, 1, 2, 3, 4]])
def test_classes_that_cannot_be_compared_are_refused(labels):
    with pytest.raises(errors.ArgumentError, match="at least two"):
        vg.class_cosines(plane(), images(), torch.tensor(labels))
