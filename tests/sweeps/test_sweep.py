"""A sweep gives what the public functions give, whatever its blocks, parts and interruptions, and mixes nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image

import vitgeom_nb as vg
from vitgeom_nb.core import whole_files
from vitgeom_nb.errors import ArgumentError, DataError, Interrupted
from vitgeom_nb.sweeps import planning, work
from vitgeom_nb.sweeps.images import open_images, partner

from .simulated import Numbered, here, small

QUICK = {
    "predictions": "predictions",
    "reliability": "reliability",
    "corrupted": 'corrupted_predictions:corruptions=["noise","contrast"]',
    "classes": "class_cosines",
    "travel": "travel_distance:epsilon_max=1.0,grid=10",
    "jump": "random_jump:epsilon_max=1.0,grid=10,early_steps=3",
    "turns": "direction_change:directions=3,steps=4",
    "law": "step_law:directions=2",
    "curvature": "curvature:directions=2",
    "additivity": "additivity",
    "spectrum": "singular_spectrum",
    "leading": "leading_singular_values:k=2",
    "steps": "step_response:directions=2,radii=[0.1,1.0]",
    "lldlc": "lldlc:directions=2,radii=[0.1,1.0],max_evaluations=20",
    "match": "match:max_evaluations=20",
    "walk": "fibre_walk:steps=2",
}


def swept(out: Path, **options: Any) -> Any:
    given: dict[str, Any] = {"data": here("images"), "measures": [here("told")], "out": out} | options
    models = given.pop("models", [here("small")])
    return vg.sweep(models, **given)


def ended(out: Path, **options: Any) -> str:
    """Why a sweep did not measure."""
    try:
        return str(swept(out, **options))
    except DataError as error:
        return str(error)


def files(out: Path) -> dict[str, tuple[int, int]]:
    """Shards of a run, with what tells whether they were written again."""
    found = sorted(out.glob("networks/*/*/*.nc"))
    return {str(path.relative_to(out)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def values(out: Path) -> dict[tuple[str, str], xr.Dataset]:
    """All results of a run, without the time that they took."""
    run = vg.open_run(out)
    return {(name, label): run[name][label].load() for name in run for label in run[name]}


def same(a: Path, b: Path) -> None:
    first, second = values(a), values(b)
    assert first.keys() == second.keys()
    for key, found in first.items():
        xr.testing.assert_identical(found, second[key])


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reference")
    done = swept(out, measures=QUICK, n=9, block=8)
    assert done.complete, str(done)
    return out


def test_a_sweep_gives_what_the_functions_give(reference: Path) -> None:
    model, images = small(), Numbered(40)
    run = vg.open_run(reference)["small"]
    assert list(run) == sorted(QUICK)
    one = images[[4]]
    turns = vg.direction_change(model, one, directions=3, steps=4)
    np.testing.assert_array_equal(run["turns"]["angle"].sel(image=4), turns["angle"][0])
    np.testing.assert_array_equal(
        run["spectrum"]["singular_value"].sel(image=4), vg.singular_spectrum(model, one)["singular_value"][0]
    )
    some = images[list(range(9))]
    ways = vg.travel_distance(model, some, epsilon_max=1.0, grid=10)
    np.testing.assert_allclose(run["travel"]["epsilon"], ways["epsilon"], rtol=1e-4)
    assert run["travel"]["outcome"].values.tolist() == ways["outcome"].values.tolist()
    np.testing.assert_allclose(run["travel"]["rank_correlation"], ways["rank_correlation"], atol=1e-6)
    logits = model.logits_in_batches(some.pixels)
    np.testing.assert_allclose(run["predictions"]["logits"], logits, rtol=1e-5)
    whole = vg.reliability(logits=logits, labels=some.labels)
    for name in ("ece", "sece", "accuracy", "count", "ece_low", "lower_edge"):
        np.testing.assert_allclose(run["reliability"][name], whole[name], rtol=1e-4)
    for label, name in (("corrupted", "corrupted_confidence"), ("classes", "within")):
        whole = (
            vg.corrupted_predictions(model, some, corruptions=["noise", "contrast"]) if label == "corrupted" else None
        )
        whole = vg.class_cosines(model, some) if whole is None else whole
        np.testing.assert_allclose(run[label][name], whole[name], rtol=1e-4)
    law = vg.step_law(model, some, directions=2)
    np.testing.assert_allclose(run["law"]["angle"], law["angle"], rtol=1e-6)
    np.testing.assert_allclose(run["law"]["exponent"], law["exponent"], rtol=0.02)
    jumps = vg.random_jump(model, some, epsilon_max=1.0, grid=10, early_steps=3)
    np.testing.assert_allclose(run["jump"]["median_change"], jumps["median_change"], rtol=1e-3)


def test_what_explorers_show_is_kept_with_its_pictures(tmp_path: Path) -> None:
    model, images = small(), Numbered(40)
    measures = ["fgsm_path:grid=4,images=2", "trajectory:shape=line,points=5,images=1", "singular_steps:ranks=[1]"]
    assert swept(tmp_path, measures=[*measures, "match_pictures:images=3"], n=1).complete
    run = vg.open_run(tmp_path)["small"]
    one = images[[0]]
    path = vg.fgsm_path(model, one, grid=4)
    for name in ("probability", "start", "direction", "pixels"):
        np.testing.assert_allclose(run["fgsm_path"][name].isel(image=0), path[name][0], rtol=1e-5)
    moved = vg.trajectory(model, one, shape="line", points=5)
    for name in ("feature", "pixels", "basis", "nonlinear"):
        np.testing.assert_allclose(run["trajectory"][name].isel(image=0), moved[name], rtol=1e-5, atol=1e-7)
    steps = vg.singular_steps(model, one, ranks=(1,))
    np.testing.assert_allclose(run["singular_steps"]["vector"], steps["vector"], atol=1e-6)
    assert run["match_pictures"]["matched"].sizes["pair"] == 3  # over two shards
    np.testing.assert_allclose(run["match_pictures"]["source"].values, images[[0, 1, 2]].pixels)


def test_images_of_a_folder_come_in_the_order_of_a_seed(tmp_path: Path) -> None:
    for i in range(6):
        Image.fromarray(np.full((4, 4, 3), i, np.uint8)).save(tmp_path / f"{i}.png")
    plain, drawn, again = (open_images(str(tmp_path), small(), seed).names for seed in (None, 1, 1))
    assert plain == sorted(plain)
    assert drawn == again != plain
    assert sorted(drawn) == plain
    assert open_images("samples:cifar10", small(), 1).names == open_images("samples:cifar10", small()).names


def test_pairs_are_drawn_by_seed_and_number_and_say_what_they_look_like(reference: Path) -> None:
    model, images = small(), Numbered(40)
    found = vg.open_run(reference)["small"]
    walk = vg.fibre_walk(model, images[[3]], images[[partner(0, 3, 40)]], steps=2)
    np.testing.assert_array_equal(found["walk"]["drift"].sel(pair=3), walk["drift"][0])
    between = float(vg.psnr(images[[3]], images[[partner(0, 3, 40)]])[0])
    assert float(found["match"]["psnr_pair"].sel(pair=3)) == pytest.approx(between)
    constants = vg.lldlc(
        model, images[[3]], targets=images[[partner(0, 3, 40)]], directions=2, radii=[0.1, 1.0], max_evaluations=20
    )
    np.testing.assert_array_equal(found["lldlc"]["lldlc"].sel(image=3), constants["lldlc"][0])


def test_what_a_run_holds_is_a_measurement_to_figures(reference: Path) -> None:
    run = vg.open_run(reference)["small"]
    for figure, label in (
        ("travel_distance", "travel"), ("jump_change", "jump"), ("bend_and_distance", "jump"), ("lldlc", "lldlc"),
        ("direction_change", "turns"), ("step_law", "law"), ("additivity", "additivity"), ("step_response", "steps"),
        ("reliability", "reliability"), ("singular_spectrum", "spectrum"),
    ):  # fmt: skip
        drawn = getattr(vg.figures, figure)(run[label])
        assert drawn.axes
        import matplotlib.pyplot as plt

        plt.close(drawn)


@pytest.mark.parametrize(("block", "parts"), [(1, 2), (3, 1)])
def test_no_block_no_part_and_no_order_changes_an_answer(
    reference: Path, tmp_path: Path, block: int, parts: int
) -> None:
    for i in range(parts, 0, -1):
        assert swept(tmp_path, measures=QUICK, n=9, block=block, part=(i, parts)).complete
    same(reference, tmp_path)


def test_attributes_say_what_was_called_and_not_where(reference: Path) -> None:
    run = vg.open_run(reference)["small"]
    assert run["predictions"].attrs["function"] == "predictions"
    assert run["turns"].attrs["function"] == "direction_change"


def test_a_part_alone_is_a_part_and_measures_nothing_twice(tmp_path: Path) -> None:
    first = swept(tmp_path, block=4, part=(2, 3))
    assert (first.measured, first.present) == (12, 0)
    before = files(tmp_path)
    whole = swept(tmp_path, block=4)
    assert (whole.measured, whole.present) == (28, 12)
    assert before.items() <= files(tmp_path).items()
    again = swept(tmp_path)
    assert (again.measured, again.present, again.complete) == (0, 40, True)


def test_a_run_grows_by_images_measures_and_networks(tmp_path: Path) -> None:
    swept(tmp_path, n=8, block=4)
    before = files(tmp_path)
    assert swept(tmp_path, n=16).measured == 8
    assert swept(tmp_path, n=16, models=[here("small"), here("other")]).measured == 16
    assert swept(tmp_path, n=4).measured == 0
    assert swept(tmp_path, n=16, measures=["singular_spectrum"]).measured == 16
    assert before.items() <= files(tmp_path).items()
    run = vg.open_run(tmp_path)
    assert list(run) == ["other", "small"]
    assert run["small"]["told"].sizes["image"] == 16


def test_pairs_stay_when_a_run_grows(tmp_path: Path) -> None:
    swept(tmp_path, n=8, measures=["match:max_evaluations=5"])
    first = vg.open_run(tmp_path)["small"]["match"].load()
    swept(tmp_path, n=24, measures=["match:max_evaluations=5"])
    xr.testing.assert_identical(first, vg.open_run(tmp_path)["small"]["match"].isel(pair=slice(8)).load())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "another seed"),
        ({"data": here("many")}, "other images"),
        ({"models": [here("small_with_other_weights")]}, "small with other weights"),
        ({"models": [here("small")], "dtype": "float64"}, "another precision"),
        ({"measures": {"told": ("singular_spectrum", {"k": 2})}}, "other parameters"),
    ],
)
def test_nothing_is_mixed(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    swept(tmp_path, n=4)
    before = files(tmp_path)
    assert words in ended(tmp_path, **({"n": 4} | change))
    assert files(tmp_path) == before
    assert swept(tmp_path, n=4).complete


def test_another_version_is_not_mixed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swept(tmp_path, n=4)
    monkeypatch.setattr(planning, "package_version", lambda: "9.9")
    with pytest.raises(DataError, match="another version"):
        swept(tmp_path, n=8)


def test_a_worker_with_another_version_or_other_weights_measures_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "package_version", lambda: "9.9")
    done = swept(tmp_path, n=4)
    assert done.failures == 4
    assert "This worker has vitgeom-nb 9.9" in str(done)
    assert not files(tmp_path)
    monkeypatch.undo()
    real = work.network
    monkeypatch.setattr(work, "network", lambda source: real(work.Source(here("other"))))
    monkeypatch.setattr(planning.Plan, "_of_network", _named_small(planning.Plan._of_network))
    assert "are not those of the run" in str(swept(tmp_path, n=4))
    assert not files(tmp_path)


def _named_small(original: Any) -> Any:
    def of_network(plan: Any, source: Any, found: Any, *rest: Any) -> Any:
        own = small()
        from dataclasses import replace

        return original(plan, source, replace(found, name="small", weights=own.digest), *rest)

    return of_network


def test_a_changed_function_of_ones_own_is_another_measure(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def mine(model, images):\n    return {'a': images.pixels.sum((1, 2, 3))}\n")
    assert swept(tmp_path / "run", measures=[f"{file}:mine"], n=4).complete
    changed = tmp_path / "changed.py"
    changed.write_text("def mine(model, images):\n    return {'a': images.pixels.amax((1, 2, 3))}\n")
    assert "other parameters" in ended(tmp_path / "run", measures=[f"{changed}:mine"], n=4)


def test_networks_that_fail_leave_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = [here("sometimes"), "no-such-network", here("headless"), here("small")]
    done = swept(tmp_path, models=models, measures=[here("told"), "predictions"], n=4)
    assert "its file is not there" in done.skipped[here("sometimes")]
    assert "There is no model" in done.skipped["no-such-network"]
    assert "no classifier head" in done.skipped["headless predictions"]
    assert done.measured == 12
    before = files(tmp_path)
    monkeypatch.setenv("SIMULATED_LOADS", "1")
    again = swept(tmp_path, models=models, measures=[here("told"), "predictions"], n=4)
    assert (again.measured, again.present) == (8, 12), str(again)
    assert before.items() <= files(tmp_path).items()


def test_a_wrong_argument_ends_a_measure_at_once(tmp_path: Path) -> None:
    done = swept(tmp_path, measures=["direction_change:steps=1", here("told")], n=40)
    assert "steps is 1" in done.skipped["small direction_change"]
    assert done.measured == 40
    assert not done.failures


def test_a_second_run_retries_only_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = tmp_path / "counts"
    counts.mkdir()
    monkeypatch.setenv("SIMULATED_COUNTS", str(counts))
    monkeypatch.setenv("SIMULATED_RAISES", "5")
    done = swept(tmp_path / "run", measures=[here("troubled")], block=4)
    assert done.failed == {"small troubled": {5: "ValueError: of no good"}}
    assert done.measured == 39
    run = vg.open_run(tmp_path / "run")
    assert run.failed() == done.failed
    assert 5 not in run["small"]["troubled"]["image"].values
    before = files(tmp_path / "run")
    assert swept(tmp_path / "run", measures=[here("troubled")]).failures == 1  # still
    assert files(tmp_path / "run") == before
    monkeypatch.delenv("SIMULATED_RAISES")
    again = swept(tmp_path / "run", measures=[here("troubled")])
    assert (again.measured, again.complete) == (1, True)
    assert before.items() <= files(tmp_path / "run").items()  # what a reader has open stays as it is
    assert all(len((counts / str(i)).read_text().split()) == 1 for i in range(40))
    found = vg.open_run(tmp_path / "run")
    assert found["small"]["troubled"]["image"].values.tolist() == list(range(40))
    assert not found.failed()
    assert swept(tmp_path / "run", measures=[here("troubled")]).measured == 0


def test_a_nan_in_one_output_is_one_failure(tmp_path: Path) -> None:
    class Broken(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :4] / (x.flatten(1)[:, :1] != pixels[6, 0, 0, 0])

    pixels = Numbered(40)[list(range(12))].pixels
    model = vg.wrap(Broken(), mean=[0.0] * 3, std=[1.0] * 3, size=2, logits=lambda m, x: m(x), name="broken")
    images = vg.Images(pixels, [str(i) for i in range(12)], "drawn", "none", torch.zeros(12, dtype=torch.long))
    done = swept(tmp_path, models=[model], data=images, measures=["predictions"])
    assert list(done.failed["broken predictions"]) == [6]
    assert "NaN, infinite" in done.failed["broken predictions"][6]
    assert vg.open_run(tmp_path)["broken"]["predictions"].sizes["image"] == 11


def test_a_damaged_image_is_one_failure_and_is_taken_up_when_it_is_whole(tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "pictures" / "class"
    folder.mkdir(parents=True)
    for i in range(6):
        Image.new("RGB", (4, 4), (40 * i, 0, 0)).save(folder / f"{i}.png")
    whole = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(whole[: len(whole) // 2])
    options: dict[str, Any] = {"data": str(tmp_path / "pictures"), "measures": ["singular_spectrum", "match"]}
    done = swept(tmp_path / "run", **options)
    assert "it cannot be decoded" in done.failed["small singular_spectrum"][2]
    targets = {i for i in range(6) if partner(0, i, 6) == 2}
    assert set(done.failed["small match"]) == {2} | targets
    (folder / "2.png").write_bytes(whole)
    again = swept(tmp_path / "run", **options)
    assert again.complete
    assert again.measured == 2 + len(targets)


def test_what_compares_all_images_is_measured_again_when_one_comes_back(tmp_path: Path) -> None:
    from PIL import Image

    for i in range(6):
        folder = tmp_path / "pictures" / f"class{i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (40 * i, 255 - 20 * i, 7)).save(folder / f"{i}.png")
    spoilt = tmp_path / "pictures" / "class1" / "3.png"
    whole = spoilt.read_bytes()
    spoilt.write_bytes(whole[: len(whole) // 2])
    options: dict[str, Any] = {"data": str(tmp_path / "pictures"), "measures": ["class_cosines"]}
    assert swept(tmp_path / "run", **options).failures == 1
    first = files(tmp_path / "run")
    assert swept(tmp_path / "run", **options).failures == 1
    assert files(tmp_path / "run") == first
    spoilt.write_bytes(whole)
    assert swept(tmp_path / "run", **options).complete
    swept(tmp_path / "alone", **options)
    same(tmp_path / "run", tmp_path / "alone")


def test_a_full_disk_ends_with_one_sentence_and_an_intact_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    real = os.fsync

    def full(descriptor: int) -> None:
        if len(written) > 14:
            raise OSError(28, "No space left on device")
        written.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(whole_files.os, "fsync", full)
    done = swept(tmp_path, block=4)
    assert "There is no space left" in str(done.stopped)
    assert not list(tmp_path.rglob("*.part"))
    assert 0 < done.measured < 40
    assert vg.open_run(tmp_path)["small"]["told"].sizes["image"] == done.measured
    monkeypatch.undo()
    assert swept(tmp_path).measured == 40 - done.measured


def test_someone_stops_it(tmp_path: Path) -> None:
    calls = []

    @vg.measure(name="stopped")
    def stopped(model: Any, images: Any) -> dict[str, Any]:
        calls.append(images.names)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return {"a": images.pixels.sum((1, 2, 3))}

    with pytest.raises(Interrupted) as ended:
        swept(tmp_path, measures=[stopped], block=4)
    assert ended.value.finished.measured == 8
    assert swept(tmp_path, measures=[stopped], block=4).measured == 32


def test_two_sweeps_into_one_folder(tmp_path: Path) -> None:
    from vitgeom_nb.sweeps import locks

    swept(tmp_path, n=4)
    with locks.held(tmp_path, (1, 2)):
        with pytest.raises(DataError, match=f"being written by process {os.getpid()} on"):
            swept(tmp_path, n=8)
        with pytest.raises(DataError, match="being written by process"):
            swept(tmp_path, n=8, part=(1, 2))
        with pytest.raises(DataError, match="being written by process"):
            swept(tmp_path, n=8, part=(1, 3))
        assert swept(tmp_path, n=16, block=4, part=(2, 2)).complete
    assert swept(tmp_path, n=8).complete


def test_what_dead_processes_left_is_removed(tmp_path: Path) -> None:
    swept(tmp_path, n=4)
    folder = next(tmp_path.glob("networks/*/told-*"))
    (folder / ".0123.part").write_bytes(b"half")
    swept(tmp_path, n=4)
    assert not (folder / ".0123.part").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"models": []}, "no networks"),
        ({"measures": "told"}, "list of names"),
        ({"n": 41}, "has 40 images, not 41"),
        ({"measures": ["curvature:images=50"]}, "has 40 images, not 50"),
        ({"n": 0}, "at least one image"),
        ({"part": (3, 2)}, "parts go from 1/2 to 2/2"),
        ({"dtype": "int8"}, "choose one of float32"),
        ({"data": "no-such-data:valid"}, "no data set"),
        ({"data": object()}, "data is a value of type object"),
        ({"workers": 0}, "one worker or more"),
    ],
)
def test_what_cannot_be_asked_for(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises((ArgumentError, DataError), match=words):
        swept(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_what_is_held_in_memory_does_not_travel_to_workers(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"by name or from a file"):
        swept(tmp_path, models=[small()], workers=2)


def test_the_log_and_the_summary_tell_the_same(tmp_path: Path) -> None:
    done = swept(tmp_path, models=[here("small"), "nothing"], n=4)
    (log,) = (tmp_path / "logs").iterdir()
    lines = [line.split(" ", 2)[2] for line in log.read_text().splitlines()]
    assert lines[0] == "small: 0 there, 4 to measure"
    assert lines[-len(str(done).splitlines()) :] == str(done).splitlines()
    assert json.loads((tmp_path / "run.json").read_text())["data"]["images"] == 40
