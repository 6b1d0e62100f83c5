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


def test_names_are_sorted_and_exist() -> None:
    assert sorted(vg.__all__) == list(vg.__all__)
    assert all(hasattr(vg, name) for name in vg.__all__)
