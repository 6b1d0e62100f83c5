"""The evidence is what the measurements return, written when it is complete and once, on simulated networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import vitgeom_nb as vg
from vitgeom_nb.claims import recording
from vitgeom_nb.claims.evidence import Planned, kept_of
from vitgeom_nb.claims.runs import Recorded
from vitgeom_nb.errors import ArgumentError, DataError
from vitgeom_nb.sweeps.images import partner

from ..sweeps import simulated
from ..sweeps.simulated import here

SEED = 3
IMAGES = simulated.images()
NETWORK = here("small")


def planned(name: str, measure: str, size: int, keep: tuple[str, ...] = (), **options: Any) -> Planned:
    pairs = options.pop("pairs", False)
    own = {"quantiles": options.pop("quantiles", ()), "together": False, "parameters": options}
    sizes = {"images": 0 if pairs else size, "pairs": size if pairs else 0}
    return Planned(name=name, measure=measure, data=here("images"), seed=SEED, keep=keep, **sizes, **own)


PLAN = (
    planned("singular_spectrum", "singular_spectrum", 3, ("singular_value", "stable_rank")),
    planned("bends", "direction_change", 2, (), quantiles=("angle",), directions=3, steps=4),
    planned("step_law", "step_law", 2, ("angle", "noise_floor"), directions=2),
    planned("class_cosines", "class_cosines", 20, ("within", "overtaken", "label")),
    planned("travel_distance", "travel_distance", 4, ("epsilon", "outcome", "label"), epsilon_max=1.0, grid=5),
    planned("match", "match", 3, ("cosine", "evaluations", "converged"), pairs=True, max_evaluations=20),
    planned("lldlc", "lldlc", 1, ("lldlc", "match_distance"), kinds=["random", "matching"], max_evaluations=20),
)
DIRECT: dict[str, Callable[[vg.VisionModel], xr.Dataset]] = {
    "singular_spectrum": lambda model: vg.singular_spectrum(model, IMAGES[[0, 1, 2]]),
    "bends": lambda model: vg.direction_change(model, IMAGES[[0, 1]], directions=3, steps=4, seed=SEED),
    "step_law": lambda model: vg.step_law(model, IMAGES[[0, 1]], directions=2, seed=SEED),
    "class_cosines": lambda model: vg.class_cosines(model, IMAGES[list(range(20))]),
    "travel_distance": lambda model: vg.travel_distance(
        model, IMAGES[[0, 1, 2, 3]], IMAGES.labels[:4], epsilon_max=1.0, grid=5
    ),
    "match": lambda model: vg.match(model, IMAGES[[0, 1, 2]], IMAGES[targets(3)], max_evaluations=20),
    "lldlc": lambda model: vg.lldlc(
        model, IMAGES[[0]], kinds=("random", "matching"), targets=IMAGES[targets(1)], max_evaluations=20, seed=SEED
    ),
}


def targets(count: int) -> list[int]:
    return [partner(SEED, i, len(IMAGES)) for i in range(count)]


@pytest.fixture(autouse=True)
def plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "evidence", lambda tier: PLAN)


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Any]:
    def call(networks: tuple[str, ...] = (NETWORK,), **options: Any) -> Any:
        return vg.claims.record(networks=list(networks), run=tmp_path / "run", into=tmp_path / "kept", **options)

    return call


def test_what_is_recorded_is_what_the_measurements_return(record: Callable[..., Any], tmp_path: Path) -> None:
    done = record()
    assert done.said.unique().tolist() == ["recorded"]
    assert done.measure.tolist() == [one.name for one in PLAN]
    kept, model = Recorded(tmp_path / "kept")["small"], simulated.small()
    for one in PLAN:
        found = kept[one.name]
        direct = DIRECT[one.name](model)
        if one.name == "step_law":  # of which a run keeps the noise floor of each image
            alone = [vg.step_law(model, IMAGES[[i]], directions=2, seed=SEED).noise_floor for i in range(2)]
            np.testing.assert_array_equal(found["image_noise_floor"], np.stack(alone).astype(np.float32))
            np.testing.assert_array_equal(found["angle"], direct["angle"].astype(np.float32))
            np.testing.assert_allclose(found["exponent"], direct["exponent"], rtol=1e-5)
            continue
        expected = kept_of(direct, one)
        for name in expected.data_vars:
            np.testing.assert_array_equal(found[name].values, expected[name].values, err_msg=f"{one.name} {name}")
            assert found[name].attrs == expected[name].attrs
        assert found.sizes["pair" if one.pairs else "image"] == one.size


def test_a_file_says_what_it_is_made_of(record: Callable[..., Any], tmp_path: Path) -> None:
    record(measures=["match"])
    attrs = vg.open_measurement(tmp_path / "kept" / "small" / "match.nc").attrs
    assert json.loads(attrs["recorded"]) == {
        "measure": "match",
        "data": here("images"),
        "seed": SEED,
        "images": 0,
        "pairs": 3,
        "parameters": {"max_evaluations": 20},
        "keep": ["cosine", "evaluations", "converged"],
        "quantiles": [],
    }
    assert attrs["network_weights"] == attrs["weights"] == simulated.small().digest
    assert attrs["seconds"] > 0
    whole = vg.open_run(tmp_path / "run")["small"].measured("match")
    assert {"residual", "psnr"} <= set(whole.data_vars)  # the run has what the file leaves out
    assert len(attrs["run_sha256"]) == 64
    record(measures=["match"], workers=None)
    again = vg.claims.record(
        networks=[NETWORK], measures=["match"], run=tmp_path / "other run", into=tmp_path / "other"
    )
    assert again.said.tolist() == ["recorded"]
    assert vg.open_measurement(tmp_path / "other" / "small" / "match.nc").attrs["run_sha256"] == attrs["run_sha256"]


def test_what_is_there_is_not_measured_again_and_what_is_of_other_weights_is(
    record: Callable[..., Any], tmp_path: Path
) -> None:
    record(measures=["class_cosines"])
    path = tmp_path / "kept" / "small" / "class_cosines.nc"
    before = path.stat().st_mtime_ns
    assert record(measures=["class_cosines"]).said.tolist() == ["there before"]
    assert path.stat().st_mtime_ns == before
    stale = vg.open_measurement(path)
    for attribute in ("network_weights", "recorded"):
        vg.save_measurement(stale.assign_attrs({attribute: "another"}), path)
        assert record(measures=["class_cosines"]).said.tolist() == ["recorded"]
        assert vg.open_measurement(path).attrs[attribute] == stale.attrs[attribute]
    path.write_bytes(b"no file of ours")
    assert record(measures=["class_cosines"]).said.tolist() == ["recorded"]
    assert vg.open_measurement(path).identical(stale)


def test_nothing_is_written_of_a_measurement_that_is_not_complete(
    record: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {"troubled": here("troubled_spectrum"), "quiet": "singular_spectrum"}
    own = tuple(planned(name, measure, 6, ("stable_rank",)) for name, measure in kinds.items())
    monkeypatch.setattr(recording, "evidence", lambda tier: own)
    monkeypatch.setenv("SIMULATED_RAISES", "4")
    done = record((NETWORK, here("headless"))).set_index(["measure", "network"]).said
    assert "image 4: ValueError: of no good" in done["troubled", "small"]
    assert done["quiet", "small"] == done["quiet", "headless"] == "recorded"
    assert not (tmp_path / "kept" / "small" / "troubled.nc").exists()
    monkeypatch.delenv("SIMULATED_RAISES")
    assert record().said.tolist() == ["recorded", "there before"]  # and only image 4 is measured again


def test_a_network_that_does_not_load_is_passed_over(record: Callable[..., Any]) -> None:
    done = record((here("sometimes"), NETWORK), measures=["class_cosines"])
    assert done.said.tolist()[0] == "recorded"
    assert "its file is not there" in done.said.tolist()[1]


def test_wrong_names_are_refused(record: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no measurement 'horoscope'"):
        record(measures=["horoscope"])
    for wrong in ("vit", [3]):
        with pytest.raises(ArgumentError, match="networks"):
            vg.claims.record(networks=wrong, run=tmp_path / "run", into=tmp_path / "kept")  # type: ignore[arg-type]
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be a folder"):
        vg.claims.record(networks=[NETWORK], run=tmp_path / "run", into=tmp_path / "file", measures=["match"])


def test_a_page_takes_what_is_recorded_of_the_same_weights(
    record: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(measures=["class_cosines"])
    (tmp_path / "kept").rename(tmp_path / "evidence")
    monkeypatch.chdir(tmp_path)
    few = [vg.class_cosines(model, IMAGES[list(range(10))]) for model in (simulated.small(), simulated.other())]
    full = vg.claims.recorded("class_cosines", few)
    assert [one.sizes["image"] for one in full] == [20, 10]
    changed = vg.class_cosines(simulated.small_with_other_weights(), IMAGES[list(range(10))])
    assert vg.claims.recorded("class_cosines", [changed])[0] is changed
    assert [one.sizes["image"] for one in vg.claims.recorded("class_cosines")] == [20]
    assert vg.claims.recorded("match") == []
    wanted = {"class_cosines": ("class_cosines", {"images": 30})}
    vg.sweep([here("other")], data=here("images"), measures=wanted, out=tmp_path / "mine")
    monkeypatch.setenv("VITGEOM_RUN", str(tmp_path / "mine"))  # a run of one's own comes before the evidence
    assert [one.sizes["image"] for one in vg.claims.recorded("class_cosines", few)] == [20, 30]
    assert [one.sizes["image"] for one in vg.claims.recorded("class_cosines")] == [20, 30]
    vg.sweep([here("small")], data=here("images"), measures=wanted, out=tmp_path / "mine")
    assert [one.sizes["image"] for one in vg.claims.recorded("class_cosines")] == [30, 30]
