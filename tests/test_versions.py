"""`make versions` tests with the oldest versions allowed: the constraints are the lower bounds, on every Python."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import version

import pytest
import yaml
from packaging.requirements import Requirement

from . import lowest
from .chapters import ROOT
from .test_makefile import make

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_constraints_are_the_lower_ends_of_the_ranges() -> None:
    project = {
        "dependencies": ["torch>=2.11", "numpy>=2.1", "xarray>=2025.8"],
        "optional-dependencies": {"a": ["timm>=1.0.31", "transformers>=5.20"], "b": ["book>=1.0,<2", "x[a,b]"]},
    }
    assert lowest.constraints(project) == [
        "torch==2.11",
        "timm==1.0.31",
        "transformers==5.20",
        "numpy==2.1",
        "xarray==2025.8",
    ]


def test_what_has_no_lower_end_is_noticed() -> None:
    with pytest.raises(KeyError, match="torch"):
        lowest.constraints({"dependencies": ["torch", "xarray>=2025.8"]})


def test_the_ranges_allow_them_and_what_is_installed_is_no_older() -> None:
    lines = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["models"]]
    ranges = {one.name: one.specifier for one in map(Requirement, lines)}
    for line in lowest.constraints(PROJECT):
        (pinned,) = (one := Requirement(line)).specifier
        assert ranges[one.name].contains(pinned.version)
        assert ranges[one.name].contains(version(one.name).split("+")[0])


def test_the_command_prints_one_a_line_without_the_package_installed() -> None:
    command = [sys.executable, "-I", "-S", "-c", "import runpy; runpy.run_path('tests/lowest.py', run_name='__main__')"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == lowest.constraints(PROJECT)


def test_make_installs_with_them_apart_from_the_environment_of_the_working_copy() -> None:
    said = make("-n", "versions", "LOWEST=.venv-none", "PYTHON=python3.12")
    assert "python3.12 -m venv .venv-none" in said
    assert ".venv-none/bin/python -m tests.lowest > .venv-none/constraints.txt" in said
    assert "--constraint .venv-none/constraints.txt --editable '.[test]'" in said
    assert ".venv-none/bin/python -m pytest" in said
    assert " .venv/" not in said


def test_continuous_integration_runs_it_on_the_oldest_and_the_newest_python() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]
    every, these = (jobs[name]["strategy"]["matrix"]["python"] for name in ("test", "versions"))
    assert these == [every[0], every[-1]]
    assert {"run": "make versions"} in jobs["versions"]["steps"]
    assert PROJECT["requires-python"] == f">={every[0]}"
