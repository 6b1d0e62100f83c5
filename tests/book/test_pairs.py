"""Each chapter is one text and its output-free notebook, and says in prose what the package computes."""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml

from ..chapters import ROOT, chapters

VISIBLE_LINES, ALL_LINES = 80, 120  # cells that only word a sentence or a table are hidden


def read_pair(name: str) -> tuple[nbformat.NotebookNode, nbformat.NotebookNode]:
    text, notebook = (ROOT / "book" / f"{name}.{kind}" for kind in ("md", "ipynb"))
    return jupytext.read(text, fmt="md:myst"), nbformat.read(notebook, as_version=4)


def content(notebook: nbformat.NotebookNode) -> list[tuple[str, str, dict]]:
    return [(cell.cell_type, cell.source.strip(), dict(cell.metadata)) for cell in notebook.cells]


def lines_of_code(notebook: nbformat.NotebookNode, hidden: bool) -> list[str]:
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = [cell for cell in cells if hidden or "hide-input" not in cell.metadata.get("tags", [])]
    lines = [line for cell in shown for line in cell.source.splitlines()]
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def test_table_of_contents_lists_notebooks_by_their_full_name() -> None:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]
    assert all(file.endswith(".ipynb") for file in files)
    assert len(set(files)) == len(files)


def test_no_chapter_is_left_out_of_the_table_of_contents() -> None:
    assert {path.stem for path in (ROOT / "book").glob("*.md")} == set(chapters())
    assert {path.stem for path in (ROOT / "book").glob("*.ipynb")} == set(chapters())


@pytest.mark.parametrize("name", chapters())
def test_notebook_has_the_content_of_its_text(name: str) -> None:
    text, notebook = read_pair(name)
    assert content(notebook) == content(text), f"book/{name}.ipynb is not made from book/{name}.md: run make pairs"
    assert notebook.metadata.kernelspec == text.metadata.kernelspec


@pytest.mark.parametrize("name", chapters())
def test_notebook_carries_no_outputs(name: str) -> None:
    _, notebook = read_pair(name)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


@pytest.mark.parametrize("name", chapters())
def test_cells_are_thin(name: str) -> None:
    text, _ = read_pair(name)
    lines = lines_of_code(text, hidden=True)
    assert len(lines_of_code(text, hidden=False)) <= VISIBLE_LINES, f"book/{name}.md: move code into the package"
    assert len(lines) <= ALL_LINES, f"book/{name}.md: move code into the package"
    assert not any(line.startswith(("def ", "class ")) for line in lines)


@pytest.mark.parametrize("name", chapters())
def test_every_figure_has_a_caption_a_name_and_a_sentence_for_those_who_cannot_see_it(name: str) -> None:
    text, _ = read_pair(name)
    for cell in text.cells:
        drawn = cell.metadata.get("mystnb", {})
        if "figure" in drawn:
            assert drawn["figure"]["caption"].strip().endswith(".")
            assert drawn["figure"]["name"].startswith("fig-")
            assert len(drawn["image"]["alt"].split()) >= 5


def test_a_notebook_that_was_edited_by_hand_is_noticed(tmp_path: Path) -> None:
    text, notebook = read_pair(chapters()[0])
    notebook.cells[0].source += " edited"
    assert content(notebook) != content(text)
