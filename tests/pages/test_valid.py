"""The pages are HTML as the standard has it, where the checker is at hand."""

from __future__ import annotations

import pytest

from tests.chapters import PAGES
from tests.validator import VNU, errors


@pytest.mark.skipif(VNU is None, reason="vnu, the Nu HTML checker, is not on this machine")
def test_the_checker_finds_no_error() -> None:
    assert errors([*sorted(PAGES.glob("*.html")), *(PAGES.parent / f"{n}.html" for n in ("index", "genindex"))]) == []
