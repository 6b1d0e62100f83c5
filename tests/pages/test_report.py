"""The page of a report in a browser: from a file, in both themes, on a phone, in print, with sliders that move."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

import vitgeom_nb as vg
from tests.browser import PHONE, WIDE, Visit, file_address
from tests.reports.made import curved, photos


@pytest.fixture(autouse=True)
def _built() -> None:
    """A report needs no book."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vg.report(curved(), photos(), out=tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(browser: Browser, written: Path) -> Iterator[Page]:
    context = browser.new_context(viewport=WIDE)
    yield Visit.open(context, file_address(written)).page
    context.close()


def test_it_opens_from_a_file_and_asks_for_nothing(browser: Browser, written: Path) -> None:
    context = browser.new_context(viewport=WIDE)
    visit = Visit.open(context, file_address(written))
    assert visit.complaints == []
    assert [url for url in visit.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    explorers = visit.page.locator(".vg-explorer")
    assert explorers.count() == visit.page.locator(".vg-explorer[data-ready]").count() >= 5
    drawn = visit.page.locator("figure > .wide img").evaluate_all("all => all.map(i => i.complete && i.naturalWidth)")
    assert all(drawn)
    context.close()


@pytest.mark.parametrize(
    ("scheme", "viewport", "media"),
    [
        pytest.param("light", WIDE, "screen", id="light"),
        pytest.param("dark", WIDE, "screen", id="dark"),
        pytest.param("light", PHONE, "screen", id="phone"),
        pytest.param("dark", PHONE, "screen", id="dark phone"),
        pytest.param("light", WIDE, "print", id="print"),
    ],
)
def test_it_has_no_barrier(browser: Browser, written: Path, scheme: str, viewport: dict[str, int], media: str) -> None:
    context = browser.new_context(viewport=viewport, color_scheme=scheme)  # type: ignore[arg-type]
    page = Visit.open(context, file_address(written)).page
    page.emulate_media(media=media, color_scheme=scheme)  # type: ignore[arg-type]
    found = Axe().run(page).response["violations"]
    assert [f"{v['id']}: {node['html'][:160]}" for v in found for node in v["nodes"][:3]] == []
    context.close()


@pytest.mark.parametrize("viewport", [PHONE, WIDE], ids=["phone", "wide"])
def test_only_tables_move_sideways(browser: Browser, written: Path, viewport: dict[str, int]) -> None:
    context = browser.new_context(viewport=viewport)  # type: ignore[arg-type]
    page = Visit.open(context, file_address(written)).page
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    moving = page.evaluate(
        "[...document.querySelectorAll('*')].filter(e => e.scrollWidth > e.clientWidth + 1 && "
        "getComputedStyle(e).overflowX == 'auto').map(e => [e.className, e.firstElementChild.tagName])"
    )
    assert {tuple(one) for one in moving} <= {("wide", "TABLE")}
    context.close()


def test_letters_of_figures_can_be_read_on_a_phone(browser: Browser, written: Path) -> None:
    context = browser.new_context(viewport=PHONE)
    page = Visit.open(context, file_address(written)).page
    sides = page.locator("figure > .wide img").evaluate_all(
        "all => all.map(i => [i.clientWidth, i.naturalWidth, i.closest('picture') ? +i.getAttribute('width') : 0])"
    )
    # letters of 10 points are 13 pixels at the size in which a figure is drawn
    assert min(13.3 * shown / own for shown, own, _ in sides) >= 7.5
    laid_out_anew = [(own, wide) for _, own, wide in sides if wide]
    assert len(laid_out_anew) >= 3
    assert all(own < 0.7 * wide for own, wide in laid_out_anew)
    context.close()


def test_every_slider_moves(page: Page) -> None:
    explorers = page.locator(".vg-explorer")
    for i in range(explorers.count()):
        one = explorers.nth(i)
        sliders = one.locator("input[type=range]")
        assert sliders.count() >= 1
        for k in range(sliders.count()):
            slider = sliders.nth(k)
            slider.focus()
            seen = []
            for key in ("Home", "End"):
                slider.press(key)
                seen.append((one.locator("output").nth(k).text_content(), one.inner_html()))
            assert seen[0][0] != seen[1][0]
            assert seen[0][1] != seen[1][1]


def test_links_of_the_contents_lead_to_their_sections(page: Page) -> None:
    links = page.locator("nav a")
    assert links.count() >= 12
    for i in range(links.count()):
        links.nth(i).click()
        assert page.evaluate("document.querySelector(location.hash)?.tagName") == "SECTION"


def test_print_shows_figures_and_no_controls(browser: Browser, written: Path) -> None:
    context = browser.new_context(viewport=WIDE)
    page = Visit.open(context, file_address(written)).page
    page.emulate_media(media="print")
    assert page.locator("figure > .wide img").first.is_visible()
    assert not page.locator("nav").is_visible()
    assert not page.locator(".vg-controls").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") in (
        "rgb(255, 255, 255)",
        "rgba(0, 0, 0, 0)",
    )
    context.close()
