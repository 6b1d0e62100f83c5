"""Records are measured once, from the photographs at the network's own size, and are what the functions return."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr

import vitgeom_nb as vg
from vitgeom_nb.recipes import record

from ..tiny_networks import pixels, random_network

EVIDENCE = Path(__file__).parents[2] / "evidence"


def test_a_record_is_what_the_function_returns_and_is_made_once(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    model, calls = random_network(), []
    monkeypatch.setattr(record, "load", lambda name: model)

    def bends(model, images):
        calls.append(images.pixels.shape)
        return vg.direction_change(model, images[:1], directions=2, steps=3)

    monkeypatch.setattr(record, "RECORDS", {"bends": bends})
    monkeypatch.setattr(record, "LABELLED", {})
    record.record("somebody's", tmp_path)
    record.record("somebody's", tmp_path)
    assert calls == [(20, 3, *model.size)]
    stored = vg.open_measurement(tmp_path / "somebody's" / "bends.nc")
    xr.testing.assert_identical(stored.drop_attrs(), bends(model, vg.samples("imagenet", size=model.size)).drop_attrs())


def test_only_networks_that_know_the_classes_have_labels(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    model = random_network()
    monkeypatch.setattr(record, "load", lambda name: model)
    monkeypatch.setattr(record, "RECORDS", {"spectrum": lambda model, images: vg.singular_spectrum(model, pixels(1))})
    monkeypatch.setattr(record, "LABELLED", {"labels": lambda model, images: vg.singular_spectrum(model, pixels(2))})
    for name in ("vit", "efficientnet-lite0"):
        record.record(name, tmp_path)
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*")}
    assert written == {"vit/spectrum.nc", "efficientnet-lite0/spectrum.nc", "efficientnet-lite0/labels.nc"}


@pytest.mark.parametrize("name", ["vit", "swin", "resnet", "mobilenetv2"])
def test_what_ships_is_measured_again(name: str) -> None:
    """The first image of each record, by leading singular values that need no Jacobian."""
    stored = vg.open_measurement(EVIDENCE / name / "singular_spectrum.nc")
    model = vg.load(name)
    again = vg.leading_singular_values(model, vg.samples("imagenet", n=1, size=64), k=3).singular_value[0]
    assert stored.attrs["weights"] == model.digest
    assert abs(again.values / stored.singular_value[0, :3].values - 1).max() < 1e-4
