"""Whatever ends a measurement, and whenever, what is finished comes with the exception."""

import pickle

import numpy as np
import pytest
import torch
import xarray as xr

import vitgeom_nb as vg
from tests import tiny_networks
from tests.test_conventions import of_a_model
from vitgeom_nb.calibration.predictions import Predictions
from vitgeom_nb.core.images import Images
from vitgeom_nb.core.measurement import parameters
from vitgeom_nb.errors import Interrupted

COUNT = 4
HERE = "the exception's `finished` has them."


class OwnError(Exception):
    """An error of the reader's own module."""


def labelled_images(x, labels):
    return Images(x, [str(i) for i in range(len(x))], "ours", "ours", labels)


MEASURES = {
    "travel_distance": (lambda m, x, y: vg.travel_distance(m, x, y, epsilon_max=1.0), "epsilon"),
    "random_jump": (lambda m, x, y: vg.random_jump(m, x, y, epsilon_max=1.0), "epsilon"),
    "fgsm_path": (lambda m, x, y: vg.fgsm_path(m, x, y, epsilon_max=1.0), "crossing"),
    "predict": (lambda m, x, y: vg.predict(m, labelled_images(x, y)), None),
    "reliability": (lambda m, x, y: vg.reliability(m, x, y), "count"),
    "embeddings": (lambda m, x, y: m.embeddings(x), None),
    "labels": (lambda m, x, y: m.labels(x), None),
    "probabilities": (lambda m, x, y: m.probabilities(x), None),
    "fibre_walk": (lambda m, x, y: vg.fibre_walk(m, x, x.roll(1, 0), steps=3), "path"),
    "homotopy": (lambda m, x, y: vg.homotopy(m, x, x.roll(1, 0), steps=2, residual=0.5), "path"),
    "match": (lambda m, x, y: vg.match(m, x, x.roll(1, 0), cosine=1, residual=1e-9, max_evaluations=9), "matched"),
    "lldlc": (lambda m, x, y: vg.lldlc(m, x, directions=3, radii=(0.1, 1)), "lldlc"),
    "step_law": (lambda m, x, y: vg.step_law(m, x, directions=3, resamples=10), "angle"),
    "step_response": (lambda m, x, y: vg.step_response(m, x, directions=3, radii=(0.1, 1)), "change"),
    "singular_steps": (lambda m, x, y: vg.singular_steps(m, x, ranks=(1, 2), radii=(0.1, 1)), "change"),
    "singular_spectrum": (lambda m, x, y: vg.singular_spectrum(m, x), "singular_value"),
    "leading_singular_values": (lambda m, x, y: vg.leading_singular_values(m, x, k=2), "singular_value"),
    "jacobian": (lambda m, x, y: vg.jacobian(m, x), "jacobian"),
    "additivity": (lambda m, x, y: vg.additivity(m, x, directions=2), "residual"),
    "trajectory": (lambda m, x, y: vg.trajectory(m, x[:1], curves=3, points=5), "feature"),
    "direction_change": (lambda m, x, y: vg.direction_change(m, x, directions=3, steps=4), "angle"),
    "curvature": (lambda m, x, y: vg.curvature(m, x, directions=3), "curvature"),
    "path_plane": (
        lambda m, x, y: vg.path_plane(m, x, y, head=m.module[3], points=5, resolution=5, epsilon_max=1.0),
        "epsilon",
    ),
    "fgsm_direction": (lambda m, x, y: vg.fgsm_direction(m, x, y), None),
    "fgsm_step": (lambda m, x, y: vg.fgsm_step(m, x, y), "seen"),
    "jvp": (lambda m, x, y: vg.jvp(m, x, x), None),
    "corrupted_predictions": (lambda m, x, y: vg.corrupted_predictions(m, x, y), "confidence"),
    "smallest_attack": (lambda m, x, y: vg.smallest_attack(m, x, y, epsilon_max=1.0, grid=3), "epsilon"),
    "vjp": (lambda m, x, y: vg.vjp(m, x, torch.ones(len(x), m.dim, dtype=m.dtype)), None),
}
METHODS = ("embeddings", "labels", "probabilities")
KEEPS_NOTHING = {
    "class_cosines": "each image is compared with all others",
    "export_onnx": "graphs without one another are of no use",
    "smooth_calibration": "it is of all images at once",
    "untrained_direction_change": "direction_change, which makes it, keeps its lines",
    "temperature": "it is one number, fitted to all images",
    "report": "its sweep keeps every finished shard, and the next report goes on from there",
    "match_remainder": "it looks at the end of a match, in one pass for all pairs",
}


def test_every_function_of_a_model_keeps_what_is_finished_or_says_why_not():
    assert sorted([*MEASURES, *KEEPS_NOTHING]) == sorted([*of_a_model(), *METHODS])


