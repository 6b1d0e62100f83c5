import math

import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.errors import ArgumentError


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_temperature_recovers_the_one_that_made_the_labels(true):
    own = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20_000, 5, generator=own, dtype=torch.float64)
    labels = torch.multinomial((logits / true).softmax(1), 1, generator=own)[:, 0]
    fit = vg.temperature(logits=logits, labels=labels)
    assert float(fit.temperature) == pytest.approx(true, rel=0.04)
    assert float(fit.nll_scaled) <= float(fit.nll)
    scaled = vg.reliability(logits=logits, labels=labels, temperature=float(fit.temperature), resamples=1)
    assert float(scaled.ece) < 0.015
    direct = vg.reliability(logits=logits / float(fit.temperature), labels=labels, resamples=1)
    assert float(scaled.ece) == pytest.approx(float(direct.ece), abs=1e-9)


def test_temperature_in_closed_form_and_its_scale():
    logits = torch.tensor([[3.0, 0.0]], dtype=torch.float64).repeat(10, 1)
    labels = torch.tensor([0] * 9 + [1])
    fit = vg.temperature(logits=logits, labels=labels)
    assert float(fit.temperature) == pytest.approx(3 / math.log(9), abs=1e-9)
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert float(fit.nll_scaled) == pytest.approx(entropy, abs=1e-9)
    assert float(vg.temperature(logits=1000 * logits, labels=labels).temperature) == pytest.approx(
        3000 / math.log(9), rel=1e-9
    )
    assert float(vg.temperature(logits=logits / 1000, labels=labels).temperature) == pytest.approx(
        0.003 / math.log(9), rel=1e-9
    )


def test_temperature_of_logits_that_mislead_is_infinite_and_gives_the_uniform_distribution():
    logits = torch.tensor([[3.0, 0.0]]).repeat(10, 1)
    labels = torch.tensor([0] + [1] * 9)
    fit = vg.temperature(logits=logits, labels=labels)
    assert float(fit.temperature) == math.inf
    assert float(fit.nll_scaled) == pytest.approx(math.log(2), abs=1e-12)
    table = vg.reliability(logits=logits, labels=labels, temperature=math.inf, resamples=1)
    assert float(table.mean_confidence) == 0.5


def test_temperature_without_an_optimum():
    with pytest.raises(ArgumentError, match="use more images"):
        vg.temperature(logits=torch.eye(3), labels=torch.arange(3))
