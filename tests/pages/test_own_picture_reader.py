"""What a reader does with the chapter on their own picture, and what becomes of it."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from PIL import Image
from playwright.sync_api import Browser

from tests.browser import PHONE, WIDE, Visit, file_address
from tests.chapters import PAGES

from .own_picture import NAME, Running
from .test_sliders import EXPLORERS

# every object URL that the page made and has not given back
COUNTING = """(() => {
    const [make, drop] = [URL.createObjectURL.bind(URL), URL.revokeObjectURL.bind(URL)];
    window.addresses = new Set();
    URL.createObjectURL = (blob) => { const address = make(blob); window.addresses.add(address); return address; };
    URL.revokeObjectURL = (address) => { window.addresses.delete(address); drop(address); };
})()"""


@pytest.fixture
def opened(browser: Browser, site: str) -> Iterator[Running]:
    context = browser.new_context(viewport=PHONE, color_scheme="dark", reduced_motion="reduce")
    context.grant_permissions(["camera", "clipboard-read", "clipboard-write"], origin=site)
    context.add_init_script(COUNTING)
    yield Running(Visit.open(context, f"{site}/book/{NAME}.html"), "server")
    context.close()


def as_bytes(pixels: np.ndarray, form: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, quality=60)
    return out.getvalue()


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def shrunk(pixels: np.ndarray) -> torch.Tensor:
    """The mean over each of 64 x 64 fields of the centre square, in whole grey levels: (3,64,64)."""
    side = min(pixels.shape[:2])
    top, left = ((n - side) // 2 for n in pixels.shape[:2])
    edges, at = np.arange(65) * side / 64, np.arange(side)
    # (64, side): how much of each pixel lies in each field
    share = np.clip(np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at), 0, None) * 64 / side
    square = pixels[top : top + side, left : left + side]
    means = np.stack([share @ square[:, :, c] @ share.T for c in range(3)])
    return torch.from_numpy(np.floor(means + 0.5) / 255).float()


def assert_shown(running: Running, pixels: np.ndarray) -> None:
    """The reader's picture is this one, shrunk; where a mean lies between two levels, rounding may take either."""
    wanted = shrunk(pixels).flatten()
    found = running.picture()
    assert float((found - wanted).abs().max()) < 1.01 / 255
    assert float((found != wanted).float().mean()) < 1e-2


def test_a_file_a_paste_and_a_drop_are_shrunk_to_the_means_of_their_fields(opened: Running) -> None:
    page = opened.page
    opened.start()
    for seed, (height, width) in enumerate(((128, 128), (100, 181))):
        pixels = noise(height, width, seed)
        file = {"name": f"{width}.png", "mimeType": "image/png", "buffer": as_bytes(pixels)}
        page.locator("#vg-file").set_input_files(file)
        page.get_by_text(f"{width}.png: the centre of {width} x {height} pixels").wait_for()
        assert_shown(opened, pixels)
    pixels = noise(90, 70, 3)
    page.evaluate(
        """async (text) => {
        const blob = new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], { type: 'image/png' });
        await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]);
    }""",
        base64.b64encode(as_bytes(pixels)).decode(),
    )
    page.keyboard.press("Control+V")
    page.get_by_text("the pasted picture: the centre of 70 x 90 pixels").wait_for()
    assert_shown(opened, pixels)
    pixels = noise(64, 64, 4)
    dropped = page.evaluate_handle(
        """(text) => {
        const held = new DataTransfer(), bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        held.items.add(new File([bytes], 'dropped.png', { type: 'image/png' }));
        return held;
    }""",
        base64.b64encode(as_bytes(pixels)).decode(),
    )
    page.dispatch_event(".vg-own", "drop", {"dataTransfer": dropped})
    page.get_by_text("dropped.png: the centre of 64 x 64 pixels").wait_for()
    assert torch.equal(opened.picture(), shrunk(pixels).flatten())
    page.dispatch_event(".vg-own", "drop", {"dataTransfer": page.evaluate_handle("new DataTransfer()")})
    page.get_by_text("What was dropped is no file").wait_for()
    assert opened.visit.complaints == []


