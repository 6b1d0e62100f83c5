"""What is computed in float64 from a float32 Jacobian, without a float64 copy of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import vitgeom_nb as vg
from vitgeom_nb.jacobians import gram
from vitgeom_nb.jacobians.gram import directional_derivatives, gram_matrix, project_null, right_vectors, spectrum


class LargestWide(TorchDispatchMode):
    """The size of the largest float64 tensor that an operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (list, tuple)) else [out]:
            if isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float64:
                self.size = max(self.size, tensor.numel())
        return out


def wide(rows: int = 40, columns: int = 1000) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))


def test_the_watch_sees_a_copy() -> None:
    with LargestWide() as seen:
        wide().double()
    assert seen.size == wide().numel()


@pytest.mark.parametrize(
    "compute",
    [
        gram_matrix,
        spectrum,
        lambda J: project_null(J, J[:2]),
        lambda J: directional_derivatives(J, J[:2]),
        lambda J: right_vectors(J, spectrum(J), 3),
    ],
)
def test_no_float64_copy_of_the_jacobian_is_made(
    monkeypatch: pytest.MonkeyPatch, compute: Callable[[torch.Tensor], Any]
) -> None:
    monkeypatch.setattr(gram, "COLUMNS", 50)
    J = wide()
    with LargestWide() as seen:
        compute(J)
    assert 0 < seen.size <= J.numel() // 10  # 50 columns, 3 rows, or 40 x 40


@pytest.mark.parametrize("kinds", [("top", "null"), ("random", "null")])
def test_nor_by_the_measurements(monkeypatch: pytest.MonkeyPatch, kinds: tuple[str, ...]) -> None:
    draw = torch.Generator().manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3, stride=2, bias=False), torch.nn.Flatten())  # 98 x 768
    net[0].weight.data = torch.randn(2, 3, 3, 3, generator=draw)
    model = vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=16)
    x = torch.rand(1, 3, 16, 16, generator=draw)
    monkeypatch.setattr(gram, "COLUMNS", 50)
    with LargestWide() as seen:
        vg.lldlc(model, x, kinds=kinds, radii=(0.1,), directions=2)
        vg.step_response(model, x, radii=(0.1,), directions=2)
    assert 0 < seen.size < 98 * 768 // 4


@pytest.mark.parametrize("columns", [7, 1000, 10**6])
def test_parts_of_the_columns_change_nothing(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    J, v = wide(), wide(3).double()
    exact = J.double().numpy()
    null = v.numpy() - v.numpy() @ np.linalg.pinv(exact) @ exact
    monkeypatch.setattr(gram, "COLUMNS", columns)
    np.testing.assert_allclose(directional_derivatives(J, v), v.numpy() @ exact.T, rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(directional_derivatives(J, v[0]), exact @ v[0].numpy(), rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(project_null(J, v), null, atol=1e-12)
    np.testing.assert_allclose(project_null(J, v[0]), null[0], atol=1e-12)
