"""The list of what is run: sizes, functions that exist, and what is kept of a measurement."""

import contextlib
import inspect

import numpy as np
import pytest
import torch
import xarray as xr

import vitgeom_nb as vg
from vitgeom_nb import errors
from vitgeom_nb.claims.beside import BESIDE
from vitgeom_nb.claims.evidence import kept_of
from vitgeom_nb.claims.quantities import QUANTITIES, Lacking
from vitgeom_nb.claims.sentences import claims

from ..tiny_networks import pixels, random_network

SIZES = {
    "direction_change": 200, "direction_change_published": 10, "step_law": 50, "curvature": 50, "additivity": 50,
    "singular_spectrum": 200, "lldlc": 100, "match": 100, "match_gradient_descent": 50, "match_adam": 50,
    "fibre_walk": 20, "travel_distance": 5000, "random_jump": 5000, "predictions": 10_000,
    "corrupted_predictions": 10_000, "smallest_attack": 200,
}  # fmt: skip


def test_sizes_are_those_of_the_plan():
    found = {planned.name: planned for tier in ("paper", "embedded") for planned in vg.claims.evidence(tier)}
    assert len(found) == len(vg.claims.evidence()) + 1  # predictions, which ship with the embedded networks
    for name, size in SIZES.items():
        assert (found[name].images or found[name].pairs) == size
        assert not (found[name].images and found[name].pairs)
    published = found["direction_change_published"].parameters
    assert (published["directions"], published["steps"]) == (1000, 50)
    assert found["direction_change"].parameters["directions"] == 20
    assert all(planned.seed == 0 for planned in found.values())
    assert [planned.name for planned in found.values() if planned.together] == ["class_cosines"]


def test_every_measure_exists_and_takes_its_parameters():
    for tier in ("embedded", "paper"):
        for planned in vg.claims.evidence(tier):
            if planned.measure == "predictions":
                continue  # logits and labels, which no public function gives as a measurement
            given = inspect.signature(getattr(vg, planned.measure)).parameters
            assert set(planned.parameters) <= set(given), planned.name
            assert {"source", "target"} <= set(given) if planned.pairs else "images" in given


def test_what_the_claims_read_is_measured_in_both_tiers():
    for tier in ("embedded", "paper"):
        names = {planned.name for planned in vg.claims.evidence(tier)}
        absent = {name for claim in claims().values() for name in claim.reads} - names
        assert absent == {"untrained_direction_change" if tier == "paper" else "predictions"}  # which ship


class NotRead(Exception):
    """A number beside the claims that is made of other measurements."""


MODEL = random_network()
MADE = {
    "direction_change": lambda **o: vg.direction_change(MODEL, pixels(3), **(o | {"directions": 4, "steps": 5})),
    "match": lambda **o: vg.match(MODEL, pixels(3), pixels(3, seed=5), **o, max_evaluations=60),
    "lldlc": lambda **o: vg.lldlc(MODEL, pixels(3), **o, directions=3, max_evaluations=60),
    "travel_distance": lambda: vg.travel_distance(MODEL, pixels(6), MODEL.labels(pixels(6)), epsilon_max=1.0),
    "random_jump": lambda: vg.random_jump(MODEL, pixels(6), MODEL.labels(pixels(6)), epsilon_max=1.0),
    "singular_spectrum": lambda: vg.singular_spectrum(MODEL, pixels(3)),
    "step_response": lambda: vg.step_response(MODEL, pixels(3), radii=(0.01, 0.1), directions=3),
    "step_law": lambda **o: vg.step_law(MODEL, pixels(3), **o, resamples=3),
    "curvature": lambda **o: vg.curvature(MODEL, pixels(3), **(o | {"directions": 3})),
    "additivity": lambda **o: vg.additivity(MODEL, pixels(3), **o),
    "fibre_walk": lambda: vg.fibre_walk(MODEL, pixels(2), pixels(2, seed=5), steps=3),
    "smallest_attack": lambda: vg.smallest_attack(MODEL, pixels(3), MODEL.labels(pixels(3)), grid=2),
    "corrupted_predictions": lambda: vg.corrupted_predictions(MODEL, pixels(4), torch.arange(4)),
    "class_cosines": lambda: vg.class_cosines(MODEL, pixels(6), torch.arange(6) % 2),
}