def test_the_camera_gives_a_picture_and_goes_dark(opened: Running) -> None:
    page = opened.page
    opened.start()
    before = opened.picture()
    page.locator('[data-do="camera"]').click()
    page.locator("video").wait_for()
    page.wait_for_function("() => document.querySelector('video').videoWidth > 0")
    page.evaluate("window.film = document.querySelector('video').srcObject")
    page.locator('[data-do="take"]').click()
    page.get_by_text("the picture of the camera: the centre of").wait_for()
    assert not torch.equal(opened.picture(), before)
    assert opened.picture().std() > 0.05
    assert page.evaluate("window.film.getTracks().map(t => t.readyState)") == ["ended"]
    assert page.locator("video").count() == 0
    page.context.clear_permissions()
    page.locator('[data-do="camera"]').click()
    page.get_by_text("There is no camera here, or the browser may not use it.").wait_for()
    assert opened.visit.complaints == []


def test_what_no_browser_reads_is_said_and_fifty_megapixels_are_read(opened: Running, tmp_path: Path) -> None:
    page = opened.page
    opened.start()
    before = opened.picture()
    (tmp_path / "text.png").write_text("no picture")
    page.locator("#vg-file").set_input_files(tmp_path / "text.png")
    page.get_by_text("no picture that the browser can read").wait_for()
    assert torch.equal(opened.picture(), before)
    ramp = np.add.outer(np.linspace(0, 120, 5774), np.linspace(0, 120, 8660)).astype(np.uint8)
    (tmp_path / "large.jpg").write_bytes(as_bytes(np.stack([ramp] * 3, 2), "JPEG"))
    page.locator("#vg-file").set_input_files(tmp_path / "large.jpg")
    page.get_by_text("large.jpg: the centre of 8660 x 5774 pixels").wait_for()
    assert float((opened.picture() - shrunk(np.stack([ramp] * 3, 2)).flatten()).abs().max()) < 3 / 255
    with page.expect_download() as saved:
        page.locator('[data-do="save-x"]').click()
    pixels = torch.from_numpy(np.asarray(Image.open(saved.value.path()).convert("RGB")).copy()).permute(2, 0, 1) / 255
    assert torch.equal(pixels.flatten(), opened.picture())


def test_a_reader_goes_through_every_panel(opened: Running) -> None:
    page = opened.page
    # two clicks in a hurry load once
    page.locator('[data-do="load"]').evaluate("e => { e.click(); e.click(); }")
    page.locator(".vg-own[data-running]").wait_for(state="attached")
    loads = [Path(url).name for url in opened.visit.requests if "in_page" in url or "onnxruntime" in url]
    assert len(loads) == len(set(loads))
    # every panel by keyboard
    page.locator("#vg-sample").select_option(index=1)
    for name, words in {
        "nearest": "Nearest samples by the cosine", "fgsm": "distance to the boundary", "singular": "singular\u00a010",
        "bend": "direction change here", "compare": "precision of the weights",
    }.items():  # fmt: skip
        button = page.locator(f'[data-do="{name}"]')
        button.evaluate("e => { e.closest('details').open = true; e.focus(); }")
        page.keyboard.press("Enter")
        opened.idle()
        assert words in page.locator(".vg-app").inner_text(), opened.status
    # matching is stopped, and what it had can be saved
    opened.press("match")
    page.get_by_text(re.compile(r"Matching: \d+ evaluations")).wait_for()
    page.locator('[data-do="stop"]').click()
    opened.idle()
    assert opened.status == "Matching: stopped."
    assert page.locator('[data-do="save-match"]').is_visible()
    # another picture ends what works on this one, and leaves nothing of it
    opened.press("match")
    page.get_by_text(re.compile(r"Matching: \d+ evaluations")).wait_for()
    page.locator("#vg-sample").select_option(index=2)
    opened.idle()
    page.wait_for_function("() => document.querySelector('[data-show=see]').children.length > 0")
    assert not page.locator('[data-do="save-match"]').is_visible()
    assert not page.locator('[data-show="match-picture"]').is_visible()
    opened.press("fgsm")
    opened.idle()
    slider = page.locator("#vg-epsilon")
    before = page.locator('output[for="vg-epsilon"]').inner_text()
    slider.focus()
    page.keyboard.press("End")
    page.wait_for_function(
        "before => document.querySelector('output[for=vg-epsilon]').textContent !== before", arg=before
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert opened.visit.complaints == []  # before axe, which asks for style sheets where they are not
    grave = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in grave] == []


