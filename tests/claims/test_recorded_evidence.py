"""A random part of every recorded file is measured again, directly, and must come out the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import vitgeom_nb as vg
from vitgeom_nb.claims.evidence import Planned, evidence, kept_of, networks_of
from vitgeom_nb.claims.recording import is_recorded
from vitgeom_nb.core.image_similarity import psnr
from vitgeom_nb.core.random_directions import rms
from vitgeom_nb.equivalence.fibre_step import FAILURE, frames_along
from vitgeom_nb.errors import DataError, WeightsError
from vitgeom_nb.jacobians.chunks import untimed_rows
from vitgeom_nb.sweeps import measures, work
from vitgeom_nb.sweeps.images import open_images, partner
from vitgeom_nb.sweeps.plan import Network

EVIDENCE = Path(__file__).parents[2] / "evidence"
LARGEST = 15e6  # bytes of all files
FEW = 20  # directions where there are a thousand
FIRST = 3  # steps of a walk
FLOAT = {"rtol": 2e-3, "atol": 1e-6}
MOST = 0.8  # of the values are so near; others may be what rounding leaves of a difference
ROUNDING: dict[tuple[str, str], Callable[[xr.Dataset], xr.DataArray]] = {
    ("direction_change", "angle"): lambda m: m.noise_floor,
    ("direction_change", "noise_floor"): lambda m: m.noise_floor / 2,
    # quantiles of one image over its directions, whose least and largest feel rounding most
    ("direction_change", "angle_quantile"): lambda m: m.noise_floor.max("direction"),
    ("untrained_direction_change", "angle_quantile"): lambda m: m.noise_floor.max("direction"),
    # an attack follows signs of gradients, some of which rounding turns
    ("smallest_attack", "epsilon"): lambda m: 0.05 * m.epsilon,
    ("smallest_attack", "smallest"): lambda m: 0.05 * m.smallest,
    ("step_law", "angle"): lambda m: m.noise_floor,
    ("step_law", "noise_floor"): lambda m: m.noise_floor / 2,
    ("step_response", "change"): lambda m: m.rounding,
    ("step_response", "linearisation_error"): lambda m: m.rounding / m.yardstick / m.radius,
    ("step_response", "rounding"): lambda m: m.rounding / 2,
    ("lldlc", "lldlc"): lambda m: m.rounding / m.radius,
    ("lldlc", "rounding"): lambda m: m.rounding / 2,
    # a difference, as exact as its two parts
    ("random_jump", "bend_change"): lambda m: FLOAT["rtol"] * m.direction_change.max("path"),
}
"""Measure and variable -> how far it may be from the same on another processor, which rounds in another way."""
BELOW = "below the first radius"
EARLIER = {"efficientnet-lite0"}  # recorded before runs were, by the functions themselves
ANOTHER_WAY = {"singular_spectrum": lambda model, images: vg.leading_singular_values(model, images, k=3)}
"""Measure -> what gives a part of it for less: here the largest values, without the Jacobian."""

PLANS = [(tier, planned) for tier in ("embedded", "pretrained") for planned in evidence(tier)]
FILES = [
    pytest.param(tier, planned, EVIDENCE / name / f"{planned.name}.nc", id=f"{name}-{planned.name}")
    for tier, planned in PLANS
    for name in networks_of(tier)
    if name not in EARLIER and (EVIDENCE / name / f"{planned.name}.nc").exists()
]


@cache
def network(name: str) -> vg.VisionModel:
    try:
        return vg.load(name)
    except WeightsError as error:
        pytest.skip(str(error))


@cache
def images_for(data: str, name: str) -> Any:
    try:
        return open_images(data, network(name))
    except DataError as error:
        pytest.skip(str(error))


def measured_again(planned: Planned, name: str, numbers: list[int]) -> xr.Dataset:
    """The same numbers by a direct call of the function for these images alone."""
    model, held = network(name), images_for(planned.data, name)
    measure = measures.find(planned.measure)
    function = measure.load()
    options = dict(measure.fixed) | planned.parameters
    if "seed" in work._parameters(function):
        options["seed"] = planned.seed
    others = held[[partner(planned.seed, i, len(held)) for i in numbers]]
    if measure.partner:
        options[measure.partner] = others
    with untimed_rows():  # as sweeps do: rows of Jacobians in chunks that no clock chooses
        return function(model, held[numbers], *([others] if planned.pairs else []), **options)


def same_pair_as_well_matched(again: xr.Dataset, stored: xr.Dataset) -> None:
    """Where a solver ends depends on rounding, and so on the processor and on the pairs beside: not by much, though."""
    np.testing.assert_allclose(again.pair_cosine, stored.pair_cosine, atol=1e-4)
    for key in ("source_label", "target_label"):
        np.testing.assert_array_equal(again[key], stored[key])
    np.testing.assert_allclose(again.cosine, stored.cosine, atol=0.03)
    np.testing.assert_allclose(again.psnr, stored.psnr, atol=3.0)
    assert (abs(np.log2(again.evaluations / stored.evaluations)) <= 1).all()


def some_of(path: Path, size: int, count: int) -> list[int]:
    own = np.random.default_rng(list(path.read_bytes()[-64:]))  # another part after every recording
    return sorted(own.choice(size, count, replace=False).tolist())


def without_matches(again: xr.Dataset, stored: xr.Dataset) -> xr.Dataset:
    """What a measurement of constants says of other directions than that to a match, which depends on rounding."""
    np.testing.assert_allclose(again.match_cosine, stored.match_cosine, atol=0.03)
    assert (abs(np.log2(again.match_distance / stored.match_distance)) <= 0.5).all()  # 3 dB
    others = again.drop_vars([name for name in again.data_vars if str(name).startswith("match_")])
    return others.sel(kind=again.kind != "matching")


def room_for(measure: str, key: Any, whole: xr.Dataset, again: xr.Dataset) -> Any:
    """How far a variable may be from what is recorded, by its own dimensions, as the whole measurement has it."""
    if (measure, key) not in ROUNDING:
        return 0.0
    room = ROUNDING[measure, key](whole.sel(kind=again.kind) if "kind" in again.dims else whole)
    return room.broadcast_like(again[key]).transpose(*again[key].dims).values


def first_steps_again(stored: xr.Dataset, planned: Planned, name: str, pair: int) -> None:
    """The straight blend of a pair, and its first steps along the fibre: a whole walk takes most of a minute."""
    model, held = network(name), images_for(planned.data, name)
    (x_0,), (b,) = held[[pair]].pixels, held[[partner(planned.seed, pair, len(held))]].pixels
    walk, steps = stored.isel(pair=pair), stored.sizes["step"] - 1
    blends = torch.stack([torch.lerp(x_0, b, k / steps) for k in range(steps + 1)])
    f = model.embed(blends)
    np.testing.assert_allclose(walk.straight_drift, (f - f[0]).norm(dim=1) / f[0].norm(), rtol=2e-3, atol=1e-5)
    np.testing.assert_allclose(walk.pair_cosine, torch.cosine_similarity(f[0], f[-1], dim=0), atol=1e-4)
    for k, (frame, _) in enumerate(islice(frames_along(model, x_0, b, steps), FIRST), start=1):
        drift = float((model.embed(frame[None])[0] - f[0]).norm() / f[0].norm())
        assert (drift > FAILURE) == walk.failed[k]  # how far below it they end is rounding's
        np.testing.assert_allclose(walk.distance[k], rms((frame - b)[None]), rtol=2e-3)
        np.testing.assert_allclose(walk.psnr_source[k], psnr(frame[None], x_0[None]), atol=0.1)
        np.testing.assert_allclose(walk.psnr_target[k], psnr(frame[None], b[None]), atol=0.1)
    assert (walk.failed == (walk.drift > FAILURE)).all()
    assert walk.evaluations >= steps * model.dim


@pytest.mark.parametrize(("tier", "planned", "path"), FILES)
def test_a_random_part_comes_out_the_same(tier: str, planned: Planned, path: Path) -> None:
    stored, name = vg.open_measurement(path), path.parent.name
    unit = "pair" if planned.pairs else "image"
    assert stored.sizes[unit] == planned.size
    chosen = some_of(path, planned.size, 1)
    if planned.together:  # all are compared with all
        chosen = list(range(planned.size))
    if planned.quantiles and planned.parameters["directions"] > FEW:
        few = planned._replace(parameters=planned.parameters | {"directions": FEW})
        angle = measured_again(few, name, chosen).angle.values
        least, low, high, largest = stored.angle_quantile[chosen[0], [0, 25, 75, 100]].values
        assert least * 0.999 <= angle.min() < angle.max() <= largest * 1.001  # some of the same directions
        assert low < np.median(angle) < high
        return
    if planned.measure in ANOTHER_WAY:
        found = ANOTHER_WAY[planned.measure](network(name), images_for(planned.data, name)[chosen])
        values = stored.singular_value[chosen, : found.sizes["rank"]]
        np.testing.assert_allclose(values, found.singular_value, rtol=1e-4)
        return
    if planned.measure == "fibre_walk":
        first_steps_again(stored, planned, name, chosen[0])
        return
    whole = measured_again(planned, name, chosen)
    again = kept_of(whole, planned)
    assert again.attrs["weights"] == stored.attrs["weights"]
    if planned.measure == "match":
        same_pair_as_well_matched(again, stored.isel(pair=chosen))
        return
    if "match_cosine" in again:
        again = without_matches(again, stored.isel({unit: chosen}))
        stored = stored.sel(kind=again.kind)
    for key in again.data_vars:
        if unit not in again[key].dims:
            continue  # a statistic of all images, which is made anew from what each has
        a, b = again[key].values, stored[key].isel({unit: chosen}).transpose(*again[key].dims).values
        if str(key).startswith("linear_"):  # how large rounding is decides which radius is the first that counts
            begun = [one.linear_outcome != BELOW for one in (again, stored.isel({unit: chosen}))]
            both = np.logical_and(*(one.transpose(*again[key].dims).values for one in begun))
            a, b = a[both], b[both]
        if not a.size:
            continue
        if a.dtype.kind == "f":
            room = room_for(planned.measure, key, whole, again)
            close = np.isclose(b, a, **FLOAT, equal_nan=True) | (abs(b - a) <= room)
            assert close.mean() >= MOST, f"{path} {key} {chosen}"
            far = (abs(b - a) > 0.5 * abs(a) + 1e-5 + room) | (np.isnan(a) != np.isnan(b))
            assert not far.any(), f"{path} {key} {chosen}: {b[far][:5]}, and again {a[far][:5]}"
        else:
            np.testing.assert_array_equal(b, a, err_msg=f"{path} {key} {chosen}")


@pytest.mark.parametrize(("tier", "planned", "path"), FILES)
def test_a_file_is_of_the_list_and_of_the_weights_that_ship(tier: str, planned: Planned, path: Path) -> None:
    attrs = vg.open_measurement(path).attrs
    assert json.loads(attrs["recorded"]) == json.loads(json.dumps(planned.identity))
    weights = network(path.parent.name).digest
    assert is_recorded(path, Network(path.parent.name, weights, "embedding", "all", "float32", True), planned)


def test_nothing_else_is_there_and_all_of_it_is_small() -> None:
    listed = {(name, planned.name) for tier, planned in PLANS for name in networks_of(tier)}
    found = [path for path in EVIDENCE.glob("*/*.nc") if path.parent.name not in EARLIER]
    assert {(path.parent.name, path.stem) for path in found} <= listed
    assert sum(path.stat().st_size for path in EVIDENCE.glob("*/*.nc")) < LARGEST


@pytest.mark.parametrize("name", sorted(EARLIER))
def test_what_was_recorded_earlier_is_of_the_same_weights(name: str) -> None:
    stored = vg.open_measurement(EVIDENCE / name / "singular_spectrum.nc")
    model = network(name)
    assert stored.attrs["weights"] == model.digest
    again = vg.leading_singular_values(model, vg.samples("imagenet", n=1, size=model.size), k=1).singular_value
    np.testing.assert_allclose(stored.singular_value[:1, :1], again, rtol=1e-4)
