"""How many rows of a Jacobian are computed at a time: what a clock of the test's own says of the first ones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from tests.jacobians.test_rows import images, linear, matrix, smooth
from vitgeom_nb.jacobians import chunks, rows
from vitgeom_nb.jacobians.chunks import chunk_in_use, chunk_that_fits, untimed_rows
from vitgeom_nb.jacobians.rows import jacobian_rows


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], dict[int, float]]:
    """Sizes of the blocks as they come, and what a row costs in blocks of each size, by the clock."""
    sizes: list[int] = []
    cost = {1: 3.0, 8: 1.0, 16: 1.5, 32: 2.0}
    now = [0.0]
    real = rows._pulled_back

    def slow(model: Any, x: Any, cotangents: Any, size: int, *others: Any) -> Iterator[torch.Tensor]:
        now[0] += 100.0 if size == 8 and not sizes.count(8) else 0.0  # the first of a kind prepares
        for block in real(model, x, cotangents, size, *others):
            now[0] += cost.get(size, 9.0) * len(block)
            sizes.append(len(block))
            yield block

    monkeypatch.setattr(rows, "_pulled_back", slow)
    monkeypatch.setattr(rows, "clock", lambda: now[0])
    monkeypatch.setattr(chunks, "_FASTEST", {})
    monkeypatch.setattr(chunks, "TRIED", (1, 8, 16, 32))
    return sizes, cost


@pytest.mark.parametrize("fastest", [1, 8, 16, 32])
def test_the_fastest_of_the_first_rows_takes_the_rest(taken: tuple[list[int], dict[int, float]], fastest: int) -> None:
    sizes, cost = taken
    cost[fastest] = 0.5
    weight = matrix(200)
    model, x = linear(weight), images(1)[0]
    np.testing.assert_array_equal(jacobian_rows(model, x), weight)
    assert sizes[:22] == [1] * 16 + [8, 8, 16, 16, 32, 32]
    assert set(sizes[22:-1]) <= {fastest}
    assert sum(sizes) == 200
    assert chunk_in_use(model) == fastest
    sizes.clear()
    np.testing.assert_array_equal(jacobian_rows(linear(weight), x), weight)  # the same network, loaded again
    assert set(sizes[:-1]) == {fastest}


@pytest.mark.parametrize(("rows", "samples"), [(128, 0), (129, 2), (768, 3), (4000, 5)])
def test_of_many_rows_a_quarter_at_most_is_timed(
    taken: tuple[list[int], dict[int, float]], rows: int, samples: int
) -> None:
    sizes, samples_of_each = chunks.chunks_to_time(linear(matrix(5)), None, rows)
    assert (sizes, samples_of_each) == (([1, 8, 16, 32], samples) if samples else ([], 0))


def test_what_does_not_fit_is_not_tried(
    taken: tuple[list[int], dict[int, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, _ = taken
    model, x = linear(matrix(200)), images(1)[0]
    saved = chunks._saved(model)
    monkeypatch.setattr(chunks, "free_memory", lambda device: 4 * 12 * (saved + 1))
    jacobian_rows(model, x)
    assert sizes[:27] == [1] * 24 + [8] * 3
    assert set(sizes[27:-1]) == {8}


def test_few_rows_and_a_size_of_ones_own_are_not_timed(taken: tuple[list[int], dict[int, float]]) -> None:
    sizes, _ = taken
    jacobian_rows(linear(matrix(80)), images(1)[0])
    jacobian_rows(linear(matrix(200)), images(1)[0], chunk=100)
    assert sizes == [64, 16, 100, 100]
    assert not chunks._FASTEST


def test_the_answer_depends_on_it_by_rounding_alone(taken: tuple[list[int], dict[int, float]]) -> None:
    model, x = smooth(torch.float32), images(1)[0]
    u = torch.randn(140, 7, generator=torch.Generator().manual_seed(1))
    timed, whole = jacobian_rows(model, x, u), jacobian_rows(model, x, u, chunk=140)
    torch.testing.assert_close(timed, whole, rtol=0, atol=1e-6 * float(whole.abs().max()))


def test_no_clock_chooses_where_runs_shall_agree_to_the_last_bit(taken: tuple[list[int], dict[int, float]]) -> None:
    sizes, cost = taken
    cost[32] = 0.5
    weight = matrix(200)
    model, x = linear(weight), images(1)[0]
    jacobian_rows(model, x)
    assert chunk_in_use(model) == 32
    sizes.clear()
    with untimed_rows():
        assert chunk_in_use(model) == chunk_that_fits(model) != 32
        jacobian_rows(model, x)
    assert set(sizes[:-1]) == {chunk_that_fits(model)}
    assert chunk_in_use(model) == 32


def test_other_work_on_the_machine_is_no_time_of_one_thread() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        start, wall = rows.clock(), time.perf_counter()
        time.sleep(0.2)
        assert rows.clock() - start < 0.1 < time.perf_counter() - wall
    finally:
        torch.set_num_threads(threads)
