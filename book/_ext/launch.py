"""Gives every chapter buttons that run it on Binder and on Colab and one to its source, where the repository is known.

The notebook that a page offers for download then begins with a cell that installs the package from there where it is
missing, and does nothing where it is not. Colab opens these notebooks too: `make offer` pushes them to the branch
`notebooks`.

`VITGEOM_REPOSITORY` in the environment of the build is its address, as continuous integration knows it, and
`VITGEOM_BRANCH` the branch, `main` unless set. Without an address there are no buttons. They are plain links: a page
asks nobody for anything until a reader follows one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import nbformat
from sphinx.errors import ConfigError

ADDRESS = re.compile(r"https://[\w.-]+(/[\w.-]+){2,}")
COLAB = "https://colab.research.google.com"
BRANCH = "notebooks"  # of what pages offer; `make offer` has it too

INSTALL = """# installs the package where it is missing
from importlib.util import find_spec

if find_spec("vitgeom_nb") is None:
    %pip install --quiet "vitgeom_nb[all] @ git+{address}@{branch}"
"""


def offer(app: Any, config: Any) -> None:
    """Tell the theme where the book comes from."""
    address = os.environ.get("VITGEOM_REPOSITORY", "").strip().rstrip("/")
    if not address:
        return
    if not ADDRESS.fullmatch(address):
        raise ConfigError(f"VITGEOM_REPOSITORY is {address!r}; write https://HOST/OWNER/NAME, or unset it.")
    options = config.html_theme_options
    hosts = {"binderhub_url": "https://mybinder.org"}
    if address.startswith("https://github.com/"):  # Colab opens no others
        hosts["colab_url"] = COLAB
    options |= {
        "repository_url": address,
        "repository_branch": os.environ.get("VITGEOM_BRANCH", "") or "main",
        "path_to_docs": "",
        "use_source_button": True,
        "launch_buttons": options.get("launch_buttons", {}) | hosts,
    }


def to_offered(app: Any, _page: str, _template: str, context: dict[str, Any], _tree: Any) -> None:
    """Let the button to Colab open the notebook that the page offers, and not the one of the repository."""
    branch = app.config.html_theme_options.get("repository_branch")
    for group in context.get("header_buttons", ()):
        for button in group.get("buttons", ()):
            if str(button.get("url", "")).startswith(COLAB):
                button["url"] = button["url"].replace(f"/blob/{branch}/", f"/blob/{BRANCH}/", 1)


def finish(app: Any, exception: Exception | None) -> None:
    """Put the cell that installs the package first into the notebooks that are offered."""
    options = app.config.html_theme_options
    if exception or app.builder.format != "html" or "repository_url" not in options:
        return
    source = INSTALL.format(address=options["repository_url"], branch=options["repository_branch"])
    for path in (Path(app.outdir) / "_sources").rglob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        notebook.cells.insert(0, nbformat.v4.new_code_cell(source, id="install"))
        nbformat.write(notebook, path)


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("config-inited", offer)
    app.connect("html-page-context", to_offered, priority=502)  # after the theme has made the buttons
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
