"""Every page in a real browser: quiet, light, usable by everyone, whole on a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.book import PAGES, chapters
from tests.browser import PHONE, WIDE, Visit, file_address

HEAVIEST = 2_500_000  # bytes of a page with everything it loads
CHAPTERS = chapters()


@pytest.mark.parametrize("name", CHAPTERS)
def test_page_asks_nobody_else_and_does_not_complain(
    browser: Browser, site: str, name: str, report: Callable[[str], None]
) -> None:
    context = browser.new_context(viewport=WIDE)
    visit = Visit.open(context, f"{site}/book/{name}.html")
    assert visit.foreign == []
    assert visit.complaints == []
    assert [r.url for r in visit.responses if r.status >= 400] == []
    report(f"{name}: {visit.weight / 1e6:.2f} MB in {len(visit.responses)} answers")
    assert visit.weight < HEAVIEST
    context.close()


@pytest.mark.parametrize("name", CHAPTERS)
def test_page_fits_a_phone(browser: Browser, site: str, name: str) -> None:
    context = browser.new_context(viewport=PHONE)
    page = Visit.open(context, f"{site}/book/{name}.html").page
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    # nor may an article hide what sticks out of it: only tables, code and formulas scroll in their own frame
    outside = page.evaluate(
        """width => [...document.querySelectorAll('article figure, article img, article p, article h1, article h2')]
        .filter(e => !e.closest('pre, table, mjx-container') && e.getBoundingClientRect().right > width + 1)
        .map(e => e.outerHTML.slice(0, 120))""",
        PHONE["width"],
    )
    assert outside == []
    context.close()


@pytest.mark.parametrize("name", CHAPTERS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_no_serious_barrier(browser: Browser, site: str, name: str, scheme: str) -> None:
    context = browser.new_context(viewport=WIDE, color_scheme=scheme)  # type: ignore[arg-type]
    page = Visit.open(context, f"{site}/book/{name}.html").page
    found = Axe().run(page).response["violations"]
    grave = [
        f"{v['id']}: {v['help']}: {node['html'][:160]}"
        for v in found
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"][:3]
    ]
    assert grave == []
    context.close()


@pytest.mark.parametrize("name", CHAPTERS)
def test_page_works_from_a_file(browser: Browser, name: str) -> None:
    context = browser.new_context(viewport=WIDE)
    visit = Visit.open(context, file_address(PAGES / f"{name}.html"))
    assert visit.complaints == []
    assert [url for url in visit.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    explorers = visit.page.locator(".vg-explorer")
    assert explorers.count() == visit.page.locator(".vg-explorer[data-ready]").count()
    context.close()
