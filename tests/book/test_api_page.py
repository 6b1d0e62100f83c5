"""The reference names every public object of the package."""

from __future__ import annotations

import inspect
import re

import pytest

import vitgeom_nb as vg

from ..chapters import ROOT

PUBLIC = [name for name in vg.__all__ if not inspect.ismodule(getattr(vg, name))]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_on_the_reference_page(name: str) -> None:
    page = (ROOT / "book" / "api.md").read_text()
    assert re.search(rf"auto(function|class):: {name}$", page, re.M), f"book/api.md does not document {name}"


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_described(name: str) -> None:
    text = inspect.getdoc(getattr(vg, name)) or ""
    assert len(text.split("\n")[0].split()) >= 4


EXPLORE = [name for name in vg.explore.__all__ if not inspect.ismodule(getattr(vg.explore, name))]
SHOWN = [f"explore.{name}" for name in EXPLORE] + [f"figures.{name}" for name in vg.figures.__all__ if name != "style"]


@pytest.mark.parametrize("name", EXPLORE)
def test_explorer_is_on_the_reference_page(name: str) -> None:
    explorers = (ROOT / "book" / "api.md").read_text().split("currentmodule:: vitgeom_nb.explore")[1]
    assert re.search(rf"auto(function|class):: {name}$", explorers, re.M), f"book/api.md does not document {name}"


def test_all_figures_are_on_the_reference_page() -> None:
    members = ".. automodule:: vitgeom_nb.figures\n   :members:\n   :imported-members:\n"
    assert members in (ROOT / "book" / "api.md").read_text()


@pytest.mark.parametrize("name", SHOWN)
def test_figure_or_explorer_is_described(name: str) -> None:
    room, _, function = name.partition(".")
    found = getattr(getattr(vg, room), function)
    text = inspect.getdoc(found) or ""
    assert len(text.split("\n")[0].split()) >= 4
    if inspect.isfunction(found) and "\nReturns\n" in text:  # what it says it returns is what it returns
        said = text.split("\nReturns\n")[1].splitlines()[1]
        assert said.split(".")[-1] == str(inspect.signature(found).return_annotation)


def test_names_are_sorted_and_exist() -> None:
    assert sorted(vg.__all__) == list(vg.__all__)
    assert all(hasattr(vg, name) for name in vg.__all__)
