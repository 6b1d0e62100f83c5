"""Imports point one way: checked on the package as it is, and seen to bite on copies with a wrong import."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

import vitgeom_nb as vg

from .chapters import ROOT

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
        ("errors", "from .networks.loading import load", "A room imports only from rooms below it"),
        ("jacobians/rows", "from .. import figures", "A room imports only from rooms below it"),
        ("calibration/reliability", "from ..equivalence.lipschitz import lldlc", "A room imports only from rooms"),
        ("explore/page", "from ..recipes.train import Recipe", "A room imports only from rooms below it"),
        ("data/samples", "from ..networks.vision_model import VisionModel", "Data sets know no networks"),
        ("jacobians/rows", "import matplotlib.pyplot as plt", "Mathematics imports neither plotting nor widgets"),
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


def circles(imports: dict[str, set[str]]) -> list[set[str]]:
    """Sets of two and more modules that import each other, directly or through others."""
    modules = sorted(imports)
    number = {module: i for i, module in enumerate(modules)}
    pairs = [(number[a], number[b]) for a in modules for b in imports[a]]
    graph = coo_array((np.ones(len(pairs)), tuple(zip(*pairs, strict=True))), shape=(len(modules),) * 2)
    _, group = connected_components(graph, connection="strong")
    found = [{m for m, g in zip(modules, group, strict=True) if g == k} for k in range(max(group) + 1)]
    return [one for one in found if len(one) > 1]


def imports_of(package: str) -> dict[str, set[str]]:
    """Module -> modules of the package that it imports, on top or inside a function."""
    graph = grimp.build_graph(package, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def test_no_two_modules_import_each_other() -> None:
    assert circles(imports_of("vitgeom_nb")) == []


def test_a_circle_is_found() -> None:
    chain = {"a": {"b"}, "b": {"c"}, "c": set(), "d": {"a"}}
    assert circles(chain) == []
    assert circles(chain | {"c": {"a"}}) == [{"a", "b", "c"}]


def environment_readers(source: str) -> list[str]:
    """What in a module's text reads or sets variables of the environment."""
    nodes = list(ast.walk(ast.parse(source)))
    names = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    used = [ast.unparse(n) for n in nodes if isinstance(n, ast.Attribute) and n.attr in names]
    taken = [n for n in nodes if isinstance(n, ast.ImportFrom) and n.module == "os"]
    return used + [alias.name for n in taken for alias in n.names if alias.name in names]


def test_settings_alone_reads_the_environment() -> None:
    folder = Path(vg.__file__).parent
    readers = {str(p.relative_to(folder)): environment_readers(p.read_text()) for p in folder.rglob("*.py")}
    assert [name for name, found in readers.items() if found] == ["settings.py"]


@pytest.mark.parametrize("line", ["import os; os.environ['A']", "from os import environ as e", "os.getenv('A')"])
def test_another_reader_is_found(line: str) -> None:
    assert environment_readers(line)


def test_no_room_or_module_hides_behind_a_public_name() -> None:
    folder = Path(vg.__file__).parent
    modules = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert modules & set(vg.__all__) == {"claims", "errors", "explore", "figures"}  # public as what they are
