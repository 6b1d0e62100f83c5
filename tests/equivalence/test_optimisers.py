"""What a descent asks of its machine: no waiting inside a step, batches that fit, and nothing lost when stopped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import vitgeom_nb as vg
from tests.conftest import Affine, wrap_raw
from vitgeom_nb.equivalence.minimum_change import MinimumChange, loss_at
from vitgeom_nb.equivalence.optimisers import Adam, Goal, GradientDescent, Objective, Stepper, descend
from vitgeom_nb.errors import Interrupted

WAITING = {"_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select"}


class Waits(TorchDispatchMode):
    """Counts the operations whose result the host must have before it can go on."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        masks = name.startswith("index") and any(
            t is not None and t.dtype == torch.bool for t in (args[1] if isinstance(args[1], (list, tuple)) else ())
        )
        self.count += name in WAITING or masks
        return func(*args, **(kwargs or {}))


def problem(count: int = 5) -> tuple[vg.VisionModel, torch.Tensor, torch.Tensor]:
    model = wrap_raw(Affine(6, 4), 4, name="affine", dtype=torch.float64)
    drawn = torch.rand(2, count, 48, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        return model, drawn[0], model.embed(drawn[1].view(count, 3, 4, 4))


def test_the_count_of_waits_sees_them() -> None:
    x = torch.rand(4)
    with Waits() as waits:
        x[x > 0.5]
        x[torch.tensor([1, 2])]
        bool((x > 2).any())
    assert waits.count == 2


def stepper_of(make: Any, objective: Objective, x: torch.Tensor) -> Stepper:
    if make is MinimumChange:
        return make(objective, x, Goal(1.0, 1e-3), torch.ones(len(x), dtype=x.dtype))
    return make(x, None)


@pytest.mark.parametrize("make", [GradientDescent, Adam, MinimumChange])
def test_a_step_waits_for_nothing(make: Any) -> None:
    """Through first step, acceptance, rejection and forgetting."""
    model, x, targets = problem()
    objective, rows = Objective(model, targets, 1000), torch.arange(len(x))  # 100 steps a window
    stepper = stepper_of(make, objective, x)
    for turn in range(30):
        here, gradient = objective(rows, x)
        error = (here - targets) * (1 if turn < 10 else 1 + turn)  # a loss that rises whatever is tried
        with Waits() as waits:
            x = stepper(rows, x, error, gradient)
        assert waits.count == 0


@pytest.mark.parametrize("make", [GradientDescent, Adam, MinimumChange])
def test_a_descent_waits_once_a_step(make: Any) -> None:
    model, x, targets = problem()
    objective = Objective(model, targets, 120)
    stepper = stepper_of(make, objective, x)
    with Waits() as waits:
        found = descend(objective, x, stepper, Goal(1.0, 1e-3), torch.ones(len(x)), progress="a bar")
    steps = int(found.evaluations.max())
    assert steps > 3
    windows = steps // stepper.window if isinstance(stepper, MinimumChange) else 0
    assert waits.count <= steps + windows + 1  # and once more for the length of the history


def test_the_loss_of_a_goal() -> None:
    """Of two embeddings of one norm, at the angle that the cosine says, or at the residual, whichever is less."""
    t = torch.tensor([[3.0, 4.0], [5.0, 0.0]])
    turned = torch.tensor([[5 * 0.99, 5 * (1 - 0.99**2) ** 0.5]])
    np.testing.assert_allclose(
        loss_at(Goal(0.99, 10.0), t, torch.ones(2))[1], (turned - t[1]).square().sum() / 2, rtol=1e-5
    )
    np.testing.assert_allclose(loss_at(Goal(0.0, 0.1), t, torch.tensor([2.0, 4.0])), [0.02, 0.08], rtol=1e-5)


def test_moments_of_adam_are_there_for_pairs_that_need_them_alone() -> None:
    model, x, targets = problem()
    objective, rows = Objective(model, targets, 80), torch.arange(len(x))
    stepper = MinimumChange(objective, x, Goal(1.0, 1e-6), torch.ones(len(x), dtype=x.dtype))
    error = targets / targets.norm(dim=1, keepdim=True)
    assert stepper.window == 10
    for _ in range(10):
        assert stepper.adam is None
        stepper(rows, x, error, torch.ones_like(x))  # stands still
    assert stepper.adam is not None
    assert stepper.long.all()


@pytest.mark.parametrize(("budget", "rate"), [(80, 0.03), (200, 3 / 175), (800, 0.01)])
def test_the_less_is_left_the_longer_are_the_steps_of_a_pair_that_would_not_arrive(budget: int, rate: float) -> None:
    """Asked after an eighth of the budget, for a loss that falls too slowly to arrive and too fast to stand still."""
    model, x, targets = problem()
    objective, rows = Objective(model, targets, budget), torch.arange(len(x))
    stepper = MinimumChange(objective, x, Goal(1.0, 1e-6), torch.ones(len(x), dtype=x.dtype))
    error, gradient = targets / targets.norm(dim=1, keepdim=True), torch.ones_like(x)
    for turn in range(stepper.window):
        objective.evaluations += 1
        there = stepper(rows, x, error * (1 - 0.2 * turn / stepper.window), gradient)
    assert stepper.adam is not None
    np.testing.assert_allclose(stepper.adam.lr, rate)
    np.testing.assert_allclose(there, (x - rate).clamp(0, 1))


def test_a_batch_without_memory_is_halved_once_and_for_all() -> None:
    model, x, targets = problem(9)
    sizes: list[int] = []
    whole = Objective(model, targets, 10)
    expected = whole(torch.arange(9), x)
    embed = model.embed

    class Small:
        size, batch_size = model.size, model.batch_size

        def embed(self, images: torch.Tensor) -> torch.Tensor:
            sizes.append(len(images))
            if len(images) > 4:
                raise torch.OutOfMemoryError
            return embed(images)

    small: Any = Small()
    objective = Objective(small, targets, 10)
    for _ in range(2):
        for found, right in zip(objective(torch.arange(9), x), expected, strict=True):
            torch.testing.assert_close(found, right)
    assert sizes == [9, 4, 4, 1, 4, 4, 1]
    assert (objective.evaluations == 2).all()


def interrupted_at(model: vg.VisionModel, call: int) -> vg.VisionModel:
    """The model, whose `call`-th pass with a gradient is stopped by someone."""
    forward, calls = model.module.forward, [0]

    def stopped(x: torch.Tensor) -> torch.Tensor:
        calls[0] += x.requires_grad
        if calls[0] == call:
            calls[0] += 1
            raise KeyboardInterrupt
        return forward(x)

    model.module.forward = stopped
    return model


@pytest.mark.parametrize("method", ["minimum-change", "adam", "gradient-descent", "gauss-newton"])
@pytest.mark.parametrize("call", [1, 2, 6])
def test_pairs_outlive_an_interrupt(method: str, call: int) -> None:
    model, x, _ = problem()
    source, target = x.view(5, 3, 4, 4), x.roll(1, 0).view(5, 3, 4, 4)
    with pytest.raises(Interrupted, match="of 5000 evaluations") as caught:
        vg.match(interrupted_at(model, call), source, target, method=method, cosine=1.0, residual=1e-9)
    found = caught.value.finished
    assert not found.converged.any()
    assert (found.evaluations <= (2 * call if method == "gauss-newton" else call)).all()  # a product costs two
    f = model.embed(torch.tensor(found.matched.values))
    left = (f - model.embed(target)).norm(dim=1) / (model.embed(source) - model.embed(target)).norm(dim=1)
    np.testing.assert_allclose(found.residual, left.detach(), rtol=1e-9)
    best = found.residual_history.min("step").fillna(1.0) if found.sizes["step"] else 1.0
    np.testing.assert_allclose(found.residual, best, rtol=1e-9)
    if call == 1:
        np.testing.assert_array_equal(found.matched, source)


def test_a_path_outlives_an_interrupt() -> None:
    model, x, _ = problem(2)
    source, target = x[:1].view(1, 3, 4, 4), x[1:].view(1, 3, 4, 4)
    whole = vg.homotopy(model, source, target, steps=4)
    first = int(vg.homotopy(model, source, target, steps=4).evaluations.item())
    with pytest.raises(Interrupted, match="of 4 steps") as caught:
        vg.homotopy(interrupted_at(model, first), source, target, steps=4)
    path = caught.value.finished
    assert path.sizes["s"] == 4
    np.testing.assert_allclose(path.path, whole.path[:, :4])
    with pytest.raises(KeyboardInterrupt):
        vg.homotopy(interrupted_at(problem(2)[0], 1), source, target, steps=4)
