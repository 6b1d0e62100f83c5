"""Sizes of images, and pictures that are made to fit them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from vitgeom_nb.core.images import Images, height_and_width, positions, to_bytes
from vitgeom_nb.errors import ArgumentError, ImageError, LabelError


def test_one_number_stands_for_both_sides():
    assert height_and_width(7) == height_and_width((7, 7)) == (7, 7)
    assert height_and_width([6, 10]) == height_and_width(torch.Size((6, 10))) == (6, 10)
    assert height_and_width(np.int64(7)) == (7, 7)
    assert all(type(side) is int for side in height_and_width(np.int64(7)))


@pytest.mark.parametrize("size", [0, -3, 2.5, "big", "ab", (6,), (6, 0), (6, 10, 3), (6, None), None])
def test_what_is_no_size_is_refused(size):
    with pytest.raises(ArgumentError, match=r"^size is .*; pass the side of square images.*\(height, width\)\.$"):
        height_and_width(size)


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((6, 10), (0, 12, 40, 36)),  # as wide as the picture: rows are cropped
        ((6, 4), (4, 0, 36, 48)),  # as high as the picture: columns are cropped
        ((6, 5), (0, 0, 40, 48)),
        (10, (0, 4, 40, 44)),
    ],
)
def test_a_picture_just_covers_the_size_and_its_centre_is_kept(size, box):
    rows, columns = height_and_width(size)
    blocks = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8))
    picture = blocks.resize((40, 48), Image.Resampling.NEAREST)
    scale = max(rows / 48, columns / 40)
    whole = picture.resize((round(40 * scale), round(48 * scale)), Image.Resampling.BICUBIC)
    left, top = round(box[0] * scale), round(box[1] * scale)
    expected = np.asarray(whole)[top : top + rows, left : left + columns]
    found = to_bytes(picture, size)
    assert found.shape == (3, rows, columns)
    assert np.array_equal(found.permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize(
    ("index", "meant"),
    [
        (1, [1]),
        (-1, [3]),
        (np.int64(2), [2]),
        (torch.tensor(2), [2]),
        (slice(1, 3), [1, 2]),
        (slice(None, None, -2), [3, 1]),
        ([3, 0], [3, 0]),
        ((0, -2), [0, 2]),
        ([], []),
        (np.array([2, 2]), [2, 2]),
        (torch.tensor([True, False, False, True]), [0, 3]),
        ([False, True, False, False], [1]),
    ],
)
def test_images_are_chosen_as_lists_and_arrays_are(index, meant):
    assert positions(index, 4).tolist() == meant
    assert positions(index, 4).dtype == torch.int64


@pytest.mark.parametrize("index", ["a", None, 1.5, [0.5], ["a"], [[0, 1]], [True, False], {1: 2}, object(), True])
def test_what_chooses_no_image_is_refused(index):
    images = Images(torch.zeros(4, 3, 2, 2), list("abcd"), "ours", "ours")
    with pytest.raises(ArgumentError, match=r"^Images are chosen by a whole number, a slice"):
        images[index]


@pytest.mark.parametrize("index", [4, -5, [0, 4], torch.tensor([9])])
def test_images_that_are_not_there_are_named(index):
    with pytest.raises(IndexError, match=r"There are 4 images, from 0 to 3, and none at \["):
        positions(index, 4)
    assert len(list(Images(torch.zeros(4, 3, 2, 2), list("abcd"), "ours", "ours"))) == 4  # loops end by it


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"pixels": 3}, ImageError, r"a tensor \(B, 3, H, W\), not int"),
        ({"pixels": torch.zeros(3, 2, 2)}, ImageError, r"not \(3, 2, 2\)"),
        ({"names": ["a"]}, ImageError, "1 names for 2 images"),
        ({"names": [1, 2]}, ArgumentError, "names of Images are a list of texts"),
        ({"names": None}, ArgumentError, "names of Images are a list of texts"),
        ({"source": 1}, ArgumentError, "source of Images is text, not int"),
        ({"licence": None}, ArgumentError, "licence of Images is text"),
        ({"labels": torch.arange(3)}, LabelError, "3 labels for 2 images"),
        ({"labels": [0.5, 1.0]}, LabelError, "whole numbers"),
        ({"labels": "ab"}, LabelError, "whole numbers"),
        ({"class_names": 5}, ArgumentError, "class_names of Images are a list of texts"),
    ],
)
def test_images_that_do_not_fit_together_are_refused(change, error, words):
    right = {"pixels": torch.zeros(2, 3, 2, 2), "names": ["a", "b"], "source": "ours", "licence": "ours"}
    assert Images(**right, labels=[1, 0]).labels.dtype == torch.int64
    with pytest.raises(error, match=words):
        Images(**right | change)
