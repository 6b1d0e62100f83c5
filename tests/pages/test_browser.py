"""Every page in a real browser: quiet, light, usable by everyone, whole on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.browser import LETTERS, PHONE, WIDE, Visit, file_address
from tests.chapters import PAGES, chapters

HEAVIEST = 2_750_000  # bytes of a page with everything it loads
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


@pytest.mark.parametrize("width", [1000, 1199, 1200, 1280, 1920])
@pytest.mark.parametrize("name", ["claims", "curvature", "speed"])
def test_wide_things_take_the_room_beside_the_words(browser: Browser, site: str, name: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = Visit.open(context, f"{site}/book/{name}.html").page
    assert page.evaluate("document.documentElement.scrollWidth") == width
    line = page.locator("article h1").first.evaluate("e => e.getBoundingClientRect().right")
    ends = page.locator("article .full-width").evaluate_all("all => all.map(e => e.getBoundingClientRect().right)")
    assert max(ends) <= width
    if width < 1200:  # there is no room beside the words
        assert max(ends) <= line + 1
    else:
        assert max(ends) > line + 100
        assert page.locator("article .full-width figcaption").evaluate_all(
            "(all, line) => all.every(e => e.getBoundingClientRect().right < line + 5)", line
        )
        page.locator("article .full-width").first.scroll_into_view_if_needed()
        expect(page.locator(".bd-sidebar-secondary")).to_have_class(re.compile(r"\bhide\b"))  # nothing lies over it
    context.close()


# what may scroll sideways or is wider than it shows, and what is a tab stop for no reason
UNREACHABLE = """() => [...document.querySelectorAll('article *')].filter(e => {
    const scrolls = ['auto', 'scroll'].includes(getComputedStyle(e).overflowX) && e.scrollWidth > e.clientWidth + 1;
    return scrolls && !e.matches('[tabindex="0"][role][aria-label]');
}).map(e => e.outerHTML.slice(0, 120))"""
NEEDLESS = """() => [...document.querySelectorAll('article [tabindex="0"]')]
    .filter(e => !e.matches('.sideways, .math, .xr-wrap')).map(e => e.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize(
    ("script", "letters"),
    [
        pytest.param(True, "own letters", id="own letters"),
        pytest.param(True, "wide letters", id="wide letters"),
        pytest.param(False, "wide letters", id="wide letters, no script"),
    ],
)
@pytest.mark.parametrize("name", CHAPTERS)
def test_page_fits_a_phone(browser: Browser, site: str, name: str, letters: str, script: bool) -> None:
    context = browser.new_context(viewport=PHONE, java_script_enabled=script)
    page = Visit.open(context, f"{site}/book/{name}.html", letters).page
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    # nor may an article hide what sticks out of it: only tables and formulas scroll in their own frame
    outside = page.evaluate(
        """width => [...document.querySelectorAll('article :is(figure, img, p, h1, h2, pre)')]
        .filter(e => !e.closest('table, mjx-container') && e.getBoundingClientRect().right > width + 1)
        .map(e => e.outerHTML.slice(0, 120))""",
        PHONE["width"],
    )
    assert outside == []
    # a formula that scrolls shows its beginning first
    begins = "d => d.querySelector('mjx-math').getBoundingClientRect().left - d.getBoundingClientRect().left"
    lefts = page.evaluate(
        f"[...document.querySelectorAll('article div.math')].filter(d => d.querySelector('mjx-math')).map({begins})"
    )
    assert all(left >= -1 for left in lefts)
    assert page.evaluate(UNREACHABLE) == []
    assert page.evaluate(NEEDLESS) == []
    context.close()


def test_a_wide_table_is_read_by_keyboard(browser: Browser, site: str) -> None:
    context = browser.new_context(viewport=PHONE, java_script_enabled=False)
    page = Visit.open(context, f"{site}/book/glossary.html", "wide letters").page
    table = page.get_by_role("group", name="Table: Notation")
    table.focus()
    assert table.evaluate("e => e === document.activeElement && e.scrollLeft === 0")
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(500)
    assert table.evaluate("e => e.scrollLeft") > 0
    context.close()


def test_a_script_that_measures_at_load_sees_the_letters(browser: Browser, site: str) -> None:
    context = browser.new_context(viewport=PHONE)
    context.add_init_script(
        "addEventListener('DOMContentLoaded', () => { window.seen = getComputedStyle(document.querySelector('h1'))"
        ".letterSpacing })"
    )
    seen = {
        letters: Visit.open(context, f"{site}/book/intro.html", letters).page.evaluate("window.seen")
        for letters in LETTERS
    }
    assert seen["own letters"] == "normal"
    assert float(seen["wide letters"].removesuffix("px")) > 1
    context.close()


@pytest.mark.usefixtures("crowd")
@pytest.mark.parametrize("name", CHAPTERS)
@pytest.mark.parametrize(
    ("scheme", "viewport", "letters", "contrast", "crowd"),
    [
        pytest.param("light", WIDE, "own letters", True, False, id="light"),
        pytest.param("dark", WIDE, "own letters", True, False, id="dark"),
        pytest.param("light", PHONE, "wide letters", False, False, id="phone with wide letters"),
        pytest.param("light", WIDE, "wide letters", False, False, id="wide letters"),
        pytest.param("dark", PHONE, "wide letters", False, True, id="dark phone beside a busy process"),
    ],
    indirect=["crowd"],
)
def test_page_has_no_serious_barrier(
    browser: Browser, site: str, name: str, scheme: str, viewport: dict[str, int], letters: str, contrast: bool
) -> None:
    context = browser.new_context(viewport=viewport, color_scheme=scheme)  # type: ignore[arg-type]
    page = Visit.open(context, f"{site}/book/{name}.html", letters).page
    # colours are those of the scheme, whatever the letters; looking at them is most of the work on a long page
    options = {"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": contrast}}}
    found = Axe().run(page, options=options).response["violations"]
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
