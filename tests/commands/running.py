"""A command run within a test."""

from __future__ import annotations

import pytest

from vitgeom_nb import __main__ as command


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = command.main(arguments)
    out, err = capsys.readouterr()
    return status, out, err