def test_a_link_restores_network_pictures_panels_and_sliders(opened: Running) -> None:
    page = opened.page
    page.locator("#vg-network").select_option("resnet")
    opened.start()
    page.locator("#vg-sample").select_option(index=1)
    opened.press("fgsm")
    opened.idle()
    page.locator("#vg-epsilon").focus()
    page.keyboard.press("Home")
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    page.locator('[data-do="link"]').click()
    link = page.locator("#vg-link").input_value()
    page.locator("#vg-file").set_input_files(
        {"name": "o.png", "mimeType": "image/png", "buffer": as_bytes(noise(9, 9))}
    )
    page.get_by_text("o.png: the centre of").wait_for()
    page.locator('[data-do="link"]').click()
    assert "x=" not in page.locator("#vg-link").input_value(), "a picture of one's own is in no link"
    again = Running(Visit.open(page.context, link), "server")
    assert "restores a setting" in again.status
    again.start()
    assert again.page.locator("#vg-network").input_value() == "resnet"
    assert again.page.locator('[data-part="fgsm"]').evaluate("e => e.open")
    assert again.page.evaluate("document.querySelector('.vg-own').vitgeom.state.at.x") == 0
    again.press("fgsm")
    again.idle()
    assert again.page.locator("#vg-epsilon").input_value() == "7"


def test_the_button_of_an_explorer_opens_its_panel_with_its_network(opened: Running, site: str) -> None:
    page = opened.page
    page.goto(f"{site}/book/singular-spectra.html", wait_until="networkidle")
    explorer = page.locator(".vg-explorer").first
    names = explorer.evaluate("e => JSON.parse(e.dataset.networks)")
    assert len(names) > 1
    explorer.locator('select[id$="-network"]').select_option(index=1)
    explorer.get_by_role("link", name="With your own picture").click()
    page.wait_for_url(f"**/{NAME}.html#setting:*")
    page.wait_for_load_state("networkidle")
    assert page.locator("#vg-network").input_value() == names[1]
    assert "restores a setting" in opened.status
    opened.start()
    assert page.locator("details.vg-part[open]").evaluate_all("all => all.map(d => d.dataset.part)") == ["blind"]
    assert f"{names[1]} computes in this page" in opened.status


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_explorer_has_its_button(name: str) -> None:
    page = BeautifulSoup((PAGES / f"{name}.html").read_text(), "html.parser")
    assert len(page.select(".vg-explorer")) == len(page.select(".vg-explorer > a.vg-beside")) == len(EXPLORERS[name])


def test_loading_is_stopped_and_begun_again(opened: Running, site: str) -> None:
    page, held = opened.page, []
    page.route("**/vit.js", lambda route: held.append(route))
    page.locator('[data-do="load"]').click()
    page.get_by_text("Loading vit: part 4 of 4").wait_for()
    assert page.locator("progress").get_attribute("max")
    page.locator('[data-do="stop"]').click()
    page.get_by_text("Loading: stopped.").wait_for()
    opened.without_workers()
    for route in held:
        route.continue_()
    page.unroute("**/vit.js")
    opened.start()
    assert page.get_by_text("Five most probable classes").is_visible()
    # a part that does not come is one sentence, and the network stays as it was
    page.route("**/resnet.js", lambda route: route.abort())
    page.locator("#vg-network").select_option("resnet")
    page.get_by_text("resnet.js could not be loaded; reload the page and try again.").wait_for()
    assert page.locator("#vg-network").input_value() == "vit"


