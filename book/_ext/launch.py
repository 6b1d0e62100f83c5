"""Gives every chapter a button that runs it on Binder and one to its source, where the repository is known.

`VITGEOM_REPOSITORY` in the environment of the build is its address, as continuous integration knows it, and
`VITGEOM_BRANCH` the branch, `main` unless set. Without an address there are no buttons. They are plain links: a page
asks nobody for anything until a reader follows one.
"""

from __future__ import annotations

import os
import re
from typing import Any

from sphinx.errors import ConfigError

ADDRESS = re.compile(r"https://[\w.-]+(/[\w.-]+){2,}")


def offer(app: Any, config: Any) -> None:
    """Tell the theme where the book comes from."""
    address = os.environ.get("VITGEOM_REPOSITORY", "").strip().rstrip("/")
    if not address:
        return
    if not ADDRESS.fullmatch(address):
        raise ConfigError(f"VITGEOM_REPOSITORY is {address!r}; write https://HOST/OWNER/NAME, or unset it.")
    options = config.html_theme_options
    options |= {
        "repository_url": address,
        "repository_branch": os.environ.get("VITGEOM_BRANCH", "") or "main",
        "path_to_docs": "",
        "use_source_button": True,
        "launch_buttons": options.get("launch_buttons", {}) | {"binderhub_url": "https://mybinder.org"},
    }


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("config-inited", offer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
