"""Steps along singular directions: exact on a linear map, second order on a smooth one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from tests.conftest import wrap_raw
from tests.equivalence.test_matching import Counting
from vitgeom_nb.errors import ArgumentError


def test_on_a_linear_map_every_step_moves_by_its_singular_value(affine: vg.VisionModel, pixels: torch.Tensor) -> None:
    found = vg.singular_steps(affine, pixels, ranks=(1, 3, 5), radii=(0.1, 1.0, 7.0))
    exact = np.linalg.svd(affine.module.weight.detach().numpy(), compute_uv=False)[[0, 2, 4]]
    np.testing.assert_allclose(found.singular_value[:, 1:], np.tile(exact, (3, 1)), rtol=1e-10)
    np.testing.assert_allclose(found.change[:, 1:], np.tile(np.outer(exact, found.radius), (3, 1, 1)), rtol=1e-9)
    assert (found["rank"] == [0, 1, 3, 5]).all()
    assert float(found.change.sel(rank=0).max()) < 1e-12  # a linear map has no null step that does something
    assert (found.singular_value.sel(rank=0) == 0).all()
    flat = found.vector.values.reshape(3, 4, -1)
    np.testing.assert_allclose(flat @ flat.swapaxes(1, 2), np.tile(np.eye(4), (3, 1, 1)), atol=1e-10)


def test_on_a_smooth_map_the_promise_is_kept_to_first_order(pixels: torch.Tensor) -> None:
    model = wrap_raw(Counting(), 4, name="smooth", dtype=torch.float64)
    found = vg.singular_steps(model, pixels, ranks=(1, 2, 6), radii=(1e-4, 1e-3, 1.0))
    ratio = found.change / (found.singular_value * found.radius)
    np.testing.assert_allclose(ratio.sel(radius=1e-4)[:, 1:], 1, atol=1e-3)
    null = found.change.sel(rank=0)
    np.testing.assert_allclose(null.sel(radius=1e-3) / null.sel(radius=1e-4), 100, rtol=0.05)  # quadratic
    by_hand = pixels + 1.0 * torch.from_numpy(found.vector.sel(rank=2).values)
    with torch.no_grad():
        change = (model.embed(by_hand) - model.embed(pixels)).norm(dim=1)
    np.testing.assert_allclose(found.change.sel(rank=2, radius=1.0), change, rtol=1e-10)


def test_survives_netcdf(affine: vg.VisionModel, pixels: torch.Tensor, tmp_path: object) -> None:
    found = vg.singular_steps(affine, pixels, ranks=(1,), radii=(0.1,))
    path = vg.save_measurement(found, tmp_path / "steps.nc")  # type: ignore[operator]
    assert vg.open_measurement(path).identical(found)


@pytest.mark.parametrize("ranks", [(), (0, 1), (2, 1), (1, 1)])
def test_ranks_without_meaning_are_refused(
    affine: vg.VisionModel, pixels: torch.Tensor, ranks: tuple[int, ...]
) -> None:
    with pytest.raises(ArgumentError, match="name increasing ranks from 1 up"):
        vg.singular_steps(affine, pixels, ranks=ranks)


def test_a_rank_in_the_null_space_is_refused(affine: vg.VisionModel, pixels: torch.Tensor) -> None:
    with pytest.raises(ArgumentError, match="Rank 6 of affine is null at this image; ask for ranks up to 5"):
        vg.singular_steps(affine, pixels, ranks=(1, 6))
