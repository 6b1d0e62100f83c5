"""The digest of a module tells apart what answers differently, and is one for what answers alike."""

from __future__ import annotations

import copy

import pytest
import torch

import vitgeom_nb as vg
from tests.conftest import wrap_raw


class Scaled(torch.nn.Module):
    """A linear map times a number that is a buffer, an attribute, or none of both."""

    def __init__(self, buffer: float = 1.0, attribute: float = 1.0) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(4, 12, generator=torch.Generator().manual_seed(0)))
        self.register_buffer("scale", torch.tensor(buffer))
        self.register_buffer("hidden", torch.tensor([buffer]), persistent=False)
        self.attribute = attribute

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.weight.T * self.scale * self.attribute


class Unscaled(Scaled):
    """As `Scaled`, whatever the buffer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.weight.T


class Single(Scaled):
    """Computes in float32 alone: a constant of its own keeps its precision."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ (torch.eye(12) * self.attribute)[:, :4]


def digest(module: torch.nn.Module, size: int = 2, **options: object) -> str:
    return wrap_raw(module, size, **options).digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: digest(Scaled(1.0)), lambda: digest(Scaled(5.0))),
        (lambda: digest(Unscaled(1.0)), lambda: digest(Unscaled(5.0))),
        (lambda: digest(Scaled()), lambda: digest(Scaled(attribute=5.0))),
        (lambda: digest(Single()), lambda: digest(Single(attribute=5.0))),
        (lambda: digest(Scaled()), lambda: digest(Scaled(), embed=lambda m, x: m(x).flip(1))),
        (lambda: digest(Scaled()), lambda: digest(Scaled(), embed=lambda m, x: m(x), logits=lambda m, x: m(x))),
        (lambda: digest(Scaled()), lambda: digest(Scaled(), dtype=torch.float64)),
        (lambda: wrap_raw(Scaled(), 2).digest, lambda: vg.wrap(Scaled(), mean=[0.1] * 3, std=[1.0] * 3, size=2).digest),
    ],
    ids=["buffer", "unused buffer", "attribute", "attribute in float32", "embed", "logits", "dtype", "mean"],
)
def test_what_computes_otherwise_has_another_digest(one, other) -> None:
    assert one() == one()
    assert one() != other()


def test_the_digest_does_not_hang_on_threads_modes_or_the_order_of_sums() -> None:
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3), torch.nn.GELU(), torch.nn.Flatten(), torch.nn.Linear(576, 9)
    )
    expected, threads = digest(module, 8), torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert digest(module, 8) == expected
    finally:
        torch.set_num_threads(threads)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert digest(module, 8) == expected

    # the same sums in another order, which differ by rounding
    def turned(m: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        return m[3].weight.flip(1).mul(m[:3](x).flip(1)[:, None]).sum(2) + m[3].bias

    model, again = wrap_raw(module, 8), wrap_raw(module, 8, embed=turned)
    x = torch.rand(4, 3, 8, 8)
    assert not torch.equal(model.embed(x), again.embed(x))
    assert model.digest == again.digest == wrap_raw(copy.deepcopy(module), 8).digest


def test_a_network_from_a_file_has_the_digest_of_the_file() -> None:
    from vitgeom_nb.networks.embedded import card

    assert vg.load("resnet").digest == card("resnet")["sha256"]
