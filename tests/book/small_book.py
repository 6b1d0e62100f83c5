"""A book of one page, built like the whole one: with its configuration, its extensions and what it brings along."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

from tests.chapters import ROOT


def build(folder: Path, *cells: nbformat.NotebookNode, **variables: str) -> subprocess.CompletedProcess[str]:
    """Build a page of these cells into `_build/html/book/page.html` of a folder, with these environment variables."""
    (folder / "book").mkdir()
    for name in ("_ext", "_assets", "_inventories"):
        (folder / "book" / name).symlink_to(ROOT / "book" / name)
    shutil.copy(ROOT / "references.bib", folder)
    config = (ROOT / "_config.yml").read_text()
    (folder / "_config.yml").write_text(config.replace("execute_notebooks: force", 'execute_notebooks: "off"'))
    (folder / "_toc.yml").write_text("format: jb-book\nroot: book/page.ipynb\n")
    notebook = nbformat.v4.new_notebook(cells=list(cells))
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "book" / "page.ipynb")
    command = [Path(sys.executable).with_name("jupyter-book"), "build", "-W", "-n", "--keep-going", "--all", folder]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
