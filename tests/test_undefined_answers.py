"""A network that has no answer to one image: every function names that image, and makes no label of NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.errors import ModelError

from . import test_conventions as conventions
from .tiny_networks import N, wrapped

DARK, BRIGHT = torch.full((3, 2, 2), 0.3, dtype=torch.float64), torch.full((3, 2, 2), 0.8, dtype=torch.float64)
IMAGES, OTHERS = torch.stack([DARK, BRIGHT]), torch.stack([DARK - 0.1, DARK - 0.2])
LABELS = torch.zeros(2, dtype=torch.int64)
# a movement of a plane has one image, and other batches have the bright one at their end
NUMBERS = {
    "trajectory": "point 0",
    "temperature": "image 8",
    "smooth_calibration": "image 8",
    "class_cosines": "image 3",
}
OWN = {"untrained_direction_change"}  # makes its network itself


class UpTo(torch.nn.Module):
    """Two layers, whose answer becomes NaN, or its derivative alone, where images are brighter than `limit`."""

    def __init__(self, limit: float, derivative: bool = False) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.body, self.head = torch.nn.Linear(N, 16, dtype=torch.float64), torch.nn.Linear(16, 5, dtype=torch.float64)
        for layer in (self.body, self.head):
            layer.weight.data = torch.randn(layer.weight.shape, generator=draw, dtype=torch.float64)
        self.limit, self.derivative = limit, derivative

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        over = (x.mean((1, 2, 3)) - self.limit).relu()[:, None]
        if self.derivative:  # a root has none at zero; one of a constant has a value
            return self.body(x.flatten(1)).tanh() + ((over <= 0) + 0 * x.sum((1, 2, 3))[:, None]).sqrt()
        return self.body(x.flatten(1)).tanh() + torch.where(over > 0, torch.nan, 0.0)

    def __getitem__(self, _: int) -> torch.nn.Module:
        return self.head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.embed(x))


def broken(derivative: bool = False) -> vg.VisionModel:
    # wrapped where it has answers to the images that are tried, and made narrower then
    model = wrapped(UpTo(2.0, derivative), embed=lambda m, x: m.embed(x))
    model.module.limit = 0.6
    return model


OTHER: dict[str, Callable[[vg.VisionModel], Any]] = {
    "embeddings": lambda model: model.embeddings(IMAGES),
    "labels": lambda model: model.labels(IMAGES),
    "probabilities": lambda model: model.probabilities(IMAGES),
    "fgsm_direction": lambda model: vg.fgsm_direction(model, IMAGES, LABELS),
    "jvp": lambda model: vg.jvp(model, IMAGES, torch.ones_like(IMAGES)),
    "vjp": lambda model: vg.vjp(model, IMAGES, torch.ones(2, model.dim, dtype=torch.float64)),
    "predict": lambda model: vg.predict(model, vg.Images(IMAGES, ["dark", "bright"], "drawn", "none", LABELS)),
}


@pytest.fixture
def undefined(monkeypatch: pytest.MonkeyPatch) -> vg.VisionModel:
    """A model without an answer to the second image, in place of that of the conventions."""
    model = broken()
    monkeypatch.setattr(conventions, "MODEL", model)
    monkeypatch.setattr(conventions, "IMAGES", IMAGES)
    monkeypatch.setattr(conventions, "OTHERS", OTHERS)
    monkeypatch.setattr(conventions, "LABELS", LABELS)
    last = BRIGHT[None]
    monkeypatch.setattr(conventions, "pixels", lambda count: torch.cat([DARK.repeat(count - 1, 1, 1, 1), last]))
    return model


def test_every_function_of_a_model_is_asked() -> None:
    known = {*conventions.MEASUREMENTS, *OTHER, "match_remainder", "export_onnx"}  # which take no images
    known.add("report")  # which says it beside what it could measure
    assert set(conventions.of_a_model()) <= known


@pytest.mark.parametrize("name", sorted({*conventions.MEASUREMENTS, *OTHER} - OWN))
def test_the_image_without_an_answer_is_named(undefined: vg.VisionModel, name: str, monkeypatch) -> None:
    if name == "trajectory":
        monkeypatch.setattr(conventions, "IMAGES", IMAGES[1:])
    said = NUMBERS.get(name, "(image|source) 1")
    with pytest.raises(ModelError, match=rf"of tiny of (.* )?{said} is NaN, infinite or beyond"):
        OTHER[name](undefined) if name in OTHER else conventions.MEASUREMENTS[name]()


DERIVATIVES = ("curvature", "fgsm_step", "jacobian", "leading_singular_values", "singular_spectrum", "singular_steps")


@pytest.mark.parametrize("name", [*DERIVATIVES, "step_response", "travel_distance", "fgsm_direction", "jvp", "vjp"])
def test_the_image_without_a_derivative_is_named(name: str, undefined: vg.VisionModel, monkeypatch) -> None:
    model = broken(derivative=True)
    assert model.embeddings(IMAGES).isfinite().all()
    monkeypatch.setattr(conventions, "MODEL", model)
    with pytest.raises(
        ModelError, match=r"(gradient|derivative along a line|Jacobian|product with J) .*image 1 is NaN"
    ):
        OTHER[name](model) if name in OTHER else conventions.MEASUREMENTS[name]()


def test_the_numbers_are_those_of_all_images_whatever_the_batch(undefined: vg.VisionModel) -> None:
    undefined.batch_size = 1
    many = torch.cat([IMAGES[:1].repeat(6, 1, 1, 1), IMAGES[1:]])
    images = vg.Images(many, list("abcdefg"), "drawn", "none", torch.zeros(7, dtype=torch.int64))
    for measure in (vg.travel_distance, vg.fgsm_step, vg.predict, vg.direction_change, vg.lldlc, vg.step_law):
        with pytest.raises(ModelError, match="image 6 is NaN"):
            measure(undefined, images)


def test_nan_on_the_way_is_no_outcome(undefined: vg.VisionModel) -> None:
    # the second image of a pair that starts well, on a way that leads into the bright
    near = torch.stack([DARK, DARK + 0.25])
    labels = undefined.labels(near)
    with pytest.raises(ModelError, match="the way of image 1 is NaN") as caught:
        vg.travel_distance(undefined, near, labels, along=torch.ones_like(near), epsilon_max=0.2, grid=40)
    found = caught.value.finished  # type: ignore[attr-defined]
    assert found.outcome.values.tolist()[1] == "not finished"
    assert found.epsilon.isnull()[1]
    assert found.outcome.values.tolist()[0] in ("crossed", "never wrong")
