"""Every public function with arguments of every wrong kind, and networks that break down.

Each case ends in a finite, named result or in one sentence of one of the errors of the package: never in another
exception, in a warning, or without an end. What goes wrong is counted by class and printed.
"""

from __future__ import annotations

import inspect
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from PIL import Image

import vitgeom_nb as vg
from vitgeom_nb import foundations
from vitgeom_nb.errors import VitgeomError

from .test_conventions import IMAGES, LABELS, MODEL, OTHERS, measured
from .tiny_networks import N, linear, pixels, wrapped

SLOW = 20.0  # seconds of processor time that no case may take
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


DEGENERATE: dict[str, Callable[[], vg.VisionModel]] = {
    "constant": lambda: wrapped(_Net(lambda y: y * 0 + 1)),
    "zero": lambda: linear(torch.zeros(3, N, dtype=torch.float64)),
    "NaN": lambda: wrapped(_Net(lambda y: y * torch.nan)),
    "infinite": lambda: wrapped(_Net(lambda y: y / 0)),
    "huge": lambda: linear(torch.full((3, N), 1e200, dtype=torch.float64)),
    "one class": lambda: linear(torch.ones(1, N, dtype=torch.float64)),
    "rank one": lambda: linear(torch.ones(4, N, dtype=torch.float64)),
    "batch-dependent": lambda: wrapped(_Net(lambda y: y - y.mean(0, keepdim=True))),
    "random": lambda: wrapped(_Net(lambda y: y + torch.rand_like(y))),
    "no gradient": lambda: wrapped(_Net(lambda y: y.detach().round())),
    "integers": lambda: wrapped(_Net(lambda y: y.long())),
    "half precision": lambda: wrapped(_Net(lambda y: y), dtype=torch.float16),
    "bfloat16": lambda: wrapped(_Net(lambda y: y), dtype=torch.bfloat16),
    "raises": lambda: wrapped(_Net(lambda y: y[:, :2] @ y)),
}
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
        "embedding_plane": "match", "match_history": "match", "lipschitz_ratio": "lldlc",
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


def flaw(call: Callable[[], Any]) -> str | None:
    """What is wrong with how a call ends; None where nothing is."""
    start = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = call()
    except VitgeomError as error:
        words = str(error)
        if "\n" in words or not words.endswith((".", "?", "...")) or len(words) > 600:
            return f"no sentence: {words[:200]!r}"
        result = None
    except Warning as warning:
        return f"warning: {str(warning)[:150]}"
    except RuntimeError as error:
        if "inconsistent tensor size" in str(error) or "mat1 and mat2" in str(error):
            return None if getattr(error, "__notes__", None) else f"traceback: no note on {error!r}"
        return f"traceback: {error!r}"[:300]
    except Exception as error:
        return f"traceback: {error!r}"[:300]
    if time.process_time() - start > SLOW:
        return "hang"
    if isinstance(result, xr.Dataset) and not result.data_vars:
        return "silent: an empty measurement"
    return None


def wrong_arguments() -> list[tuple[str, Callable[[], Any]]]:
    kinds = KINDS | {"a measurement": measured("reliability"), "another measurement": measured("step_law")}
    cases = []
    for name, function in functions().items():
        given = good(name, function)
        for key in inspect.signature(function).parameters:
            for kind, value in kinds.items():
                cases.append((f"{name}({key}={kind})", lambda f=function, g=given | {key: value}: f(**g)))
    return cases


def broken_networks() -> list[tuple[str, Callable[[], Any]]]:
    cases: list[tuple[str, Callable[[], Any]]] = []
    for kind, make in DEGENERATE.items():
        for name, function in functions().items():
            if name.startswith("vg.") and "model" in good(name, function):
                given = good(name, function)

                def call(f: Callable[..., Any] = function, g: dict[str, Any] = given, m: Any = make) -> Any:
                    g = g | {"model": m()}
                    if "labels" in g:
                        g["labels"] = torch.zeros(len(g["images"]), dtype=torch.int64)
                    return f(**{key: value for key, value in g.items() if key != "head"})

                cases.append((f"{name} of a network: {kind}", call))
    return cases


@pytest.mark.parametrize("cases", [wrong_arguments, broken_networks], ids=lambda cases: cases.__name__)
def test_every_case_ends_in_a_result_or_in_one_sentence(
    cases: Callable[[], list[tuple[str, Callable[[], Any]]]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)  # some arguments are names of files
    everything = cases()
    flaws = {name: found for name, call in everything if (found := flaw(call))}
    counts = Counter(found.split(":")[0] for found in flaws.values())
    with capsys.disabled():
        classes = ("traceback", "no sentence", "silent", "warning", "hang", "crash")
        print(f"\n{len(everything)} cases: " + ", ".join(f"{kind} {counts[kind]}" for kind in classes))
    assert len(everything) > 300
    assert not flaws, "\n".join(f"{name}: {found}" for name, found in flaws.items())