def test_a_page_in_the_background_goes_on_when_it_comes_back(opened: Running) -> None:
    page = opened.page
    opened.start()
    opened.press("bend")
    opened.idle()
    before = page.locator('[data-show="bend"]').inner_text()
    protocol = page.context.new_cdp_session(page)
    opened.press("bend")
    protocol.send("Page.setWebLifecycleState", {"state": "frozen"})
    other = page.context.new_page()
    other.bring_to_front()
    other.wait_for_timeout(1500)
    protocol.send("Page.setWebLifecycleState", {"state": "active"})
    opened.idle()
    assert opened.status == "Along the line: done."
    assert page.locator('[data-show="bend"]').inner_text() == before
    assert opened.visit.complaints == []


def test_closing_gives_back_the_worker_its_memory_and_every_address(
    opened: Running, report: Callable[[str], None]
) -> None:
    page, protocol = opened.page, opened.page.context.new_cdp_session(opened.page)
    assert page.context.browser is not None
    processes = page.context.browser.new_browser_cdp_session()

    def memory() -> float:
        """Megabytes of every process that shows pages, workers included."""
        protocol.send("HeapProfiler.collectGarbage")
        found = processes.send("SystemInfo.getProcessInfo")["processInfo"]
        return sum(psutil.Process(one["id"]).memory_info().rss for one in found if one["type"] == "renderer") / 1e6

    before, loaded, after = memory(), [], []
    for _ in range(3):
        opened.start()
        opened.press("bend")
        opened.idle()
        assert len(page.workers) == 1
        # closed while it computes
        opened.press("match")
        page.get_by_text(re.compile(r"Matching: \d+ evaluations")).wait_for()
        loaded.append(memory())
        page.locator('[data-do="close"]').click()
        page.get_by_text("Closed; the memory is free again.").wait_for()
        page.wait_for_function("() => window.addresses.size === 0")
        opened.without_workers()
        assert page.locator(".vg-frame img").is_visible()
        for _ in range(100):  # the browser gives back what it has when it finds the time
            if memory() - before < (loaded[-1] - before) / 2:
                break
            page.wait_for_timeout(100)
        after.append(memory())
    report(
        f"{NAME}: pages take {before:.0f} MB before, {max(loaded):.0f} with vit, {after[0]:.0f} once it is closed, "
        f"{after[-1]:.0f} after the third time"
    )
    gained = min(loaded) - before
    assert gained > 50
    assert after[0] - before < gained / 2
    assert after[-1] - after[0] < gained / 4
    assert opened.visit.complaints == []


def test_without_javascript_there_is_a_sentence_and_a_recorded_frame(browser: Browser) -> None:
    context = browser.new_context(viewport=PHONE, java_script_enabled=False)
    page = Visit.open(context, file_address(PAGES / f"{NAME}.html")).page
    # the engine of get_by_text leaves such elements out
    said = page.locator(".vg-own noscript p")
    assert said.is_visible()
    assert "computes with JavaScript, which is off" in (said.text_content() or "")
    assert page.locator(".vg-frame img").is_visible()
    assert not page.locator(".vg-load").is_visible()
    context.close()


def test_without_webassembly_there_is_a_sentence(browser: Browser) -> None:
    context = browser.new_context(viewport=WIDE)
    context.add_init_script("delete globalThis.WebAssembly")
    page = Visit.open(context, file_address(PAGES / f"{NAME}.html")).page
    assert "lacks WebAssembly" in page.locator('[data-show="status"]').inner_text()
    assert page.locator('[data-do="load"]').is_disabled()
    context.close()
