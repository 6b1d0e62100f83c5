"""Sizes of images, and pictures that are made to fit them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from vitgeom_nb.core.images import height_and_width, to_bytes
from vitgeom_nb.errors import ArgumentError


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
