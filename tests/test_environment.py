"""environment.yml and Binder's folder name what pyproject.toml names, and the declared versions agree."""

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


def test_binder_installs_the_package_with_all_and_jupyterlab_and_nothing_else() -> None:
    lines = (ROOT / ".binder" / "requirements.txt").read_text().splitlines()
    options = [line for line in lines if line.startswith("--")]
    assert options == ["--extra-index-url https://download.pytorch.org/whl/cpu", "--editable .[all]"]
    others = [line for line in lines if line and not line.startswith(("#", "--"))]
    assert others == [line for line in PROJECT["optional-dependencies"]["test"] if line.startswith("jupyterlab")]


def test_binder_has_a_python_that_is_tested() -> None:
    name, _, version = (ROOT / ".binder" / "runtime.txt").read_text().strip().partition("-")
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())
    assert name == "python"
    assert version in workflow["jobs"]["test"]["strategy"]["matrix"]["python"]


def test_one_version_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"] == vg.__version__
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()
