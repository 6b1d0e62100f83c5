"""Every public function with arguments of every wrong kind, and networks that break down.

Each case ends in a right result, known by an independent way, or in one sentence of one of the errors of the package:
never in a wrong or undefined result (`silent`), another exception (`traceback`), the loss of what was finished
(`lost`), the end of the process (`crash`), or no end (`hang`). A process of its own takes them, one after the other.
"""

from __future__ import annotations

import faulthandler
import functools
import inspect
import multiprocessing
import os
import time
import warnings
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from PIL import Image

import vitgeom_nb as vg
from vitgeom_nb import foundations
from vitgeom_nb.errors import DataError, VitgeomError
from vitgeom_nb.reports import ledger as report_ledger
from vitgeom_nb.reports import sections as report_sections

from . import right_answers, test_interrupted
from .right_answers import Known, known, rounded
from .test_conventions import IMAGES, LABELS, MODEL, OTHERS, measured
from .tiny_networks import N, crossing_images, derive_quietly, linear, pixels, random_network, wrapped

SECONDS = 300.0  # that no case may take; most take some milliseconds
FLAWS = ("traceback", "silent", "lost", "hang", "crash")
KINDS: dict[str, Any] = {
    "a string": "many",
    "an empty string": "",
    "a name of a model": "vit",
    "None": None,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "zero": 0,
    "one": 1,
    "a negative number": -1,
    "a small fraction": 1e-300,
    "a fraction": 0.5,
    "five": 5,
    "a large number": 1e300,
    "a huge number": 10**12,
    "a huge negative number": -(10**12),
    "more digits than Python writes": 10**5000,
    "True": True,
    "a complex number": 1j,
    "bytes": b"1",
    "an empty list": [],
    "a list of numbers": [0.1, 0.2],
    "a falling list": [3, 2, 1],
    "a list of NaN": [float("nan")],
    "a list of strings": ["a", "b"],
    "a list of None": [None],
    "a tuple of huge numbers": (1e300, 1e301, 1e302),
    "a mapping": {"a": 1},
    "a set": {1},
    "a function": len,
    "a class": int,
    "an object": object(),
    "an array of no images": np.zeros(0),
    "an array": np.full((2, 2, 2, 3), 0.5),
    "bytes of pictures": np.zeros((2, 2, 2, 3), np.uint8),
    "an array of objects": np.array([None, "a"], dtype=object),
    "a picture": Image.new("RGB", (5, 4)),
    "a scalar tensor": torch.tensor(0.5),
    "an empty tensor": torch.zeros(0, 3, 2, 2),
    "a tensor of NaN": torch.full((2, 3, 2, 2), torch.nan),
    "a tensor of other size": torch.zeros(2, 3, 5, 5),
    "a tensor of zeros": torch.zeros(2, 3, 2, 2),
    "a complex tensor": torch.zeros(2, 3, 2, 2, dtype=torch.complex64),
    "a tensor of whole numbers": torch.ones(2, dtype=torch.int64),
    "a module": torch.nn.Flatten(),
    "a model": MODEL,
    "an empty Dataset": xr.Dataset(),
    "a measurement": None,  # of another kind: filled below
}


