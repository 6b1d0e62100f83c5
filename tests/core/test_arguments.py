from __future__ import annotations

import inspect
import os
import typing
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image

import vitgeom_nb as vg
from tests.tiny_networks import pixels, random_network
from vitgeom_nb.core.arguments import checked
from vitgeom_nb.errors import ArgumentError, ImageError, ModelError
from vitgeom_nb.networks.vision_model import VisionModel

MODEL = random_network()


@checked(data=("angle",))
def taken(
    model: VisionModel | None = None,
    *,
    steps: int = 0,
    seed: int = 0,
    epsilon: float | None = None,
    clamp: bool = False,
    radii: Sequence[float] = (),
    kinds: Sequence[str] = (),
    path: str | Path | os.PathLike[str] = "",
    v: torch.Tensor | None = None,
    dtype: torch.dtype | None = None,
    data: xr.Dataset | Iterable[xr.Dataset] | None = None,
    groups: Mapping[str, xr.Dataset] | None = None,
    corners: Sequence[tuple[float, float]] = (),
) -> dict[str, object]:
    """Give back what arrived."""
    return dict(locals())


KIND = xr.Dataset({"angle": 1.0}, attrs={"model": "tiny"})


@pytest.mark.parametrize(
    ("name", "given", "arrives"),
    [
        ("steps", 2.0, 2),
        ("steps", np.int32(3), 3),
        ("steps", torch.tensor(4), 4),
        ("epsilon", np.float64(0.5), 0.5),
        ("epsilon", Fraction(1, 2), 0.5),
        ("epsilon", None, None),
        ("clamp", np.True_, True),
        ("radii", np.array([0.5, 1.0]), (0.5, 1.0)),
        ("radii", [1, torch.tensor(2.0)], (1, 2.0)),
        ("kinds", ["top"], ("top",)),
        ("path", Path("x"), Path("x")),
        ("dtype", torch.float64, torch.float64),
        ("corners", [[0, 1], (1, 2)], ((0, 1), (1, 2))),
    ],
)
def test_what_is_of_the_kind_arrives_plain(name: str, given: object, arrives: object) -> None:
    got = taken(**{name: given})[name]
    assert got == arrives
    assert type(got) is type(arrives)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("steps", 2.5, "takes a whole number up to 1000000 as steps, not 2.5"),
        ("steps", "3", "not '3'"),
        ("steps", True, "not True"),
        ("steps", 10**12, "not 1000000000000"),
        pytest.param("steps", 10**5000, "steps", id="more digits than Python writes"),
        ("seed", -1, "a whole number from 0"),
        ("epsilon", float("nan"), "a finite number up to 1e30 or None as epsilon, not nan"),
        ("epsilon", "small", "not 'small'"),
        ("epsilon", [0.1], "epsilon"),
        ("clamp", 1, "True or False as clamp, not 1"),
        ("radii", "0.1", "a sequence of finite numbers as radii"),
        ("radii", [0.1, None], "radii"),
        ("radii", 0.1, "radii"),
        ("radii", np.ones((2, 2)), "not a value of type ndarray"),
        ("kinds", "random", "a sequence of strings as kinds, not 'random'"),
        ("path", "a\0b", "the path of a file or folder as path"),
        ("path", 3, "the path of a file or folder as path"),
        ("v", [1.0], "a torch tensor or a NumPy array"),
        ("dtype", torch.int32, "a torch.dtype of floats"),
        ("data", xr.Dataset({"angle": 1.0}), "a measurement"),
        ("data", [], "a measurement"),
        (
            "data",
            KIND.rename(angle="epsilon"),
            "another kind as data, as its help says: this one, of tiny, has no",
        ),
        ("groups", {"a": 3}, "a mapping from names to measurements"),
        ("corners", [(1, 2, 3)], "corners"),
    ],
)
def test_what_is_of_another_kind_is_one_sentence(name: str, given: object, words: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        taken(**{name: given})
    assert words in str(caught.value)
    assert str(caught.value).startswith("taken() takes")
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["vit", 3, torch.nn.Flatten(), [MODEL]])
def test_a_name_where_a_model_belongs_says_how_to_get_one(wrong: object) -> None:
    with pytest.raises(ModelError, match=r"takes a model \(from vg.load\(name\) or vg.wrap"):
        vg.singular_spectrum(wrong, pixels(1))


def test_help_shows_the_signature_and_every_public_function_has_the_door() -> None:
    assert list(inspect.signature(vg.match).parameters)[:3] == ["model", "source", "target"]
    for room in (vg, vg.figures, vg.explore):
        for name in room.__all__:
            function = getattr(room, name)
            if inspect.isfunction(function) and inspect.signature(function).parameters:
                assert hasattr(function, "__wrapped__"), name
                assert typing.get_type_hints(function), name  # none hides from the door behind TYPE_CHECKING


def test_arrays_pictures_and_lists_of_them_are_images() -> None:
    bytes_ = np.random.default_rng(0).integers(0, 256, (2, 2, 2, 3), dtype=np.uint8)
    expected = torch.from_numpy(bytes_).permute(0, 3, 1, 2).double() / 255
    pictures = [Image.fromarray(one) for one in bytes_]
    measured = xr.DataArray(expected.numpy(), dims=("image", "channel", "y", "x"))
    for images in (bytes_, bytes_ / 255, list(bytes_), pictures, tuple(expected), measured):
        torch.testing.assert_close(MODEL.pixels(images), expected, atol=1e-7, rtol=0)
    for one in (bytes_[0], pictures[0]):
        torch.testing.assert_close(MODEL.pixels(one), expected[:1], atol=1e-7, rtol=0)
    assert MODEL.pixels(Image.new("L", (40, 30))).shape == (1, 3, 2, 2)  # as the model prepares pictures
    torch.testing.assert_close(vg.psnr(bytes_, bytes_ * 0.9 / 255), vg.psnr(expected, expected * 0.9))


@pytest.mark.parametrize(
    "wrong", ["cat.png", None, 3, [], ["a"], [np.zeros((2, 2, 3)), np.zeros((3, 2, 3))], np.zeros((2, 2, 3), int), {}]
)
def test_what_is_no_image_is_one_sentence(wrong: object) -> None:
    with pytest.raises(ImageError):
        MODEL.pixels(wrong)
