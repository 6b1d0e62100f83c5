"""The chapters as the table of contents lists them: texts, notebooks and built pages."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import yaml

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "_build" / "html" / "book"


def chapters() -> list[str]:
    """Names of all chapters, in reading order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]
    return [Path(file).stem for file in files]


def extension(name: str) -> ModuleType:
    """A module of `book/_ext`, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "book" / "_ext" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
