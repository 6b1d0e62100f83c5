"""environment.yml names the very set of pyproject.toml, and the declared versions agree."""

from __future__ import annotations

import tomllib

import yaml

import vitgeom_nb as vg

from .chapters import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())


def test_conda_environment_is_the_set_of_pyproject() -> None:
    extras = PROJECT["optional-dependencies"]
    groups = ("models", "data", "figures", "widgets", "book", "bench", "export", "sweep", "test")
    wanted = [*PROJECT["dependencies"], *(line for group in groups for line in extras[group])]
    wanted = sorted(requirement for requirement in wanted if not requirement.startswith("vitgeom-nb"))
    (pip,) = (entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))
    assert sorted(line for line in pip if not line.startswith("--editable")) == wanted
    assert pip[-1] == "--editable ."


def test_conda_environment_has_the_python_of_pyproject() -> None:
    assert f"python{PROJECT['requires-python']}" in ENVIRONMENT["dependencies"]
    assert {"pip", "make"} <= {entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)}


def test_one_version_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"] == vg.__version__
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()