@pytest.fixture(scope="module")
def problem():
    model = tiny_networks.random_network()
    model.batch_size = 2
    x, labels = tiny_networks.crossing_images(model, COUNT)
    assert len(x) == COUNT
    return model, x, labels


def ending(error, after):
    """What raises `error` at each pass from `after` on: a module that is broken stays so."""
    calls = [0]

    def before():
        calls[0] += 1
        if calls[0] > after:
            raise error

    return before, calls


def content(finished, variable):
    if isinstance(finished, xr.Dataset):
        return finished[variable].values
    return (finished.logits if isinstance(finished, Predictions) else finished).numpy()


def ended(model, measure, variable, error, after, x, labels):
    """The exception that ends a measurement after some passes; None where it was faster."""
    before, _ = ending(error, after)
    try:
        measure(model.watched(before), x, labels)
    except BaseException as caught:
        return caught
    return None


@pytest.mark.parametrize("name", list(MEASURES))
def test_what_is_finished_comes_with_the_exception(problem, name):
    model, x, labels = problem
    measure, variable = MEASURES[name]
    before, calls = ending(OwnError(), 10**9)
    whole = measure(model.watched(before), x, labels)
    total = calls[0]
    assert total > 1
    shape = content(whole, variable).shape
    kept = 0
    places = sorted({*range(1, min(total, 8)), *np.linspace(1, total - 1, 8).astype(int).tolist()})
    for after in places:
        for error in (KeyboardInterrupt(), OwnError("broken"), MemoryError(), torch.OutOfMemoryError("no room")):
            caught = ended(model, measure, variable, error, after, x, labels)
            if isinstance(error, KeyboardInterrupt):
                assert isinstance(caught, KeyboardInterrupt)
            else:
                assert caught is error
            finished = getattr(caught, "finished", None)
            if finished is None:
                assert not isinstance(caught, Interrupted)
                assert not told(caught)
                continue
            kept += 1
            assert (str(caught).count(HERE) if isinstance(caught, Interrupted) else len(told(caught))) == 1
            assert type(finished) is type(whole)  # its own measurement, not that of a step inside
            if isinstance(finished, xr.Dataset):
                assert set(finished.data_vars) <= set(whole.data_vars)
                assert variable in finished
                assert finished[variable].dims == whole[variable].dims
                pickle.dumps(finished)
            values = content(finished, variable)
            assert len(values) <= shape[0]
            if values.dtype.kind == "f" and name != "fgsm_path":
                assert np.isfinite(values).any() or name in ("travel_distance", "random_jump", "path_plane")
    assert kept, f"of {total} passes"


def told(error: BaseException) -> list[str]:
    """What an exception says of what is finished; other notes say where it arose."""
    return [note for note in getattr(error, "__notes__", []) if HERE in note]


def test_what_is_finished_is_right(problem):
    model, x, labels = problem
    whole = vg.travel_distance(model, x, labels, epsilon_max=1.0)
    before, calls = ending(OwnError(), 10**9)
    vg.travel_distance(model.watched(before), x, labels, epsilon_max=1.0)
    for after in range(calls[0]):
        caught = ended(model, MEASURES["travel_distance"][0], "epsilon", OwnError("broken"), after, x, labels)
        if (finished := getattr(caught, "finished", None)) is None:
            continue
        crossed = finished.outcome == "crossed"
        assert set(finished.outcome.values) <= {"crossed", "not finished"}
        assert bool(crossed.any())
        width = parameters(finished)["tolerance"]
        gap = (finished.epsilon - whole.epsilon).where(crossed)
        assert float(gap.max()) <= width
        assert float(gap.min()) >= -1e-4


def test_nothing_finished_leaves_the_exception_as_it_is(problem):
    model, x, labels = problem
    for measure, variable in MEASURES.values():
        caught = ended(model, measure, variable, OwnError("broken"), 0, x, labels)
        assert type(caught) is OwnError
        assert not hasattr(caught, "finished")
        assert not told(caught)


def test_the_planes_that_were_seen_are_right(problem):
    model, x, labels = problem
    measure, _ = MEASURES["path_plane"]
    whole = measure(model, x, labels)
    before, calls = ending(OwnError(), 10**9)
    measure(model.watched(before), x, labels)
    caught = ended(model, measure, "epsilon", OwnError("broken"), calls[0] - 1, x, labels)
    seen = caught.finished.isel(image=slice(0, COUNT - 1))
    assert np.isnan(caught.finished.margin[-1]).all()
    for name, values in whole.isel(image=slice(0, COUNT - 1)).items():
        np.testing.assert_allclose(seen[name], values, rtol=1e-9, atol=1e-9)
