"""Spectra of Jacobians that are not stored, that are computed in less precision, and that are interrupted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb import errors
from vitgeom_nb.jacobians import singular_spectrum as spectra
from vitgeom_nb.jacobians.chunks import _SAVED, chunk_that_fits, untimed_rows
from vitgeom_nb.jacobians.gram import ROWS, gram_matrix, tiled_gram
from vitgeom_nb.jacobians.rows import jacobian_blocks, jacobian_rows, reduction_error
from vitgeom_nb.networks.embedded import FAMILIES


def images(count: int, size: int = 64, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("rows", [5, ROWS, 2 * ROWS + 7])
def test_the_gram_matrix_is_that_of_numpy(rows: int) -> None:
    J = torch.randn(rows, 20_000, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(gram_matrix(J), J.double().numpy() @ J.double().numpy().T, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("held", [1, 7, 100, 450])
@pytest.mark.parametrize("block", [1, 8, 64])
def test_a_tiled_gram_matrix_is_the_whole_one(held: int, block: int) -> None:
    J = torch.randn(450 if held > 1 else 30, 50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    asked = []

    def rows(first: int) -> Iterator[torch.Tensor]:
        asked.append(len(J) - first)
        return iter(J[first:].split(block))

    gram, sums = tiled_gram(rows, len(J), held)
    np.testing.assert_allclose(gram, J @ J.T, atol=1e-11)
    np.testing.assert_allclose(sums, J.sum(1), atol=1e-12)
    tiles = -(-len(J) // held)
    assert sum(asked) <= len(J) * (tiles + 1) / 2 + tiles * held


@pytest.mark.parametrize("held", [50, 191])
def test_a_spectrum_needs_no_stored_jacobian(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = vg.load("vit", dtype=torch.float64), images(1)
    stored = vg.singular_spectrum(model, x, k=8, vectors=True)
    monkeypatch.setattr(spectra, "jacobian_rows", None)  # nobody may ask for all rows at once
    streamed = vg.singular_spectrum(model, x, k=8, vectors=True, held=held)
    for name in ("singular_value", "stable_rank", "frobenius", "energy"):
        np.testing.assert_allclose(streamed[name], stored[name], rtol=1e-10)
    for name in ("right_vector", "left_vector"):
        np.testing.assert_allclose(streamed[name], stored[name], atol=1e-7)
    np.testing.assert_array_equal(streamed.numerical_rank, stored.numerical_rank)


def test_what_is_held_follows_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = vg.load("vit")
    row = 3 * 64 * 64 * 4
    monkeypatch.setattr(spectra, "free_memory", lambda device: 3 * 20 * row)
    assert spectra.rows_that_fit(model, 3 * 64 * 64) == 20
    few = vg.singular_spectrum(model, images(1), k=3)
    monkeypatch.undo()
    at_once = vg.singular_spectrum(model, images(1), k=3)
    np.testing.assert_allclose(few.singular_value, at_once.singular_value, rtol=1e-5)


def test_the_chunk_follows_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = vg.load("vit")
    monkeypatch.setitem(chunk_that_fits.__globals__, "free_memory", lambda device: 10**12)
    assert chunk_that_fits(model) == 32  # as many as are of use at 64 pixels
    saved = _SAVED[model]
    assert 1e6 < saved < 1e8
    monkeypatch.setitem(chunk_that_fits.__globals__, "CACHED", saved - 1)
    assert chunk_that_fits(model) == 1  # what leaves the caches goes alone
    monkeypatch.setitem(chunk_that_fits.__globals__, "CACHED", saved)
    monkeypatch.setitem(chunk_that_fits.__globals__, "free_memory", lambda device: 4 * 5 * (saved + 1))
    assert chunk_that_fits(model) == 5
    monkeypatch.setitem(chunk_that_fits.__globals__, "free_memory", lambda device: 0)
    assert chunk_that_fits(model) == 1


@pytest.mark.parametrize("name", FAMILIES)
def test_chunks_of_every_size_agree_to_the_stated_tolerance(name: str) -> None:
    model, x = vg.load(name), images(1)[0]
    u = torch.randn(24, model.dim, generator=torch.Generator().manual_seed(2))
    whole = jacobian_rows(model, x, u, chunk=24)
    for chunk in (1, 5, 16):
        rows = jacobian_rows(model, x, u, chunk=chunk)
        assert float((rows - whole).abs().max() / whole.abs().max()) < 1e-5
        assert torch.equal(rows, jacobian_rows(model, x, u, chunk=chunk))  # and to the bit for the same one


def test_blocks_come_one_at_a_time() -> None:
    model, x = vg.load("vit"), images(1)[0]
    blocks = jacobian_blocks(model, x, chunk=10)
    first = next(blocks)
    assert len(first) == 10
    rest = torch.cat([first, *blocks])
    assert torch.equal(rest, jacobian_rows(model, x, chunk=10))
    net = torch.nn.LayerNorm(4)  # what runs between two blocks runs as it always does
    assert net(torch.ones(1, 4)).isfinite().all()


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_reduced_precision_says_how_far_off_it_is(name: str) -> None:
    model, x = vg.load(name), images(1)[0]
    full = jacobian_rows(model, x)
    less = jacobian_rows(model, x, precision=torch.bfloat16)
    error = float((less - full).norm() / full.norm())
    assert 1e-4 < error < 0.5
    assert reduction_error(model, x, torch.bfloat16, 0) == pytest.approx(error, rel=0.5)
    assert reduction_error(model, x, None, 0) == 0


def test_the_measurement_says_which_precision_it_used() -> None:
    model, x = vg.load("vit"), images(1)
    full, less = vg.singular_spectrum(model, x), vg.singular_spectrum(model, x, precision="bfloat16")
    assert "jacobian_error" not in full
    assert '"precision": "full"' in full.attrs["parameters"]
    assert '"precision": "bfloat16"' in less.attrs["parameters"]
    assert 1e-4 < float(less.jacobian_error[0]) < 0.1
    assert float(abs(less.singular_value / full.singular_value - 1)[0, :10].max()) < 0.05
    J = vg.jacobian(model, x, precision="bfloat16")
    assert float(J.jacobian_error[0]) == float(less.jacobian_error[0])
    with pytest.raises(errors.ArgumentError, match="choose 'bfloat16' or 'float16'"):
        vg.jacobian(model, x, precision="int8")
    with pytest.raises(errors.ArgumentError, match="computes in float64"):
        vg.singular_spectrum(vg.load("vit", dtype=torch.float64), x, precision="bfloat16")
    with pytest.raises(errors.ArgumentError, match="at least one row"):
        vg.singular_spectrum(model, x, held=0)


def test_ranks_in_reduced_precision_count_what_its_error_leaves() -> None:
    model, x = vg.load("vit"), images(2)
    full = vg.singular_spectrum(model, x)
    less = vg.singular_spectrum(model, x, precision="bfloat16", vectors=True)
    assert (full.numerical_rank == 190).all()  # a layer norm takes two of 192
    assert (less.numerical_rank < 190).all()
    assert (less.numerical_rank > 10).all()
    size = full.frobenius / full.singular_value[:, 0]
    np.testing.assert_allclose(less.rank_tolerance, less.jacobian_error * size, rtol=0.05)
    for i, rank in enumerate(less.numerical_rank.values):
        J, rough = (jacobian_rows(model, x[i], precision=p) for p in (None, torch.bfloat16))
        error = float(torch.linalg.matrix_norm(rough - J, 2))
        # each value counted lies further from zero than the error can take it, and so is not zero in full precision
        assert float(less.singular_value[i, rank - 1]) > error
        assert np.isnan(less.right_vector[i, rank:]).all()
        assert not np.isnan(less.right_vector[i, :rank]).any()
    assert "rank_tolerance" not in full


def stopping(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """A reader who interrupts after so many chunks of rows."""
    vmap, calls = torch.func.vmap, []

    def counted(function: object) -> object:
        inner = vmap(function)

        def call(part: torch.Tensor) -> torch.Tensor:
            calls.append(1)
            if len(calls) > after:
                raise KeyboardInterrupt
            return inner(part)

        return call

    monkeypatch.setattr(torch.func, "vmap", counted)


def test_an_interrupted_jacobian_keeps_its_finished_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = vg.load("vit"), images(2)
    whole = vg.jacobian(model, x).jacobian.values.reshape(2, 192, -1)
    stopping(monkeypatch, after=8)  # six chunks of 32 are one image, as long as no clock chooses another size
    with untimed_rows(), pytest.raises(errors.Interrupted, match="256 of 384 rows") as stop:
        vg.jacobian(model, x)
    kept = stop.value.finished.jacobian.values.reshape(2, 192, -1)
    np.testing.assert_array_equal(kept[0], whole[0])
    np.testing.assert_array_equal(kept[1, :64], whole[1, :64])
    assert np.isnan(kept[1, 64:]).all()


def test_an_interrupted_spectrum_keeps_its_finished_images(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = vg.load("vit"), images(3)
    whole = vg.singular_spectrum(model, x, k=4, vectors=True)
    stopping(monkeypatch, after=15)
    with untimed_rows(), pytest.raises(errors.Interrupted, match="2 of 3 images") as stop:
        vg.singular_spectrum(model, x, k=4, vectors=True)
    kept, wanted = stop.value.finished.drop_attrs(), whole.isel(image=slice(0, 2)).drop_attrs()
    assert kept.identical(wanted)


def test_interrupted_before_anything_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping(monkeypatch, after=2)
    with pytest.raises(KeyboardInterrupt) as stop:
        vg.singular_spectrum(vg.load("vit"), images(1))
    assert not isinstance(stop.value, errors.Interrupted)
