"""What a model says of images, against its two maps computed all at once."""

from __future__ import annotations

import math

import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.errors import ImageError, LabelError, ModelError
from vitgeom_nb.networks.answers import LARGEST, is_finite

from ..conftest import Affine, wrap_raw
from ..tiny_networks import pixels, random_network


@pytest.fixture
def model() -> vg.VisionModel:
    model = random_network(classes=4)
    model.batch_size = 3
    return model


def test_answers_are_those_of_the_maps(model):
    x = pixels(7)
    with torch.no_grad():
        f, logits = model.embed(x), model.logits(x)
    embeddings, labels, probabilities = model.embeddings(x), model.labels(x), model.probabilities(x)
    torch.testing.assert_close(embeddings, f, rtol=1e-12, atol=1e-12)
    assert labels.dtype == torch.int64
    assert labels.tolist() == [max(range(4), key=lambda c, row=row: row[c]) for row in logits.tolist()]
    by_hand = logits.exp() / logits.exp().sum(1, keepdim=True)
    torch.testing.assert_close(probabilities, by_hand, rtol=1e-12, atol=1e-12)
    for answer in (embeddings, labels, probabilities):
        assert not answer.requires_grad
        assert answer.device.type == "cpu"


def test_probabilities_are_in_double_precision_and_embeddings_in_the_models():
    model, x = random_network(dtype=torch.float32), pixels(2)
    assert model.embeddings(x).dtype == torch.float32
    assert model.probabilities(x).dtype == torch.float64
    torch.testing.assert_close(model.probabilities(x).sum(1), torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-15)


def test_images_pass_in_batches_that_fit(model):
    passes: list[int] = []
    inner = model._logits

    def tight(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        passes.append(len(x))
        if len(x) > 2:
            raise torch.OutOfMemoryError
        return inner(module, x)

    expected = model.labels(pixels(7))
    model._logits = tight
    model.batch_size = 5
    assert torch.equal(model.labels(pixels(7)), expected)
    assert passes == [5, 2, 2, 2, 1]


def test_points_may_lie_outside_the_images(model):
    beyond = 3 * pixels(4) - 1
    with pytest.raises(ImageError, match="lie in"):
        model.embeddings(beyond)
    with torch.no_grad():
        torch.testing.assert_close(model.embed_in_batches(beyond), model.embed(beyond), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(model.logits_in_batches(beyond), model.logits(beyond), rtol=1e-12, atol=1e-12)
    assert not model.logits_in_batches(beyond).requires_grad


def test_images_of_samples_are_taken_as_they_are():
    model, images = vg.load("resnet"), vg.samples("imagenet", n=3)
    assert torch.equal(model.embeddings(images), model.embeddings(images.pixels))


def test_without_a_head_there_are_no_labels():
    model = wrap_raw(Affine(5, 4), 4)
    x = torch.full((1, 3, 4, 4), 0.5)
    assert model.embeddings(x).shape == (1, 5)
    for answer in (model.labels, model.probabilities):
        with pytest.raises(ModelError, match="no classifier head"):
            answer(x)


def test_names_of_classes(model):
    assert model.class_name(torch.tensor([[0, 3]])).tolist() == [["0", "3"]]
    named = random_network()
    named.classes = ["cat", "dog", "boat", "tree", "sky"]
    assert named.class_name(torch.tensor([[1, 0], [4, 1]])).tolist() == [["dog", "cat"], ["sky", "dog"]]
    assert named.class_name(2) == "boat"


def test_labels_come_with_the_images_or_beside_them(model):
    x = pixels(2)
    images = vg.Images(x.float(), ["a", "b"], "here", "none", labels=torch.tensor([3, 1]))
    assert model.pixels_and_labels(images)[1].tolist() == [3, 1]
    taken, labels = model.pixels_and_labels(images, [0, 2])
    assert torch.equal(taken, images.pixels.double())
    assert (labels.tolist(), labels.dtype) == ([0, 2], torch.int64)
    with pytest.raises(LabelError, match=r"have no labels; pass labels=..., or the model's own: model\.labels"):
        model.pixels_and_labels(x)
    with pytest.raises(LabelError, match="go from 0 to 4"):
        model.pixels_and_labels(x, [0, 4])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_rows_that_hold_no_number_or_none_that_has_a_square(dtype):
    """One component in a row of many, against Python's own floats."""
    values = [0.5, -0.5, math.nan, math.inf, -math.inf, 1e30, -1e101, 1e101]
    found = torch.full((len(values), 2, 3), 0.1, dtype=dtype)
    found[:, 1, 1] = torch.tensor(values, dtype=dtype)
    usable = [math.isfinite(float(v)) and abs(float(v)) <= LARGEST for v in found[:, 1, 1]]
    assert is_finite(found).tolist() == usable
    assert usable[:5] == [True, True, False, False, False]
    assert not any(usable[6:])
