"""Checks of the built pages need the built pages; what they measure is printed as a table at the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser import crowd, site, slow_site
from tests.chapters import PAGES

__all__ = ["crowd", "site", "slow_site"]
ROWS = pytest.StashKey[list[str]]()


@pytest.fixture(autouse=True)
def _built() -> None:
    if not PAGES.exists():
        pytest.skip("the book is not built: run make book")


@pytest.fixture
def report(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Adds a line to the table."""
    return pytestconfig.stash.setdefault(ROWS, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table."""
    rows = config.stash.get(ROWS, [])
    if rows:
        terminalreporter.section("pages")
        for row in sorted(rows):
            terminalreporter.line(row)