class _Net(torch.nn.Module):
    """A linear network whose answers a function changes."""

    def __init__(self, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.head = torch.nn.Linear(N, 4, dtype=torch.float64)
        torch.manual_seed(0)
        self.change = change

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.change(self.head(x.flatten(1)))


# what it computes, None where that is nothing, and how near in its precision
DEGENERATE: dict[str, tuple[Callable[[], vg.VisionModel], Callable[[torch.nn.Module], Known] | None]] = {
    "constant": (lambda: wrapped(_Net(lambda y: y * 0 + 1)), functools.partial(known, times=0.0, plus=1.0)),
    "zero": (lambda: linear(torch.zeros(3, N, dtype=torch.float64)), known),
    "NaN": (lambda: wrapped(_Net(lambda y: y * torch.nan)), None),
    "infinite": (lambda: wrapped(_Net(lambda y: y / 0)), None),
    "huge": (lambda: linear(torch.full((3, N), 1e200, dtype=torch.float64)), known),
    "one class": (lambda: linear(torch.ones(1, N, dtype=torch.float64)), known),
    "rank one": (lambda: linear(torch.ones(4, N, dtype=torch.float64)), known),
    "batch-dependent": (lambda: wrapped(_Net(lambda y: y - y.mean(0, keepdim=True))), None),
    "random": (lambda: wrapped(_Net(lambda y: y + torch.rand_like(y))), None),
    "no gradient": (lambda: wrapped(_Net(lambda y: y.detach().round())), rounded),
    "integers": (lambda: wrapped(_Net(lambda y: y.long())), None),
    "single precision": (lambda: wrapped(_Net(lambda y: y), dtype=torch.float32), functools.partial(known, near=1e-4)),
    "half precision": (lambda: wrapped(_Net(lambda y: y), dtype=torch.float16), functools.partial(known, near=0.02)),
    "bfloat16": (lambda: wrapped(_Net(lambda y: y), dtype=torch.bfloat16), functools.partial(known, near=0.1)),
    "raises": (lambda: wrapped(_Net(lambda y: y[:, :2] @ y)), None),
}
NUMBERS = ("NaN", "zero", "one", "a negative number", "a huge number", "a fraction", "five", "infinity", "None")
SMALL: dict[str, Any] = {
    "directions": 2, "steps": 4, "points": 4, "curves": 2, "resolution": 4, "grid": 5, "epsilon_max": 1.0,
    "resamples": 5, "max_evaluations": 8, "radii": (0.1, 1.0), "k": 2, "ranks": (1,),
}  # fmt: skip
TABLE = pd.DataFrame({"engine": ["a"]})
NAMED: dict[str, dict[str, Any]] = {
    "vg.export_onnx": {"folder": "exported"},
    "vg.has_labelled": {"name": "cifar10", "split": "test"},
    "vg.labelled": {"name": "there is no such folder"},
    "vg.load": {"name": "mobilenetv2"},
    "vg.predict": {"images": vg.Images(IMAGES, ["a", "b"], "drawn", "none", LABELS)},
    "vg.save_measurement": {"path": "measured.nc"},
    "vg.validation_predictions": {"name": "vit"},
    "vg.open_run": {"path": "run"},
    "vg.pack_run": {"path": "run", "out": "run.zarr"},
    "vg.sweep": {
        "models": [MODEL],
        "data": IMAGES,
        "measures": ["singular_spectrum"],
        "out": "run",
        "dtype": "float64",
    },
    "vg.report": {"images": IMAGES, "out": "report", "n": 1, "dtype": "float64"},
    "figures.plane": {"seen": foundations.plane(foundations.folded_model(), points=5)},
    **{
        f"figures.{name}": {"table": pd.DataFrame({"engine": ["a"]})}
        for name in ("speed", "speed_memory", "speed_growth")
    },
    "vg.class_names": {"name": "cifar10"},
    "figures.ledger": {"table": vg.claims.table({}, networks=["vit"])},
}


def functions() -> dict[str, Callable[..., Any]]:
    rooms = {"vg": vg, "figures": vg.figures, "explore": vg.explore}
    found = {f"{title}.{name}": getattr(room, name) for title, room in rooms.items() for name in room.__all__}
    return {name: each for name, each in found.items() if inspect.isfunction(each)}


def of(name: str) -> xr.Dataset | None:
    """A measurement that a figure or an explorer shows."""
    made = {
        "bend_and_distance": "random_jump", "jump_change": "random_jump", "calibration_errors": "reliability",
        "embedding_plane": "match", "match_history": "match", "match_methods": "match", "lipschitz_ratio": "lldlc",
        "singular_vectors": "singular_spectrum", "turns": "direction_change",
    }  # fmt: skip
    plain = made.get(name.split(".")[1], name.split(".")[1])
    try:
        return measured(plain)
    except KeyError:
        return None


def good(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    """Arguments that are right, as far as they are required, and small."""
    given: dict[str, Any] = {}
    known = {
        "model": MODEL, "images": IMAGES, "labels": LABELS, "source": IMAGES, "target": OTHERS,
        "a": IMAGES, "b": OTHERS,
        "v": pixels(2), "u": torch.ones(2, MODEL.dim, dtype=torch.float64), "module": MODEL.module,
        "mean": [0.0] * 3, "std": [1.0] * 3, "matches": measured("match"), "head": MODEL.module[3],
        "measurements": of(name), "measurement": of(name), "seen": of(name), "bend": of(name),
        "laws": measured("step_law"), "predictions": {"tiny": vg.predict(MODEL, vg_images())}, "corners": [[], []],
        "batches": vg_images(), "groups": {"a": measured("reliability")}, "dataset": measured("match"),
    }  # fmt: skip
    for key, parameter in inspect.signature(function).parameters.items():
        if name.startswith("vg.") and key in SMALL:
            given[key] = SMALL[key]
        elif parameter.default is inspect.Parameter.empty or (key in ("labels", "head") and name.startswith("vg.")):
            if known.get(key) is not None:
                given[key] = known[key]
        elif key == "size" and name == "vg.wrap":
            given[key] = 2
    if name == "vg.wrap":
        given |= {"size": 2, "dtype": torch.float64}
    given |= NAMED.get(name, {})
    if name in ("vg.reliability", "vg.temperature"):
        given |= {"model": MODEL, "images": IMAGES}
    if name == "vg.trajectory":
        given["images"] = IMAGES[:1]
    return given


def vg_images() -> vg.Images:
    return vg.Images(IMAGES, ["a", "b"], "drawn", "none", LABELS, [str(i) for i in range(5)])


class Case(NamedTuple):
    """A call: its title, the function, what makes its arguments, and what makes its network by hand."""

    title: str
    name: str
    function: Callable[..., Any]
    given: Callable[[], dict[str, Any]]
    net: Callable[[torch.nn.Module], Known] | None = known


def flaw(case: Case) -> str | None:
    """What is wrong with how a call ends; None where nothing is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            given = case.given()
            result = case.function(**given)
    except LostError as error:
        return f"lost: {error}"
    except VitgeomError as error:
        words = str(error)
        if "\n" in words or not words.endswith((".", "?", "...")) or len(words) > 600:
            return f"traceback: no sentence: {words[:200]!r}"
        return None
    except RuntimeError as error:
        if "inconsistent tensor size" in str(error) or "mat1 and mat2" in str(error):  # the network's own
            return None if getattr(error, "__notes__", None) else f"traceback: no note on {error!r}"
        return f"traceback: {error!r}"[:300]
    except Exception as error:
        return f"traceback: {error!r}"[:300]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = given.get("model")
            if isinstance(model, vg.VisionModel) and case.net is None:
                return "silent: a result of a network that has none"
            net = case.net(model.module) if isinstance(model, vg.VisionModel) and case.net else None
            right_answers.check(case.name, given, result, net)
    except right_answers.Wrong as error:
        return f"silent: {error}"
    return None


def wrong_arguments() -> list[Case]:
    kinds = KINDS | {"a measurement": measured("reliability"), "another measurement": measured("step_law")}
    cases = []
    for name, function in functions().items():
        given = good(name, function)
        parameters = inspect.signature(function).parameters.values()
        if all(p.name in given or p.default is not inspect.Parameter.empty for p in parameters):
            cases.append(Case(f"{name}()", name, function, lambda g=given: g))
        for key in inspect.signature(function).parameters:
            for kind, value in kinds.items():
                cases.append(Case(f"{name}({key}={kind})", name, function, lambda g=given | {key: value}: g))
    return cases


def of_a_network(name: str, function: Callable[..., Any], make: Callable[[], vg.VisionModel], **more: Any) -> Any:
    given = good(name, function) | more

    def arguments() -> dict[str, Any]:
        g = given | {"model": make()}
        if "labels" in g:
            g["labels"] = torch.zeros(len(g["images"]), dtype=torch.int64)
        if "u" in g:
            g["u"] = torch.ones(2, g["model"].dim, dtype=torch.float64)
        return {key: value for key, value in g.items() if key != "head"}

    return arguments


def broken_networks() -> list[Case]:
    """Networks that break down, with right arguments and with numbers that are none."""
    cases = []
    for kind, (make, net) in DEGENERATE.items():
        for name, function in functions().items():
            if not name.startswith("vg.") or "model" not in (given := good(name, function)):
                continue
            if name in ("vg.match_remainder", "vg.export_onnx"):  # of matches of the same network; writes what there is
                continue
            title = f"{name} of a network: {kind}"
            cases.append(Case(title, name, function, of_a_network(name, function, make), net))
            for key in sorted(set(SMALL) & set(given)):
                for number in NUMBERS:
                    arguments = of_a_network(name, function, make, **{key: KINDS[number]})
                    cases.append(Case(f"{title}, {key}={number}", name, function, arguments, net))
    return cases


def methods() -> list[Case]:
    """What models, images and predictions take; settings of an explorer come from its own sliders."""
    cases = []
    for kind, value in (KINDS | {"a measurement": measured("reliability")}).items():
        for name in ("embeddings", "labels", "probabilities"):

            def answered(model: vg.VisionModel, images: Any, name: str = name) -> torch.Tensor:
                return getattr(model, name)(images)

            given = {"model": MODEL, "images": value}
            cases.append(Case(f"model.{name}({kind})", f"model.{name}", answered, lambda g=given: g))
        for key in ("pixels", "labels"):
            given = {"pixels": IMAGES, "names": ["a", "b"], "source": "drawn", "licence": "none"} | {key: value}
            for name in ("labels", "embeddings"):

                def of_images(model: vg.VisionModel, images: Any, name: str = name) -> torch.Tensor:
                    return getattr(model, name)(vg.Images(**images))

                cases.append(
                    Case(f"Images({key}={kind})", "Images", of_images, lambda g=given: {"model": MODEL, "images": g})
                )
        for key in ("logits", "labels"):
            given = {"logits": torch.zeros(2, 5), "labels": LABELS, "source": "drawn"} | {key: value}
            cases.append(Case(f"Predictions({key}={kind})", "Predictions", of_predictions, lambda g=given: g))
    return cases


def of_predictions(**given: Any) -> xr.Dataset:
    found = vg.Predictions(**given)
    return vg.reliability(found, resamples=5)


class LostError(Exception):
    """What was finished did not come with what ended a measurement."""


def early_ends() -> list[Case]:
    """Measurements that end at their last pass through the network, when much is finished."""
    model = random_network()
    model.batch_size = 2
    x, labels = crossing_images(model, test_interrupted.COUNT)
    cases = []
    for name, (measure, variable) in test_interrupted.MEASURES.items():
        for error in (KeyboardInterrupt(), MemoryError("no room"), test_interrupted.OwnError("broken")):

            def ends(error: BaseException = error, measure: Any = measure, variable: Any = variable) -> bool:
                before, calls = test_interrupted.ending(error, 10**9)
                measure(model.watched(before), x, labels)
                caught = test_interrupted.ended(model, measure, variable, error, calls[0] - 1, x, labels)
                if getattr(caught, "finished", None) is None:
                    raise LostError(repr(caught))
                return True

            cases.append(Case(f"{name}, ended by {type(error).__name__}", "ended", ends, dict))
    return cases


# and how many cases there are at least
LISTS = {wrong_arguments: 10_000, broken_networks: 4_000, methods: 300, early_ends: 60}


def _short_reports() -> None:
    """Reports of one section, on one network: this is about their arguments, and what they say is tested elsewhere."""

    def nowhere() -> Path:
        raise DataError("No evidence is looked for here.")

    report_ledger.evidence_folder = nowhere
    table = report_sections._read()
    table["measure"] = [one for one in table["measure"] if one["label"] == "singular_spectrum"]
    table["section"] = [one for one in table["section"] if one["reads"] == ["singular_spectrum"]]
    assert table["measure"]
    assert table["section"]


def _count(pipe: Connection, folder: str, which: str, start: int) -> None:
    """Send the flaw of one case after the other; in a process of its own."""
    import matplotlib

    matplotlib.use("Agg")
    derive_quietly()
    _short_reports()
    cases = globals()[which]()
    os.chdir(folder)  # some arguments are names of files
    pipe.send(len(cases))
    for i in range(start, len(cases)):
        faulthandler.dump_traceback_later(SECONDS)
        pipe.send((cases[i].title, None))
        pipe.send((cases[i].title, flaw(cases[i])))
        faulthandler.cancel_dump_traceback_later()


def flaws_of(which: str, folder: Path) -> tuple[int, dict[str, str]]:
    """Number of cases of a list, and what is wrong with them by title."""
    spawn, flaws = multiprocessing.get_context("spawn"), {}
    start, total = 0, 1
    while start < total:
        pipe, other = spawn.Pipe()
        process = spawn.Process(target=_count, args=(other, str(folder), which, start))
        process.start()
        other.close()
        title = "the list of cases"
        try:
            total = pipe.recv()
            while start < total:
                title, _ = pipe.recv()
                if not pipe.poll(SECONDS):
                    flaws[title], start = "hang", start + 1
                    break
                _, found = pipe.recv()
                start += 1
                if found:
                    flaws[title] = found
        except EOFError:
            process.join()
            flaws[title], start = f"crash: exit status {process.exitcode}", start + 1
        process.kill() if start < total else process.join()
        pipe.close()
    return total, flaws


@pytest.mark.parametrize(("which", "least"), [(each.__name__, least) for each, least in LISTS.items()])
def test_every_case_ends_in_a_right_result_or_in_one_sentence(
    which: str, least: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    total, flaws = flaws_of(which, tmp_path)
    counts = Counter(found.split(":")[0] for found in flaws.values())
    with capsys.disabled():
        print(f"\n{total} cases of {which}: " + ", ".join(f"{kind} {counts[kind]}" for kind in FLAWS))
    assert total >= least
    assert not flaws, "\n".join(f"{name}: {found}" for name, found in flaws.items())


def broken_down() -> list[Case]:
    """Calls that go wrong in every way there is."""

    def says_nothing() -> None:
        raise vg.errors.ModelError("two\nlines.")

    def lost() -> None:
        raise LostError

    def wrong(model: vg.VisionModel, images: Any) -> xr.Dataset:
        found = vg.singular_spectrum(model, images)
        found["singular_value"] *= 1.001
        return found

    def undefined(model: vg.VisionModel, images: Any, labels: Any) -> xr.Dataset:
        found = vg.fgsm_step(model, images, labels)
        found["moved"][0, 0, 0, 0] = float("nan")
        return found

    given = {"model": MODEL, "images": IMAGES}
    return [
        Case("traceback", "any", lambda: [][1], dict),
        Case("traceback, no sentence", "any", says_nothing, dict),
        Case("silent, wrong", "vg.singular_spectrum", wrong, lambda: given),
        Case("silent, undefined", "vg.fgsm_step", undefined, lambda: given | {"labels": LABELS}),
        Case("silent, of no network", "vg.jvp", lambda model: 0, lambda: {"model": MODEL}, None),
        Case("lost", "any", lost, dict),
        Case("crash", "any", os.abort, dict),
        Case("hang", "any", lambda: time.sleep(1e6), dict),
        Case("right", "vg.singular_spectrum", vg.singular_spectrum, lambda: given),
    ]


def test_every_way_of_going_wrong_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_hostile_arguments.SECONDS", 10.0)
    total, flaws = flaws_of("broken_down", tmp_path)
    assert total == 9
    assert set(flaws) == {case.title for case in broken_down()} - {"right"}
    for title, found in flaws.items():
        assert found.split(":")[0] == title.split(",")[0]
