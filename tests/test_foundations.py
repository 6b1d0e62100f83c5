"""The network known by hand: finite differences against pencil and paper, and the methods against both."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb import foundations

RED, GREEN = np.array([0.8, 0.2, 0.8, 0.2, 0.55]), np.array([0.7, 0.9, 0.3, 0.2, 0.1])


@pytest.fixture(scope="module")
def model() -> vg.VisionModel:
    return foundations.folded_model()


def test_embedding_is_that_of_the_formula(model: vg.VisionModel) -> None:
    f = model.embed(foundations.colours(RED, GREEN))
    expected = [[0.6, 0.6], [0.3, 1.2], [0.6, 0.0], [0.3, 0.0], [0.1, 0.0]]
    np.testing.assert_allclose(f, expected, atol=1e-12)
    np.testing.assert_allclose(foundations.by_hand(RED, GREEN).embedding, expected, atol=1e-12)


def test_blue_and_texture_are_invisible(model: vg.VisionModel) -> None:
    image = foundations.colours(0.7, 0.6, 0.1)
    texture = torch.tensor([0.2, -0.2], dtype=torch.float64).repeat(8).view(4, 4)
    changed = image.clone()
    changed[:, 2] = 0.9
    changed[:, :2] += texture
    torch.testing.assert_close(model.embed(changed), model.embed(image))


def test_slopes_are_those_of_central_differences(model: vg.VisionModel) -> None:
    h = 1e-4
    hand = foundations.by_hand(RED, GREEN)
    in_red = (model.embed(foundations.colours(RED + h, GREEN)) - model.embed(foundations.colours(RED - h, GREEN))) / (
        2 * h
    )
    in_green = (model.embed(foundations.colours(RED, GREEN + h)) - model.embed(foundations.colours(RED, GREEN - h))) / (
        2 * h
    )
    np.testing.assert_allclose(in_red[:, 0], hand.slope[:, 0], atol=1e-9)
    np.testing.assert_allclose(in_green[:, 1], hand.slope[:, 1], atol=1e-9)
    assert float(in_red[:, 1].abs().max()) == float(in_green[:, 0].abs().max()) == 0


def test_singular_values_are_those_of_numpy(model: vg.VisionModel) -> None:
    J = vg.jacobian(model, foundations.colours(RED, GREEN)).jacobian.values.reshape(len(RED), 2, -1)
    hand = foundations.by_hand(RED, GREEN)
    np.testing.assert_allclose(np.linalg.svd(J, compute_uv=False), hand.singular_value, atol=1e-12)
    np.testing.assert_allclose(hand.stable_rank, [13 / 9, 10 / 9, 1, 1, 1])


def test_nearest_wall_is_reached_at_the_distance_and_not_before(model: vg.VisionModel) -> None:
    hand = foundations.by_hand([0.8], [0.7])
    np.testing.assert_allclose(hand.distance, [0.8])
    straight = torch.zeros(1, 3, 4, 4, dtype=torch.float64)
    straight[:, 1] = -0.25
    image = foundations.colours(0.8, 0.7)
    move = lambda r: (model.embed(image + r * straight) - model.embed(image))[0, 1].item()  # noqa: E731
    assert move(0.79) == pytest.approx(-0.79 * 3 / 4)
    assert move(0.9) == pytest.approx(-0.8 * 3 / 4)


def test_labels_by_hand(model: vg.VisionModel) -> None:
    np.testing.assert_array_equal(model.labels(foundations.colours(RED, GREEN)), foundations.by_hand(RED, GREEN).label)


def test_plane_holds_what_the_model_says_at_each_colour(model: vg.VisionModel) -> None:
    seen = foundations.plane(model, points=4)
    np.testing.assert_allclose(seen.red, [0.125, 0.375, 0.625, 0.875])
    corner = seen.sel(red=0.875, green=0.625)
    np.testing.assert_allclose(corner.embedding, [0.75, 0.375])
    np.testing.assert_allclose(corner.gradient, [[2, 0, 0], [0, 3, 0]], atol=1e-12)
    np.testing.assert_allclose(corner.margin, 4 * (0.75 + 0.375) - 2)
    np.testing.assert_allclose(seen.sel(red=0.125, green=0.125).gradient, [[-1, 0, 0], [0, 0, 0]], atol=1e-12)
    assert seen.attrs["model"] == "fold"


def test_measurements_of_the_plane_survive_a_file(model: vg.VisionModel, tmp_path) -> None:
    seen = foundations.plane(model, points=4)
    assert vg.open_measurement(vg.save_measurement(seen, tmp_path / "plane.nc")).identical(seen)


def test_colours_broadcast_and_stay_in_range() -> None:
    pictures = foundations.colours([0.1, 0.2], 0.3, 0.4)
    assert pictures.shape == (2, 3, 4, 4)
    assert pictures[1, :, 2, 3].tolist() == [0.2, 0.3, 0.4]
