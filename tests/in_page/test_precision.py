"""In which precision weights travel, and that they come back from what the page loads."""

from __future__ import annotations

import base64
import copy
import gzip
import json
from typing import Any

import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from tests.conftest import wrap_raw
from vitgeom_nb.in_page import packing
from vitgeom_nb.in_page.precision import ENOUGH, rounded, rounding_error


def linear(weight: float, head: float = 1.0) -> vg.VisionModel:
    """f(x) = w x and z(x) = h f(x) of a picture of 2 x 2 pixels."""
    module = torch.nn.Linear(12, 12, bias=False)
    with torch.no_grad():
        module.weight.copy_(weight * torch.eye(12))
    return wrap_raw(module, 2, embed=lambda m, x: m(x.flatten(1)), logits=lambda m, x: head * m(x.flatten(1)))


def test_the_error_of_a_linear_network_is_that_of_its_weight() -> None:
    x = torch.rand(3, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    assert rounding_error(linear(1.5), x) == 0  # a number of half precision
    between = 1 + 2**-11 + 2**-13  # lies nearer to 1 + 2^-10 than to 1
    assert rounding_error(linear(between), x) == pytest.approx((1 + 2**-10 - between) / between, rel=1e-3)


def test_weights_out_of_range_are_no_reason_for_half_precision() -> None:
    x = torch.rand(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    assert not rounding_error(linear(1e5), x) <= ENOUGH


def test_a_unit_that_rounding_moves_over_its_kink_costs_the_gradient_all_it_has() -> None:
    """A ReLU just above 0 that is just below it once its bias is rounded: the embedding hardly changes."""
    module = torch.nn.Linear(12, 2)
    with torch.no_grad():
        module.weight.fill_(0)
        module.weight[0, 0] = module.weight[1, 0] = 1
        module.bias.copy_(torch.tensor([1.0, -0.5 + 1e-5]))
    found = wrap_raw(module, 2, embed=lambda m, x: m(x.flatten(1)).relu(), logits=lambda m, x: m(x.flatten(1)).relu())
    x = torch.full((1, 3, 2, 2), 0.5)
    assert float((rounded(found).embed(x) - found.embed(x)).norm()) < 2e-5
    assert rounding_error(found, x) > 0.1


def test_a_rounded_model_is_a_copy_in_the_precision_of_the_model() -> None:
    model = vg.load("vit")
    before = copy.deepcopy(model.module.state_dict())
    other = rounded(model)
    assert other.dtype == model.dtype == torch.float32
    for name, tensor in other.module.state_dict().items():
        assert torch.equal(tensor, before[name].half().float())
        assert torch.equal(model.module.state_dict()[name], before[name])


def loaded(name: str) -> dict[str, Any]:
    text = packing.network_script(name).decode()
    said, parts = json.loads("[" + text.removeprefix("vitgeomPart(").removesuffix(");\n") + "]")
    assert said == name
    return parts


@pytest.mark.parametrize(("name", "precision"), [("vit", "half"), ("resnet", "single")])
def test_weights_come_back_from_what_the_page_loads(name: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vitgeom_nb.in_page.precision.rounding_error", lambda *_: 0 if precision == "half" else 1)
    parts = loaded(name)
    assert parts["precision"] == precision
    width, kind = (2, "<f2") if precision == "half" else (4, "<f4")
    planes = np.frombuffer(gzip.decompress(base64.b64decode(parts["weights"])), np.uint8)
    values = np.ascontiguousarray(planes.reshape(width, -1).T).view(kind).ravel()
    state = vg.load(name).module.state_dict().values()
    wanted = torch.cat([t.flatten() for t in state if t.is_floating_point()]).numpy()
    np.testing.assert_array_equal(values, wanted.astype(kind))
