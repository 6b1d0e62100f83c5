"""Imports point one way: checked on the package as it is, and seen to bite on copies with a wrong import."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .book import ROOT

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package in a folder."""
    program = "import sys; from importlinter.cli import lint_imports_command as run; sys.path.insert(0, ''); run()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package's sources and of the contracts."""
    for path in (ROOT / "vitgeom_nb").rglob("*.py"):
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_package_keeps_its_contracts() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout
    assert f"{len(CONTRACTS)} kept, 0 broken" in result.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("errors", "from .models import load", "A module imports only what stands below it"),
        ("jacobian", "from . import figures", "A module imports only what stands below it"),
        ("calibration", "from .lipschitz import lldlc", "A module imports only what stands below it"),
        ("jacobian", "import matplotlib.pyplot as plt", "Mathematics imports neither plotting nor widgets"),
        ("models", "from .zoo.train import Recipe", "Nothing imports the recipe"),
    ],
)
def test_a_wrong_import_breaks_a_contract(package: Path, module: str, line: str, broken: str) -> None:
    path = package / "vitgeom_nb" / f"{module}.py"
    path.write_text(f"{path.read_text()}\n{line}\n")
    result = lint(package)
    assert result.returncode == 1, result.stdout
    assert any(broken in row and "BROKEN" in row for row in result.stdout.splitlines()), result.stdout


def test_a_new_module_must_be_given_its_place(package: Path) -> None:
    (package / "vitgeom_nb" / "homeless.py").write_text("")
    result = lint(package)
    assert result.returncode == 1
    assert "homeless" in result.stdout
