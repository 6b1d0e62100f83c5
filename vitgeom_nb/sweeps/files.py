"""Networks, data and measures of one's own, by a file and a name in it: `path/to/file.py:name`."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from ..errors import ArgumentError


def is_in_file(text: str) -> bool:
    """Whether a text names something in a Python file."""
    return ".py:" in text


def function_of_file(text: str) -> Any:
    """What `path/to/file.py:name` names: the file runs once a process, as a module.

    Raises
    ------
    ArgumentError
        If there is no such file, it does not run, or has nothing of that name.
    """
    file, _, name = text.rpartition(":")
    path = Path(file).expanduser().resolve()
    module = f"vitgeom_nb_user_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if module not in sys.modules:
        _run(path, module)
    found = getattr(sys.modules[module], name, None)
    if found is None:
        raise ArgumentError(f"There is no {name!r} in {path}.")
    return found


def _run(path: Path, module: str) -> None:
    if not path.is_file():
        raise ArgumentError(f"There is no file {path}; write path/to/file.py:name.")
    spec = importlib.util.spec_from_file_location(module, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[module] = made
    try:
        spec.loader.exec_module(made)
    except Exception as error:  # whatever the user's file raises
        del sys.modules[module]
        reason = str(error).split("\n")[0].rstrip(".")
        raise ArgumentError(f"{path} does not run ({type(error).__name__}: {reason:.200}).") from error
