"""Measures by name: what a text says, what every line of the registry keeps, and functions of one's own."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
import xarray as xr

import vitgeom_nb as vg
from vitgeom_nb.core.measurement import UNITS
from vitgeom_nb.errors import ArgumentError
from vitgeom_nb.sweeps import entries, measures, shards
from vitgeom_nb.sweeps.images import partner

from .simulated import here


@pytest.mark.parametrize("one", measures.BUILT_IN, ids=lambda one: one.name)
def test_every_line_of_the_registry_names_a_function_and_its_parameters(one: measures.Measure) -> None:
    takes = inspect.signature(one.load()).parameters
    lead = ["model", "source", "target"] if one.unit == "pair" else ["model", "images"]
    assert list(takes)[: len(lead)] == lead
    assert set(one.fixed) <= set(takes)
    assert one.partner is None or one.partner in takes
    assert one.block % one.together == 0
    assert not one.head or "labels" in takes


def test_what_the_issue_of_a_sweep_asks_for_is_there() -> None:
    wanted = "predictions reliability travel_distance random_jump direction_change step_law curvature singular_spectrum"
    wanted += " leading_singular_values lldlc match fibre_walk additivity corrupted_predictions class_cosines"
    assert set(wanted.split()) <= set(measures.names())


def test_texts() -> None:
    plain = entries.entry("curvature")
    assert (plain.label, plain.measure.name, plain.parameters, plain.images) == ("curvature", "curvature", {}, None)
    long = entries.entry("published=direction_change:directions=1000,steps=50,images=10,block=1")
    assert (long.label, long.measure.name, long.images, long.size) == ("published", "direction_change", 10, 1)
    assert long.parameters == {"directions": 1000, "steps": 50}
    listed = entries.entry('lldlc:radii=[0.1,1.0],kinds=["random","top"],slopes=False')
    assert listed.parameters == {"radii": [0.1, 1.0], "kinds": ["random", "top"], "slopes": False}
    assert entries.entry("match:method=adam,lr=0.01").parameters == {"method": "adam", "lr": 0.01}
    assert entries.entry("travel_distance:labels=own").labels == "own"
    own = entries.entry(f"mine={here('told')}:images=3")
    assert (own.label, own.measure.name, own.images) == ("mine", "told", 3)


def test_a_shard_holds_whole_calls() -> None:
    assert entries.entry("predictions:block=40").size == 64
    assert entries.entry("travel_distance:block=4").size == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("curvatur", "did you mean 'curvature'"),
        ("curvature:direction=3", "did you mean 'directions'"),
        ("curvature:directions", "write NAME"),
        ("curvature:images=0", "at least one"),
        ("curvature:images=many", "at least one"),
        ("travel_distance:labels=mine", "given or own"),
        ("travel_distance:resamples=5", "no parameter 'resamples'"),
        ("a/b=curvature", "no name for a measure"),
        ("../x=curvature", "no name for a measure"),
        ("/no/such/file.py:f", "There is no file"),
        (here("nothing"), "There is no 'nothing'"),
    ],
)
def test_what_no_text_may_say(text: str, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        entries.entry(text)


def test_two_measures_have_two_labels() -> None:
    with pytest.raises(ArgumentError, match="Two measures are called 'match'"):
        entries.entries(["match", "match:method=adam"])
    both = entries.entries({"slow": "match", "fast": ("match", {"method": "adam"})})
    assert [(one.label, dict(one.parameters)) for one in both] == [("slow", {}), ("fast", {"method": "adam"})]
    with pytest.raises(ArgumentError, match="nothing to measure"):
        entries.entries([])
    with pytest.raises(ArgumentError, match="A measure is a name"):
        entries.entries([3])


def test_a_function_of_ones_own_joins_with_one_decorator() -> None:
    @vg.measure(unit="pair", together=2, block=6)
    def gap(model, source, target):
        return {"gap": (source.pixels - target.pixels).abs().flatten(1).amax(1)}

    found = measures.find("gap")
    assert (found.unit, found.together, found.block, found.source) == ("pair", 2, 6, measures.digest_of_source(gap))
    assert entries.entries([gap])[0].measure is found
    with pytest.raises(ArgumentError, match="a measure of this package"):
        vg.measure(gap, name="match")
    with pytest.raises(ArgumentError, match="not written in Python"):
        vg.measure(len)
    with pytest.raises(ArgumentError, match="both are at least one"):
        vg.measure(together=0)


def test_other_code_has_another_digest() -> None:
    first, second, again = (
        eval(f"lambda model, images: {{'a': images.pixels.sum((1, 2, 3)) + {n}}}") for n in (1, 2, 1)
    )
    assert measures.digest_of_source(first) == measures.digest_of_source(again) != measures.digest_of_source(second)


def test_pieces_of_what_a_measure_returns() -> None:
    one = measures.Measure("own", lambda model, images: None, without=())
    found = shards.piece({"a": torch.ones(1, 3), "b": np.zeros(1)}, one, [7])
    assert dict(found.sizes) == {"image": 1, "a_1": 3}
    assert found["image"].values.tolist() == [7]
    with pytest.raises(vg.errors.DataError, match="one of each image"):
        shards.piece({"a": 3.0}, one, [7])
    with pytest.raises(vg.errors.DataError, match="for 2 images"):
        shards.piece({"a": torch.ones(1)}, one, [7, 8])
    with pytest.raises(vg.errors.DataError, match="NoneType"):
        shards.piece(None, one, [7])


def test_statistics_of_a_batch_are_left_out_and_those_of_one_image_are_its_own() -> None:
    ds = xr.Dataset({"x": ("image", [1.0]), "mean": ((), 1.0), "picture": (("image", "y"), [[1.0]])})
    alone = measures.Measure("own", len, without=("y",))
    assert set(shards.piece(ds, alone, [0]).data_vars) == {"x", "mean"}
    assert shards.piece(ds, alone, [0])["mean"].dims == ("image",)
    assert set(shards.piece(ds, measures.Measure("own", len, together=2), [0]).data_vars) == {"x", "picture"} - {
        "picture"
    }
    assert all(unit in UNITS for unit in ("1", "dB"))


def test_partners_depend_on_seed_and_number_alone() -> None:
    found = [partner(0, i, 50) for i in range(50)]
    assert all(i != other and 0 <= other < 50 for i, other in enumerate(found))
    assert len(set(found)) > 20
    assert found != [partner(1, i, 50) for i in range(50)]
    assert [partner(5, i, 2) for i in range(2)] == [1, 0]
