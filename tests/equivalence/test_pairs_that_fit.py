"""Matches of more pairs than memory holds: split, halved, stopped; what is found does not depend on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import vitgeom_nb as vg
from tests.conftest import wrap_raw
from tests.equivalence.test_matching import Counting, pairs
from vitgeom_nb.equivalence import minimum_change, optimisers, pairs_that_fit
from vitgeom_nb.errors import Interrupted

GOAL = {"residual": 1e-2, "max_evaluations": 60}


@pytest.fixture
def model() -> vg.VisionModel:
    return wrap_raw(Counting(), 4, name="smooth", dtype=torch.float64)


def leave(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Free memory for so many pairs."""
    each = 2 * pairs_that_fit.VECTORS * 48 * 8
    monkeypatch.setattr(pairs_that_fit, "free_memory", lambda device: count * each + each // 2)


def sizes_of(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of pairs of each descent from here on."""
    sizes: list[int] = []
    real = optimisers.descend

    def counted(objective: Any, start: torch.Tensor, *others: Any) -> Any:
        sizes.append(len(start))
        return real(objective, start, *others)

    monkeypatch.setattr(pairs_that_fit, "descend", counted)
    return sizes


def assert_same(one: xr.Dataset, other: xr.Dataset) -> None:
    for name in one.data_vars:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-8, atol=1e-9, err_msg=str(name))


@pytest.mark.parametrize("method", ["minimum-change", "adam", "gauss-newton"])
@pytest.mark.parametrize(("fit", "sizes"), [(1, [1] * 5), (2, [2, 2, 1]), (4, [4, 1])])
def test_pairs_are_split_by_the_free_memory(
    model: vg.VisionModel, monkeypatch: pytest.MonkeyPatch, method: str, fit: int, sizes: list[int]
) -> None:
    source, target = pairs(5, 0.1, 0.9)
    together = vg.match(model, source, target, method=method, **GOAL)
    leave(monkeypatch, fit)
    seen = sizes_of(monkeypatch)
    split = vg.match(model, source, target, method=method, **GOAL)
    assert seen == sizes
    assert_same(together, split)


def test_homotopies_too(model: vg.VisionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = pairs(3, 0.1, 0.9)
    together = vg.homotopy(model, source, target, steps=2)
    leave(monkeypatch, 2)
    seen = sizes_of(monkeypatch)
    assert_same(together, vg.homotopy(model, source, target, steps=2))
    assert seen == [2, 1, 2, 1]


@pytest.mark.parametrize("call", [1, 7])
def test_pairs_that_run_out_of_memory_begin_anew_half_as_many(
    model: vg.VisionModel, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """At once, as the solver is made, or later, in a step of it."""
    source, target = pairs(5, 0.1, 0.9)
    together = vg.match(model, source, target, **GOAL)
    seen = sizes_of(monkeypatch)

    class Large(minimum_change.ProximalLBFGS):
        def __call__(self, *others: Any) -> torch.Tensor:
            if self.calls + 1 == call and len(self.anchor) > 2:
                raise torch.OutOfMemoryError
            return super().__call__(*others)

    monkeypatch.setattr(minimum_change, "ProximalLBFGS", Large)
    assert_same(together, vg.match(model, source, target, **GOAL))
    assert seen == [5, 2, 2, 1]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError()])
def test_pairs_not_begun_stand_at_their_sources(
    model: vg.VisionModel, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    source, target = pairs(5, 0.1, 0.9)
    whole = vg.match(model, source, target, **GOAL)
    leave(monkeypatch, 2)
    forward, calls, first = model.module.forward, [0], int(whole.evaluations[:2].max())

    def stopped(x: torch.Tensor) -> torch.Tensor:
        calls[0] += x.requires_grad
        if calls[0] == first + 2:
            calls[0] += 1
            raise error
        return forward(x)

    model.module.forward = stopped
    with pytest.raises((Interrupted, ZeroDivisionError)) as caught:
        vg.match(model, source, target, **GOAL)
    found: Any = caught.value.finished  # type: ignore[union-attr]
    assert found.evaluations.values.tolist() == [*whole.evaluations.values[:2], 2, 2, 0]
    np.testing.assert_allclose(found.matched[:2], whole.matched[:2], atol=1e-9)
    np.testing.assert_array_equal(found.matched[4], source[4])
    np.testing.assert_allclose(found.source_cosine[4], 1)
    np.testing.assert_allclose(found.residual[4], 1)
    assert not found.converged[2:].any()


def test_what_a_pair_takes_is_what_is_reckoned_with() -> None:
    """All that a descent holds at once, in vectors of the size of an image, as a dispatcher sees it made and freed."""
    from tests.memory import Held

    model = wrap_raw(torch.nn.Sequential(torch.nn.AvgPool2d(32), torch.nn.Flatten()), 256, name="means")
    draw = torch.Generator().manual_seed(1)
    x, t = torch.rand(4, 3, 256, 256, generator=draw), torch.rand(4, 192, generator=draw)
    objective = optimisers.Objective(model, t, 30)
    goal, scale = optimisers.Goal(1.0, 1e-9), torch.ones(4)
    with Held() as held:
        stepper = minimum_change.MinimumChange(objective, x.flatten(1), goal, scale)
        optimisers.descend(objective, x.flatten(1), stepper, goal, scale)
    vectors = held.peak / x.numel() / x.element_size()
    assert 45 < vectors < pairs_that_fit.VECTORS