@pytest.mark.parametrize("planned", vg.claims.evidence(), ids=lambda planned: planned.name)
def test_what_is_kept_is_what_was_measured(planned):
    if planned.measure not in MADE:
        pytest.skip("needs an embedded network")
    whole = MADE[planned.measure](**planned.parameters)
    kept = vg.claims.reduced(whole, planned.name)
    assert kept.attrs == whole.attrs
    for key in planned.keep:
        if whole[key].dtype.kind == "f":
            np.testing.assert_allclose(kept[key], whole[key], rtol=2**-16 if planned.rounded else 1e-6)
        else:
            np.testing.assert_array_equal(kept[key], whole[key])
    for key in planned.quantiles:
        flat = whole[key].values.reshape(whole.sizes["image"], -1)
        np.testing.assert_allclose(kept[f"{key}_quantile"][:, 50], np.median(flat, axis=1), rtol=1e-6)
        np.testing.assert_allclose(
            kept[f"{key}_quantile"][:, [0, -1]], np.stack([flat.min(1), flat.max(1)], 1), rtol=1e-6
        )
    run = {planned.name: kept}
    for claim in claims().values():
        if claim.reads == (planned.name,) and claim.id != "K10":  # which asks for attention
            assert QUANTITIES[claim.id](run).count >= 0  # what is kept is what the claim reads
    for extras in BESIDE.values():
        for _, _, make in extras:
            with contextlib.suppress(NotRead):
                try:
                    make(run)
                except Lacking as lacking:  # another measurement may be absent, no variable of this one
                    if str(lacking).endswith(f" of {planned.name}"):
                        raise
                    raise NotRead from None


def test_only_what_hangs_on_no_threshold_is_rounded():
    rounded = {planned.name for planned in vg.claims.evidence() if planned.rounded}
    assert rounded == {
        "direction_change",
        "travel_distance",
        "random_jump",
        "corrupted_predictions",
        "singular_spectrum",
    }


def test_numbers_are_kept_to_sixteen_bits():
    largest = float(np.finfo(np.float32).max)
    exact = np.array([0.0, -0.0, 1.0, -1.5, 1 + 2**-15, 2.0**-120, np.inf, -np.inf, np.nan, largest])
    step = np.array([1 + 2**-17, 1 + 3 * 2**-17, 1e-42])  # a quarter of a step more than 1, three quarters; subnormal
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=1000) * 10.0 ** rng.integers(-30, 30, 1000)
    whole = xr.Dataset({"angle": (("image",), np.concatenate([exact, step, drawn]), {"units": "rad"})})
    planned = next(one for one in vg.claims.evidence() if one.name == "direction_change")._replace(keep=("angle",))
    kept = kept_of(whole, planned).angle.values
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(kept[: len(exact)], exact.astype(np.float32))
    np.testing.assert_array_equal(kept[len(exact) :][:2], [1, 1 + 2**-15])
    np.testing.assert_allclose(kept[len(exact) + 2], 1e-42, atol=2e-43)
    np.testing.assert_allclose(kept[-1000:], drawn, rtol=1.01 * 2**-16)
    assert not (kept[-1000:].view(np.uint32) & 0xFF).any()


def test_quantiles_serve_the_claims_as_the_angles_do():
    own = np.random.default_rng(0)
    angle = np.exp(own.normal(-3, 0.5, (30, 40, 49)))
    bend = (
        MADE["direction_change"]()
        .drop_dims(["direction", "step"])
        .assign(angle=(("image", "direction", "step"), angle))
    )
    bend["angle"].attrs = {"units": "rad", "long_name": "direction change"}
    short = vg.claims.reduced(bend, "direction_change_published")
    full, few = (vg.claims.table({"vit": {"direction_change": d}}).set_index("claim") for d in (bend, short))
    for claim in ("K4", "K5"):
        np.testing.assert_allclose(few.estimate[claim], full.estimate[claim], rtol=0.02)


def test_unknown_names_and_tiers_are_refused():
    with pytest.raises(errors.ArgumentError, match="paper"):
        vg.claims.evidence("pocket")
    whole = MADE["singular_spectrum"]()
    with pytest.raises(errors.ArgumentError, match="no measurement"):
        vg.claims.reduced(whole, "horoscope")
    with pytest.raises(errors.ArgumentError, match="has no angle"):
        vg.claims.reduced(whole, "direction_change")
