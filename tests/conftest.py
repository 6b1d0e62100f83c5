"""Networks small enough to know by hand, and what tests of several rooms share."""

from __future__ import annotations

import os

import pandas as pd
import pytest
import torch

os.environ["HF_HUB_OFFLINE"] = "1"  # no test asks the real hub; those of the hub point at a stand-in

import vitgeom_nb as vg
from vitgeom_nb.jacobians import chunks

from .browser import browser
from .stand_in_hub import hub
from .tiny_networks import derive_quietly

__all__ = ["browser", "hub"]

derive_quietly()


@pytest.fixture(autouse=True)
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of Jacobians come in chunks of a fixed size: no test depends on what a clock says."""
    monkeypatch.setattr(chunks, "TRIED", ())


@pytest.fixture(scope="session")
def recorded_ledger() -> pd.DataFrame:
    """The table of claims of the recorded evidence, made once for all tests that read it."""
    return vg.claims.table()


class Affine(torch.nn.Module):
    """f(x) = W x + b on flattened pixels."""

    def __init__(self, components: int, size: int, seed: int = 0) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.weight = torch.nn.Parameter(torch.randn(components, 3 * size * size, generator=draw))
        self.bias = torch.nn.Parameter(torch.randn(components, generator=draw))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.weight.T + self.bias


def wrap_raw(module: torch.nn.Module, size: int, **options: object) -> vg.VisionModel:
    """Wrap without normalisation: the module sees the pixels themselves."""
    return vg.wrap(module, mean=[0.0] * 3, std=[1.0] * 3, size=size, **options)  # type: ignore[arg-type]


@pytest.fixture(
    params=["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
)
def device(request: pytest.FixtureRequest) -> str:
    """Each device at hand, by name."""
    return request.param


@pytest.fixture
def affine() -> vg.VisionModel:
    """A linear model of 4 x 4 images with D = 5, in float64; its own output serves as logits."""
    return wrap_raw(Affine(5, 4), 4, logits=lambda m, x: m(x), name="affine", dtype=torch.float64)


@pytest.fixture
def pixels() -> torch.Tensor:
    """Three random 4 x 4 images away from the edges of [0, 1]."""
    return torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 0.6 + 0.2
