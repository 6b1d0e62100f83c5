"""What is imported when: a fresh process takes a few steps, and lists the heavy modules it holds after each."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vitgeom_nb.__main__ import parser

from .chapters import ROOT

HEAVY = (
    "IPython",
    "dask.base",
    "foolbox",
    "huggingface_hub",
    "ipywidgets",
    "matplotlib",
    "pandas",
    "pyarrow",
    "scipy",
    "skimage",
    "sklearn",
    "timm",
    "torch",
    "torchvision.models",
    "transformers",
    "xarray",
)
TIMM = {"timm", "torch", "torchvision.models", "huggingface_hub"}  # timm brings the other three itself
TABLE = {"pandas", "pyarrow"}  # pandas brings pyarrow where it is installed
MEASUREMENT = TABLE | {"xarray"}
PROBE = """
import contextlib, io, json, sys
def offline(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise RuntimeError(f"{event} {arguments}")
sys.addaudithook(offline)
# dask is an extra, and where it is installed xarray imports it, and scipy with it: as if it were not
sys.modules["dask"] = None
steps, heavy = json.loads(sys.argv[1])
found, names = [], {}
for step in steps:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        exec(step, names)
    found.append([module for module in heavy if module in sys.modules])
print(json.dumps(found))
"""


def held_after(*steps: str, folder: Path = ROOT) -> list[set[str]]:
    """The heavy modules that a fresh process, kept off the network, holds after each of the steps."""
    command = [sys.executable, "-c", PROBE, json.dumps([steps, HEAVY])]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [set(found) for found in json.loads(done.stdout)]


def test_timm_brings_torchvisions_models_and_the_hubs_client_by_itself() -> None:
    assert held_after("import timm") == [TIMM]


def test_a_loaded_network_brings_timm_and_a_measurement_its_table() -> None:
    steps = {
        "import vitgeom_nb as vg": set(),
        "vg.figures, vg.explore, vg.errors": set(),
        "vg.load, vg.wrap": {"torch"},
        "model = vg.load('vit')": TIMM,
        "images = vg.samples('imagenet', n=2, size=64)": TIMM,
        "spectra = vg.singular_spectrum(model, images)": TIMM | MEASUREMENT,
        "vg.direction_change(model, images, directions=2, steps=3)": TIMM | MEASUREMENT,
        "vg.match, vg.lldlc, vg.trajectory": TIMM | MEASUREMENT,
        "vg.figures.singular_spectrum(spectra)": TIMM | MEASUREMENT | {"matplotlib"},
    }
    assert dict(zip(steps, held_after(*steps), strict=True)) == steps


def test_recorded_predictions_need_no_timm_and_only_a_widget_brings_widgets() -> None:
    computed = {"torch", "scipy"} | MEASUREMENT  # intervals are by scipy
    steps = {
        "import vitgeom_nb as vg; seen = vg.recorded_predictions('vit')": {"torch"},
        "table = vg.reliability(seen, resamples=10)": computed,
        "vg.figures.reliability(table)": computed | {"matplotlib"},
        "explorer = vg.explore.reliability({'vit': seen})": computed | {"matplotlib"},
        "explorer.to_html()": computed | {"matplotlib"},
        "explorer.widget()": computed | {"matplotlib", "ipywidgets", "IPython"},
    }
    assert dict(zip(steps, held_after(*steps), strict=True)) == steps


def test_dask_is_out_of_reach_installed_or_not(tmp_path: Path) -> None:
    (tmp_path / "dask").mkdir()
    for module in ("__init__", "base", "array"):
        (tmp_path / "dask" / f"{module}.py").write_text("import scipy")
    assert held_after("import xarray as xr; xr.Dataset({'a': ('x', [1.0])}).isel(x=0)", folder=tmp_path) == [
        MEASUREMENT
    ]


def commands() -> list[str]:
    """Names of the subcommands."""
    (choices,) = (action.choices for action in parser()._actions if action.choices)
    return list(choices)


def test_the_command_line_answers_without_torch() -> None:
    assert {"models", "figures", "doctor"} <= set(commands())
    asked = [["--help"], ["--version"], *([name, "--help"] for name in commands()), ["figures"], ["dance"]]
    asked += [["figures", "nonsense", "--out", "x"], ["models", "--tier", "gigantic"]]
    before, *held = held_after("from vitgeom_nb.__main__ import main", *(f"main({each})" for each in asked))
    assert before == set()
    *light, table = held
    assert light == [set()] * len(light)
    assert table == TABLE


def test_tables_of_models_are_made_without_torch() -> None:
    tiers = ("['models', '--tier', 'embedded']", "['models']")
    steps = ("from vitgeom_nb.__main__ import main", *(f"assert main({each}) == 0" for each in tiers))
    assert held_after(*steps)[1:] == [TABLE, TABLE]


@pytest.mark.parametrize(
    ("module", "step", "held"),
    [
        ("networks/loading", "import vitgeom_nb as vg; vg.load", {"torch"}),
        ("networks/embedded/__init__", "import vitgeom_nb.__main__", set()),
    ],
)
def test_a_heavy_import_on_top_of_a_module_is_seen(module: str, step: str, held: set[str], tmp_path: Path) -> None:
    for path in [*(ROOT / "vitgeom_nb").rglob("*.py"), *(ROOT / "vitgeom_nb").rglob("*.pyi")]:
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (tmp_path / "transformers.py").write_text("")
    edited = tmp_path / "vitgeom_nb" / f"{module}.py"
    edited.write_text(edited.read_text().replace("\nimport ", "\nimport transformers\nimport ", 1))
    assert held_after(step, folder=tmp_path) == [held | {"transformers"}]
