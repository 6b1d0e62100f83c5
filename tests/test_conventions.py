"""One way to say things: signatures, names and units of every public measurement, as the reference page states them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import xarray as xr

import vitgeom_nb as vg
from vitgeom_nb.core.measurement import UNITS

from .tiny_networks import crossing_images, pixels, random_network

MODEL = random_network()
IMAGES, LABELS = crossing_images(MODEL, 2)
OTHERS = pixels(2, seed=7)
SEARCH: dict[str, Any] = {"epsilon_max": 1.0, "grid": 20}

# every public measurement of a network, with arguments small enough for a test
MEASUREMENTS: dict[str, Callable[[], xr.Dataset]] = {
    "additivity": lambda: vg.additivity(MODEL, IMAGES, directions=2),
    "class_cosines": lambda: vg.class_cosines(MODEL, pixels(4), torch.tensor([0, 0, 1, 1])),
    "corrupted_predictions": lambda: vg.corrupted_predictions(MODEL, IMAGES, LABELS),
    "curvature": lambda: vg.curvature(MODEL, IMAGES, directions=2),
    "direction_change": lambda: vg.direction_change(MODEL, IMAGES, directions=2, steps=4),
    "fgsm_path": lambda: vg.fgsm_path(MODEL, IMAGES, LABELS, lengths=(0.0, 0.1), **SEARCH),
    "fgsm_step": lambda: vg.fgsm_step(MODEL, IMAGES, LABELS),
    "fibre_walk": lambda: vg.fibre_walk(MODEL, IMAGES, OTHERS, steps=2),
    "homotopy": lambda: vg.homotopy(MODEL, IMAGES, OTHERS, steps=2),
    "jacobian": lambda: vg.jacobian(MODEL, IMAGES),
    "leading_singular_values": lambda: vg.leading_singular_values(MODEL, IMAGES, k=2, vectors=True),
    "lldlc": lambda: vg.lldlc(MODEL, IMAGES, directions=2, radii=(0.1, 1.0)),
    "match": lambda: vg.match(MODEL, IMAGES, OTHERS),
    "path_plane": lambda: vg.path_plane(MODEL, IMAGES, LABELS, head=MODEL.module[3], points=5, resolution=5, **SEARCH),
    "random_jump": lambda: vg.random_jump(MODEL, IMAGES, LABELS, pictures=True, **SEARCH),
    "reliability": lambda: vg.reliability(MODEL, IMAGES, LABELS),
    "smallest_attack": lambda: vg.smallest_attack(MODEL, IMAGES, LABELS, epsilon_max=1.0, grid=3),
    "smooth_calibration": lambda: vg.smooth_calibration(MODEL, pixels(9), torch.arange(9) % 5, points=5),
    "singular_spectrum": lambda: vg.singular_spectrum(MODEL, IMAGES, vectors=True),
    "singular_steps": lambda: vg.singular_steps(MODEL, IMAGES, ranks=(1, 2), radii=(0.1, 1.0)),
    "step_law": lambda: vg.step_law(MODEL, IMAGES, directions=2, resamples=3),
    "step_response": lambda: vg.step_response(MODEL, IMAGES, radii=(0.1, 1.0), directions=2),
    "temperature": lambda: vg.temperature(MODEL, pixels(9), torch.arange(9) % 5),
    "trajectory": lambda: vg.trajectory(MODEL, IMAGES[:1], points=5, curves=2),
    "untrained_direction_change": lambda: vg.untrained_direction_change(
        vg.load("resnet"), vg.samples("cifar10", n=1, size=64), directions=2, steps=4
    ),
    "travel_distance": lambda: vg.travel_distance(MODEL, IMAGES, LABELS, pictures=True, **SEARCH),
}
LABELLED = {"fgsm_direction", "fgsm_path", "fgsm_step", "path_plane", "random_jump", "reliability", "temperature"}
LABELLED |= {"travel_distance", "class_cosines", "corrupted_predictions"}
LABELLED |= {"smallest_attack", "smooth_calibration"}
PAIRED = {"fibre_walk", "homotopy", "match"}
OTHERWISE = {
    "export_onnx",
    "match_remainder",
    "predict",
    "jvp",
    "vjp",
    "report",
}  # take a folder, a measurement, data, ...
# measurements of another measurement, or of a card
ALSO: dict[str, Callable[[], xr.Dataset]] = {
    "match_remainder": lambda: vg.match_remainder(MODEL, measured("match")),
    "training_history": lambda: vg.training_history("vit"),
}
# what gives images, labels or predictions: a name first, then how many and how large, in this order
DATA = {"samples": ["name", "n", "size"], "labelled": ["name", "split", "n", "size"]}
DATA |= {
    "validation_predictions": ["name", "n", "seed"],
    "recorded_predictions": ["name"],
    "training_history": ["name"],
}
# figures and explorers of something else than measurements: tables, images, predictions, the network known by hand
OTHER_LEADS = {
    "figures.ledger": "table",
    "figures.calibration_errors": "groups",
    "figures.plane": "seen",
    "figures.plane_matches": "seen",
    "figures.plane_travel": "seen",
    "figures.plane_walk": "seen",
    "figures.sample_images": "batches",
    "figures.speed": "table",
    "figures.speed_growth": "table",
    "figures.speed_memory": "table",
    "figures.turns": "bend",
    "explore.reliability": "predictions",
}
SHOWN = {
    f"{room}.{name}": function
    for room in ("figures", "explore")
    for name in getattr(vg, room).__all__
    if inspect.isfunction(function := getattr(getattr(vg, room), name))
}
FORBIDDEN = {"batch", "batch_size", "count", "image", "start", "toward", "epsilons", "size", "n_directions"}
KINDS = {"directions": int, "steps": int, "seed": int}
_DONE: dict[str, xr.Dataset] = {}


def measured(name: str) -> xr.Dataset:
    if name not in _DONE:
        _DONE[name] = (MEASUREMENTS | ALSO)[name]()
    return _DONE[name]


def signature(name: str) -> list[inspect.Parameter]:
    return list(inspect.signature(getattr(vg, name)).parameters.values())


def of_a_model() -> list[str]:
    """Public functions whose first argument is a model."""
    functions = [name for name in vg.__all__ if inspect.isfunction(getattr(vg, name))]
    return [name for name in functions if (given := signature(name)) and given[0].name == "model"]


def test_every_function_of_a_model_is_looked_at() -> None:
    assert set(of_a_model()) == set(MEASUREMENTS) | OTHERWISE | {"fgsm_direction"}


@pytest.mark.parametrize("name", sorted(set(MEASUREMENTS) | {"fgsm_direction"}))
def test_arguments_stand_in_one_order(name: str) -> None:
    given = signature(name)
    lead = ["model", "source", "target"] if name in PAIRED else ["model", "images"]
    lead += ["labels"] if name in LABELLED else []
    positional = [p.name for p in given if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert positional == lead
    assert not {p.name for p in given} & FORBIDDEN
    by_name = {p.name: p for p in given}
    assert "labels" not in by_name or by_name["labels"].default is None
    for argument, kind in KINDS.items():
        assert argument not in by_name or type(by_name[argument].default) is kind
    if "along" in by_name:
        assert by_name["along"].default is None
    for argument in ("lengths", "radii"):
        assert argument not in by_name or "Sequence[float]" in str(by_name[argument].annotation)


@pytest.mark.parametrize("name", sorted(MEASUREMENTS))
def test_what_is_random_has_a_seed(name: str) -> None:
    assert (measured(name).attrs["seed"] >= 0) == ("seed" in {p.name for p in signature(name)})


@pytest.mark.parametrize("name", sorted(MEASUREMENTS | ALSO))
def test_units_and_ends_of_intervals(name: str) -> None:
    found = measured(name)
    for key, variable in found.variables.items():
        assert variable.attrs["units"] in UNITS
        assert variable.attrs["long_name"]
        if match := re.fullmatch(r"(.+)_(low|high)", str(key)):
            assert match[1] in found, f"{key} is the end of an interval of nothing"
            assert f"{match[1]}_low" in found
            assert f"{match[1]}_high" in found
            assert "95 % interval" in variable.attrs["long_name"]


@pytest.mark.parametrize("name", sorted(MEASUREMENTS))
def test_images_are_pixels_and_pairs_are_source_and_target(name: str) -> None:
    found, original = measured(name), "source" if name in PAIRED else "pixels"
    if name in PAIRED:
        assert found.sizes["pair"] == len(IMAGES)
        assert "image" not in found.dims
        torch.testing.assert_close(torch.from_numpy(found.target.values), OTHERS)
    pictures = [key for key, v in found.variables.items() if {"channel", "y", "x"} <= set(v.dims)]
    whole = [key for key in pictures if found[key].ndim == 4 and found[key].shape == tuple(IMAGES.shape)]
    same = {key for key in whole if abs(found[key].values - IMAGES.numpy()).max() < 1e-6}
    assert same <= {original}
    # whoever keeps pictures keeps the one they come from; singular vectors and J are directions at it
    if any(found[key].attrs["units"] == "pixel" for key in pictures):
        kept = torch.from_numpy(found[original].values).view(-1, *IMAGES.shape[1:])
        torch.testing.assert_close(kept, IMAGES[: len(kept)])
        assert found[original].attrs["units"] == "pixel"


@pytest.mark.parametrize("name", sorted(DATA))
def test_data_are_asked_for_by_name_number_and_size(name: str) -> None:
    positional = [p for p in signature(name) if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert [p.name for p in positional] == DATA[name]
    assert all("int" in str(p.annotation) for p in signature(name) if p.name in ("n", "seed"))


@pytest.mark.parametrize("name", ["jvp", "predict", "vjp"])
def test_what_gives_no_measurement_takes_images_second(name: str) -> None:
    assert [p.name for p in signature(name)][:2] == ["model", "images"]


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_figures_and_explorers_take_measurements_first(name: str) -> None:
    lead, *rest = inspect.signature(SHOWN[name]).parameters.values()
    assert lead.name == OTHER_LEADS.get(name, "measurement" if "Iterable" not in hint(lead) else "measurements")
    numbers = {p.name: hint(p) for p in rest if p.name in ("image", "images", "pair")}
    for argument, kind in numbers.items():
        assert kind.startswith("int") if argument != "images" else kind == "Any", f"{argument} of {name} is {kind}"
    assert inspect.signature(SHOWN[name]).return_annotation == ("Figure" if name.startswith("figures") else "Display")
    if name.startswith("explore") and name not in OTHER_LEADS:
        assert rest[0].name == "models"
        assert rest[0].default is None


def hint(argument: inspect.Parameter) -> str:
    """The annotation of an argument, with the one alias that figures and explorers use written out."""
    return str(argument.annotation).replace("Measurements", "xr.Dataset | Iterable[xr.Dataset]")


def test_the_reference_page_states_the_conventions() -> None:
    from .chapters import ROOT

    page = (ROOT / "book" / "api.md").read_text()
    for word in (
        *KINDS,
        "along",
        "lengths",
        "radii",
        "kinds",
        "pixels",
        "source",
        "target",
        "measurement",
        "measurements",
        "models",
        "image",
        "pair",
        "model.batch_size",
        *UNITS,
    ):
        assert f"`{word}`" in page, f"book/api.md does not say what {word} means"
