"""The explorers of the built book: every slider moved end to end, by mouse and by keyboard, against its data."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise, product
from typing import Any, Literal

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Locator, Page

import vitgeom_nb as vg
from tests.browser import PHONE, WIDE, Visit, file_address
from tests.chapters import PAGES, chapters
from vitgeom_nb.explore.explorer import Explorer

EXPLORERS = {
    "equivalent-images": ["From the source to its match", "Along a fibre"],
    "singular-spectra": ["A step along a singular direction"],
    "lldlc": ["Lipschitz constants at a radius"],
    "curvature": ["Along a straight line of images", "The bend at a step size"],
    "reliability": ["Reliability at any number of bins and any temperature"],
    "fgsm-paths": ["Along the FGSM path"],
    "bring-your-own-model": ["Along a straight line of images"],
    "intro": ["From the source to its match"],
}
EACH = [(page, title) for page, titles in EXPLORERS.items() for title in titles]


@cache
def recorded(name: str, title: str) -> dict[str, Any]:
    """The data that an explorer keeps in its page."""
    page = BeautifulSoup((PAGES / f"{name}.html").read_text(), "html.parser")
    figure = page.find("figure", attrs={"aria-label": title})
    return json.loads(figure.select_one('script[type="application/json"]').text)  # type: ignore[union-attr]


def find(page: Page, title: str) -> Locator:
    return page.locator(f'figure.vg-explorer[aria-label="{title}"]')


def shown(figure: Locator) -> tuple[list[str], list[str], list[str], list[str]]:
    """Numbers, sources and sentences of pictures, and overlays, as the reader has them."""
    return (
        figure.locator("dd").all_text_contents(),
        figure.locator("img").evaluate_all("all => all.map(i => i.getAttribute('src'))"),
        figure.locator("img").evaluate_all("all => all.map(i => i.alt)"),
        figure.locator(".vg-picture").evaluate_all("all => all.map(p => p.querySelector('svg')?.innerHTML ?? '')"),
    )


def setting(figure: Locator) -> list[int]:
    """Number of the value of every control."""
    return [int(v) for v in figure.locator("input, select").evaluate_all("all => all.map(e => e.value)")]


def place(data: dict[str, Any], at: list[int]) -> int:
    k = 0
    for control, i in zip(data["controls"], at, strict=True):
        k = k * len(control["texts"]) + i
    return k


def assert_frame(figure: Locator, data: dict[str, Any], at: list[int]) -> None:
    """What is shown is the recorded frame of this setting."""
    numbers, sources, alts, _ = shown(figure)
    if "frames" not in data:
        return
    panels, values = data["frames"][place(data, at)]
    assert numbers == values
    assert sources == [data["pool"][p[0]] for p in panels]
    assert alts == [p[2] for p in panels]


@pytest.fixture(scope="module", params=EACH, ids=": ".join)
def opened(request: pytest.FixtureRequest, browser: Browser, site: str) -> Iterator[tuple[Page, Locator, dict]]:
    name, title = request.param
    context = browser.new_context(viewport=WIDE)
    page = Visit.open(context, f"{site}/book/{name}.html").page
    yield page, find(page, title), recorded(name, title)
    context.close()


def test_the_book_has_these_explorers() -> None:
    titles = {
        name: [
            figure["aria-label"]
            for figure in BeautifulSoup((PAGES / f"{name}.html").read_text(), "html.parser").select(".vg-explorer")
        ]
        for name in chapters()
    }
    assert {name: found for name, found in titles.items() if found} == EXPLORERS


def test_every_slider_moves_by_keyboard(opened: tuple[Page, Locator, dict]) -> None:
    _, figure, data = opened
    controls = data["controls"]
    for i, control in enumerate(controls):
        field = figure.locator("input, select").nth(i)
        if field.get_attribute("type") != "range":
            continue
        field.focus()
        field.press("Home")
        at = setting(figure)
        seen = []
        for stop in range(len(control["texts"])):
            at[i] = stop
            assert_frame(figure, data, at)
            assert field.get_attribute("aria-valuetext") == control["texts"][stop]
            assert figure.locator("output").nth(i - sum(t == "select" for t in tags(figure)[:i])).text_content()
            seen.append(shown(figure))
            field.press("ArrowRight")
        field.press("End")
        assert shown(figure) == seen[-1]
        first, last = seen[0], seen[-1]
        assert first[1] != last[1] or first[3] != last[3]  # a picture, or what lies over it
        assert first[2] != last[2]
        assert first[0] != last[0] or control["name"] == "bins"  # calibration errors need not depend on the bins


def tags(figure: Locator) -> list[str]:
    return figure.locator("input, select").evaluate_all("all => all.map(e => e.tagName.toLowerCase())")


def test_every_slider_moves_by_mouse(opened: tuple[Page, Locator, dict]) -> None:
    page, figure, data = opened
    for i, control in enumerate(data["controls"]):
        field = figure.locator("input, select").nth(i)
        if field.get_attribute("type") != "range":
            continue
        field.scroll_into_view_if_needed()
        box = field.bounding_box()
        assert box is not None
        y, left, right = box["y"] + box["height"] / 2, box["x"] + 2, box["x"] + box["width"] - 2
        page.mouse.move(left, y)
        page.mouse.down()
        assert field.input_value() == "0"
        low = shown(figure)
        page.mouse.move((left + right) / 2, y, steps=5)
        middle = field.input_value()
        page.mouse.move(right, y, steps=5)
        page.mouse.up()
        assert 0 < int(middle) < len(control["texts"]) - 1
        assert field.input_value() == str(len(control["texts"]) - 1)
        assert shown(figure) != low
        assert_frame(figure, data, setting(figure))


def test_every_choice_changes_what_is_shown(opened: tuple[Page, Locator, dict]) -> None:
    _, figure, data = opened
    fields = figure.locator("input, select")
    for i, control in enumerate(data["controls"]):
        if fields.nth(i).get_attribute("type") == "range":
            continue
        seen = []
        for k in range(len(control["texts"])):
            fields.nth(i).select_option(str(k))
            assert_frame(figure, data, setting(figure))
            seen.append(shown(figure))
        assert all(a != b for a, b in pairwise(seen))


def test_pictures_are_shown_at_the_size_they_were_made(opened: tuple[Page, Locator, dict]) -> None:
    page, figure, _ = opened
    for natural, width, given in figure.locator("img").evaluate_all(
        "all => all.map(i => [i.naturalWidth, i.clientWidth, Number(i.getAttribute('width'))])"
    ):
        assert natural == width == given
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    for natural, width in figure.locator("img").evaluate_all("all => all.map(i => [i.naturalWidth, i.clientWidth])"):
        assert 200 < width <= natural
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "title"), EACH)
def test_play_runs_to_the_end_and_honours_reduced_motion(browser: Browser, name: str, title: str) -> None:
    for motion in ("no-preference", "reduce"):
        context = browser.new_context(viewport=WIDE, reduced_motion=motion)  # type: ignore[arg-type]
        page = Visit.open(context, file_address(PAGES / f"{name}.html")).page
        figure = find(page, title)
        button = figure.locator(".vg-play")
        moved = figure.locator("input[type=range]").first
        last = int(moved.get_attribute("max") or 0)
        if motion == "reduce":
            assert button.text_content() == "Step"
            before = int(moved.input_value())
            button.click()
            page.wait_for_timeout(400)
            assert int(moved.input_value()) == before + 1
        else:
            button.click()
            assert button.text_content() == "Pause"
            page.wait_for_function("([i, n]) => i.value == n", arg=[moved.element_handle(), str(last)], timeout=20_000)
            page.wait_for_function("b => b.textContent == 'Play'", arg=button.element_handle())
            page.wait_for_timeout(400)
            assert moved.input_value() == str(last)
        context.close()


@pytest.mark.parametrize(("name", "title"), EACH)
def test_the_first_frame_needs_no_script_and_is_printed(browser: Browser, name: str, title: str) -> None:
    context = browser.new_context(viewport=WIDE, java_script_enabled=False)
    page = context.new_page()
    page.goto(file_address(PAGES / f"{name}.html"))
    figure = find(page, title)
    assert figure.locator("img").first.is_visible()
    assert figure.locator("figcaption").is_visible()
    assert not figure.locator(".vg-controls").is_visible()
    assert figure.locator("noscript").is_visible()
    context.close()
    context = browser.new_context(viewport=WIDE)
    page = Visit.open(context, file_address(PAGES / f"{name}.html")).page
    page.emulate_media(media="print")
    figure = find(page, title)
    assert figure.locator("img").first.is_visible()
    assert figure.locator("dd").first.is_visible()
    assert not figure.locator(".vg-controls").is_visible()
    context.close()


@pytest.mark.parametrize("name", EXPLORERS)
def test_ready_times_on_a_slow_line(browser: Browser, slow_site: str, name: str, report: Callable[[str], None]) -> None:
    page = browser.new_context(viewport=WIDE).new_page()
    page.goto(f"{slow_site}/book/{name}.html", wait_until="load")
    ready = page.locator(".vg-explorer").evaluate_all("all => all.map(e => Number(e.dataset.ready))")
    loaded = page.evaluate("performance.timing.loadEventStart - performance.timing.navigationStart")
    size = (PAGES / f"{name}.html").stat().st_size
    times = ", ".join(f"{t} ms" for t in ready)
    report(f"{name}: {size / 1e6:.2f} MB of HTML, loaded after {loaded} ms, explorers ready after {times}")
    assert len(ready) == len(EXPLORERS[name])
    assert all(ready)
    page.context.close()


def embedded() -> tuple[list[str], list[vg.VisionModel]]:
    names = list(vg.models("embedded").index)
    return names, [vg.load(name) for name in names]


def remade(title: str) -> tuple[Explorer, list[str]]:
    """An explorer of the book measured again, for the networks named."""
    names, models = embedded()
    images = vg.samples("imagenet")
    vit = models[0]
    if title == "Along a straight line of images":
        lines = [vg.trajectory(m, images[0], shape="line", epsilon=0.1, points=21) for m in models]
        return vg.explore.trajectory(lines), ["ViT", "Swin", "ResNet", "MobileNetV2"]
    if title.startswith("Reliability"):
        return vg.explore.reliability({n: vg.recorded_predictions(n) for n in names}), ["ViT", "ResNet"]
    if title == "A step along a singular direction":
        radii = [10 ** (k / 3) for k in range(-6, 5)]
        return vg.explore.singular_steps(vg.singular_steps(vit, images[:1], ranks=(1, 10, 100), radii=radii)), ["ViT"]
    if title == "Along a fibre":
        a, b = (vg.samples("photographs")[k] for k in (0, 1))
        return vg.explore.fibre_walk(vg.fibre_walk(vit, a, b, steps=8)), ["ViT"]
    if title == "From the source to its match":
        path = vg.homotopy(vit, images[:1], images[10:11], steps=6, residual=0.1, max_evaluations=60)
        return vg.explore.homotopy(path), ["ViT"]
    if title == "Lipschitz constants at a radius":
        return vg.explore.lldlc(vg.lldlc(vit, images[:2])), ["ViT"]
    if title == "The bend at a step size":
        return vg.explore.step_law(vg.step_law(vit, images[:6], directions=3, seed=0)), ["ViT"]
    if title == "Along the FGSM path":
        first = (
            vg.labelled(*vg.tier_data(), n=120, seed=0)[:20] if vg.has_labelled("tiny-imagenet", "valid") else images
        )
        said = vit.logits(first.pixels).softmax(1).max(1)
        surest = int(said.values.argmax())
        path = vg.fgsm_path(vit, first[surest], said.indices[surest : surest + 1], lengths=[k / 500 for k in range(13)])
        return vg.explore.fgsm_path(path), ["ViT"]
    raise AssertionError(title)


NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?")


@pytest.mark.parametrize("title", dict.fromkeys(title for _, title in EACH))
def test_numbers_of_the_page_equal_those_measured_again(browser: Browser, title: str) -> None:
    if vg.tier() != "embedded":
        pytest.skip("the book of another tier has other networks")
    name = next(page for page, found in EXPLORERS.items() if title in found)
    explorer, networks = remade(title)
    context = browser.new_context(viewport=WIDE)
    page = Visit.open(context, file_address(PAGES / f"{name}.html")).page
    figure, data = find(page, title), recorded(name, title)
    fields = figure.locator("input, select")
    stops = {c["name"]: c["texts"] for c in data["controls"]}
    others = [c for c in explorer.controls if c.name != "network"]
    for network, *ks in product(networks, *([0, len(c.values) // 2, len(c.values) - 1] for c in others)):
        wanted = {c.name: c.values[k] for c, k in zip(others, ks, strict=True)}
        if "network" in stops:
            fields.nth(0).select_option(label=network)
            wanted |= {"network": network} if len(explorer.controls) > len(others) else {}
        for c, k in zip(others, ks, strict=True):
            field = fields.nth(list(stops).index(c.name))
            if c.is_choice:
                field.select_option(str(k))
            else:
                field.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", str(k))
        found = dict(zip(*(figure.locator(tag).all_text_contents() for tag in ("dt", "dd")), strict=True))
        for what, a in explorer.frame(wanted).readout.items():
            b = found[what]
            for x, y in zip(NUMBER.findall(a), NUMBER.findall(b), strict=True):
                last = 10.0 ** -len(x.partition(".")[2].partition("e")[0]) * 10.0 ** int(x.partition("e")[2] or 0)
                assert abs(float(x) - float(y)) <= 1.01 * last, (wanted, what, a, b)
            assert NUMBER.sub("", a) == NUMBER.sub("", b)
    context.close()


def test_the_script_draws_the_reliability_diagram_that_python_draws(browser: Browser) -> None:
    title = EXPLORERS["reliability"][0]
    explorer, _ = remade(title)
    context = browser.new_context(viewport=WIDE)
    page = Visit.open(context, file_address(PAGES / "reliability.html")).page
    figure = find(page, title)
    for network, temperature, bins in product((0, 2), (0, 10, 17), (0, 6, 19)):
        for k, value in enumerate((network, temperature, bins)):
            field = figure.locator("input, select").nth(k)
            field.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", str(value))
        at = [c.values[k] for c, k in zip(explorer.controls, (network, temperature, bins), strict=True)]
        view = explorer.frame(dict(zip(("network", "temperature", "bins"), at, strict=True)))
        drawn = figure.locator("svg rect, svg circle").evaluate_all(
            "all => all.map(e => ['x', 'y', 'width', 'height', 'cx', 'cy'].map(n => Number(e.getAttribute(n) ?? 0)))"
        )
        shapes = BeautifulSoup(view.panels[0].overlay or "", "html.parser").select("rect, circle")
        expected = [[float(e.get(n, 0)) for n in ("x", "y", "width", "height", "cx", "cy")] for e in shapes]  # type: ignore[arg-type]
        assert len(drawn) == len(expected)
        for a, b in zip(drawn, expected, strict=True):
            assert a == pytest.approx(b, abs=0.11)
        assert figure.locator("dd").all_text_contents() == list(view.readout.values())
        assert figure.locator("img").get_attribute("alt") == view.panels[0].alt
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", EXPLORERS)
def test_captions_have_the_colour_of_the_numbers_on_the_same_ground(
    browser: Browser, site: str, name: str, scheme: Literal["light", "dark"]
) -> None:
    """In the colour of the ground itself they would not be seen, and axe does not tell."""
    context = browser.new_context(viewport=PHONE, color_scheme=scheme)
    page = Visit.open(context, f"{site}/book/{name}.html").page
    colour = "all => all.map(e => getComputedStyle(e).color)"
    for figure in page.locator(".vg-explorer").all():
        captions, numbers = (figure.locator(part).evaluate_all(colour) for part in ("figcaption", "dd"))
        assert set(captions) == set(numbers)
    context.close()
