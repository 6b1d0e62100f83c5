"""Names in prose and in docstrings lead to where they are described, in this book or on the site of their package."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup

from tests.chapters import ROOT, extension

from .small_book import build

names = extension("names")

MAPPING = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]["intersphinx_mapping"]
KNOWN = {"vitgeom_nb.match", "vitgeom_nb.jvp", "vitgeom_nb.VisionModel.at", "torch.Tensor", "int"}
PROSE = """# A page

`vg.jvp(model, images)` and again `vg.jvp`, `jvp`; `match` is a kind; `vg.no_such_name`; `torch.nn.Module`; `model.at`.

## `vg.jvp`

[`vg.jvp`](https://example.org)
"""
ENTRIES = """```{eval-rst}
.. currentmodule:: vitgeom_nb

.. autofunction:: jvp
.. autofunction:: models
.. autofunction:: load
.. autoclass:: VisionModel
   :members: at
.. autofunction:: vitgeom_nb.figures.reliability
.. autoclass:: vitgeom_nb.explore.Explorer
.. autoclass:: vitgeom_nb.explore.Control
.. automodule:: vitgeom_nb.errors
   :members:
```"""


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("vg.match", "vitgeom_nb.match"),
        ("vitgeom_nb.match(model, source, target)", "vitgeom_nb.match"),
        ("model.at('blocks.2')", "vitgeom_nb.VisionModel.at"),
        ("jvp", "vitgeom_nb.jvp"),
        ("torch.Tensor", "torch.Tensor"),
        ("match", None),  # a kind of direction too
        ("int", None),
        ("vg.matches", None),
        ("vg.match + 1", None),
        ("make pairs", None),
    ],
)
def test_what_is_a_name_and_whose(said: str, name: str | None) -> None:
    assert names.meant(said, KNOWN) == name


def objects(inventory: str) -> list[list[str]]:
    """Name, kind and page of each object of an inventory."""
    head, *lines = (ROOT / inventory).read_text().splitlines()
    assert head == "# Sphinx inventory version 1"
    return [line.split() for line in lines[2:]]


@pytest.mark.parametrize("package", MAPPING)
def test_an_inventory_lists_what_there_is(package: str) -> None:
    address, inventory = MAPPING[package]
    assert address.startswith("https://")
    for name, kind, page in objects(inventory):
        module, _, attribute = name.rpartition(".")
        found = getattr(import_module(module or "builtins"), attribute)
        assert isinstance(found, type) == (kind != "function")
        assert page.endswith(".html")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> BeautifulSoup:
    """A page of prose and of entries, each of which names others."""
    folder = tmp_path_factory.mktemp("names")
    done = build(folder, *map(nbformat.v4.new_markdown_cell, (PROSE, ENTRIES)))
    assert done.returncode == 0, done.stdout + done.stderr
    return BeautifulSoup((folder / "_build" / "html" / "book" / "page.html").read_text(), "html.parser")


def test_prose_links_a_name_where_it_is_first_mentioned(page: BeautifulSoup) -> None:
    (first, *_) = [one for one in page.select("article p") if "kind" in one.text]
    assert [(link.text, link["href"]) for link in first.select("a")] == [
        ("vg.jvp(model, images)", "#vitgeom_nb.jvp"),
        ("torch.nn.Module", "https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module"),
        ("model.at", "#vitgeom_nb.VisionModel.at"),
    ]
    assert page.select_one("article h2 code").find_parent("a") is None
    assert page.select_one('article a[href="https://example.org"] code') is not None


def entry(page: BeautifulSoup, name: str) -> list[tuple[str, str]]:
    """The links of the description of an object."""
    described = page.find(id=f"vitgeom_nb.{name}").find_next_sibling("dd")
    return [(link.text, link["href"]) for link in described.select("a.reference")]


@pytest.mark.parametrize(
    ("name", "said", "address"),
    [
        ("jvp", "torch.Tensor", "https://docs.pytorch.org/docs/stable/tensors.html#torch.Tensor"),
        ("models", "pandas.DataFrame", "https://pandas.pydata.org/docs/reference/api/pandas.DataFrame.html#pandas.DataFrame"),
        ("models", "load", "#vitgeom_nb.load"),
        ("load", "WeightsError", "#vitgeom_nb.errors.WeightsError"),
        ("VisionModel", "str", "https://docs.python.org/3/library/stdtypes.html#str"),
        ("explore.Explorer", "callable", "https://docs.python.org/3/library/functions.html#callable"),
        ("explore.Explorer", "Control", "#vitgeom_nb.explore.Control"),
        ("figures.reliability", "matplotlib.figure.Figure",
         "https://matplotlib.org/stable/api/_as_gen/matplotlib.figure.Figure.html#matplotlib.figure.Figure"),
    ],
)  # fmt: skip
def test_types_exceptions_and_functions_of_an_entry_are_links(
    page: BeautifulSoup, name: str, said: str, address: str
) -> None:
    assert (said, address) in entry(page, name)


def test_an_entry_does_not_lead_to_itself(page: BeautifulSoup) -> None:
    assert [link for link in entry(page, "load") if link[1] == "#vitgeom_nb.load"] == []


def test_a_type_that_nobody_describes_ends_the_build(tmp_path: Path) -> None:
    entry = "```{eval-rst}\n.. py:function:: f(x)\n\n   :param Nowhere x: y\n   :raises NoSuchError: z\n```"
    done = build(tmp_path, nbformat.v4.new_markdown_cell(f"# A page\n\n{entry}"))
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "py:class reference target not found: Nowhere" in said
    assert "py:exc reference target not found: NoSuchError" in said
