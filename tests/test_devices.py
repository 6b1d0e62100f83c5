"""Every measurement on every device at hand, against the same one on the processor."""

from __future__ import annotations

import numpy as np
import pytest

from . import test_conventions as conventions
from .tiny_networks import random_network

# what a device may sum in another order: a path of many corrections, and what only rounding decides
LOOSE = {"fibre_walk": 1e-5, "homotopy": 1e-4, "match": 1e-4}
ROUNDING = {"rounding", "noise_floor", "error_bound", "residual", "ratio_error", "evaluations", "products"}


@pytest.mark.parametrize("name", conventions.MEASUREMENTS)
def test_a_device_gives_what_the_processor_gives(name: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = conventions.measured(name)
    model = random_network(device=device)
    monkeypatch.setattr(conventions, "MODEL", model)
    found = conventions.MEASUREMENTS[name]()
    assert found.attrs["device"].startswith(device)
    assert found.attrs["weights"] == expected.attrs["weights"]
    assert found.attrs["float32_products"] == "ieee"
    assert found.sizes.keys() == expected.sizes.keys()
    for key in expected.data_vars:
        here, there = found[key].values, expected[key].values
        if key in ROUNDING or key.endswith("_history") or key == "loss":
            assert here.dtype == there.dtype
        elif here.dtype.kind == "f":
            scale = LOOSE.get(name, 1e-7)
            np.testing.assert_allclose(here, there, rtol=scale, atol=scale, err_msg=str(key))
        else:
            np.testing.assert_array_equal(here, there, err_msg=str(key))
