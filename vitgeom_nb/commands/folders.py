"""Folders that a command writes to."""

from __future__ import annotations

from pathlib import Path

from ..errors import ArgumentError


def made_folder(path: Path) -> Path:
    """The folder that `--out` names, made where it is missing.

    Raises
    ------
    ArgumentError
        If it cannot be one.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(f"--out {path!s:.200} cannot be a folder ({error.strerror}); name another.") from None
    return path
