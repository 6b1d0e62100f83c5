"""The chapter that computes in the reader's browser: against the package, from a server and as a file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser

import vitgeom_nb as vg
from tests.browser import PHONE, WIDE, Visit, file_address
from tests.chapters import PAGES, ROOT
from vitgeom_nb.in_page.packing import available

NAME = "your-own-picture"
# numbers cross as base64 of float32: a picture is 12,288 of them
ASK = """async ([task, given, network]) => {
    const root = document.querySelector('.vg-own'), api = root.vitgeom;
    const bytes = (t) => Uint8Array.from(atob(t), (c) => c.charCodeAt(0));
    const floats = (t) => new Float32Array(bytes(t).buffer);
    const text = (a) => {
        const b = new Uint8Array(Float32Array.from(a).buffer);
        let s = '';
        for (let i = 0; i < b.length; i += 8192) s += String.fromCharCode(...b.subarray(i, i + 8192));
        return btoa(s);
    };
    for (const [k, v] of Object.entries(given)) if (v && v.floats) given[k] = floats(v.floats);
    await api.need(network);
    const out = await api.ask(task, given, null, network);
    return JSON.parse(JSON.stringify(out, (k, v) => ArrayBuffer.isView(v) ? { floats: text(v) } : v));
}"""


class Running:
    """A page with a network running in it."""

    def __init__(self, visit: Visit, kind: str) -> None:
        self.visit, self.page, self.kind = visit, visit.page, kind
        self.before, self.ready = list(visit.requests), 0

    def start(self) -> int:
        """Load the network; milliseconds from the click until it computes."""
        self.page.locator('[data-do="load"]').click()
        self.page.locator(".vg-own[data-running]").wait_for(state="attached")
        return int(self.page.locator(".vg-own").get_attribute("data-running") or 0)

    def ask(self, task: str, network: str = "vit", **given: Any) -> Any:
        sent = {
            k: {"floats": base64.b64encode(v.detach().numpy().astype("<f4").tobytes()).decode()}
            if isinstance(v, torch.Tensor)
            else v
            for k, v in given.items()
        }
        return unpacked(self.page.evaluate(ASK, [task, sent, network]))

    @property
    def status(self) -> str:
        return self.page.locator('[data-show="status"]').inner_text()

    def idle(self) -> None:
        self.page.wait_for_function("() => document.querySelector('[data-show=busy]').hidden")

    def press(self, name: str) -> None:
        """Open the panel of a button, and click it."""
        button = self.page.locator(f'[data-do="{name}"]')
        button.evaluate("e => { const d = e.closest('details'); if (d) d.open = true; }")
        button.click()


def unpacked(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"floats"}:
            return torch.from_numpy(np.frombuffer(base64.b64decode(value["floats"]), "<f4").copy())
        return {k: unpacked(v) for k, v in value.items()}
    return [unpacked(v) for v in value] if isinstance(value, list) else value


def off(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Relative error."""
    wanted = wanted.detach().flatten()
    return float((found.flatten() - wanted).norm() / wanted.norm())


@pytest.fixture(scope="module", params=["server", "file"])
def running(request: pytest.FixtureRequest, browser: Browser, site: str) -> Iterator[Running]:
    """The page with vit in it, from a server and as a file."""
    address = f"{site}/book/{NAME}.html" if request.param == "server" else file_address(PAGES / f"{NAME}.html")
    context = browser.new_context(viewport=WIDE)
    opened = Running(Visit.open(context, address), request.param)
    opened.ready = opened.start()
    yield opened
    context.close()


@pytest.fixture(scope="module")
def photograph() -> torch.Tensor:
    return vg.samples("photographs", size=64).pixels[:1]


def test_nothing_of_it_is_loaded_before_the_click_and_nothing_leaves_after(
    running: Running, report: Callable[[str], None]
) -> None:
    parts = [url for url in running.visit.requests if "in_page" in url or "onnxruntime" in url]
    assert [url for url in running.before if "in_page" in url or "onnxruntime" in url] == []
    assert {Path(url).stem for url in parts} >= {"page", "worker", "samples", "runtime", "vit"}
    assert [
        url for url in running.visit.requests if not url.startswith(("http://127.0.0.1", "file:", "data:", "blob:"))
    ] == []
    assert running.visit.complaints == []
    size = sum((PAGES.parent / "_static" / url.split("_static/")[1]).stat().st_size for url in parts)
    report(f"{NAME}: from a {running.kind} {size / 1e6:.1f} MB after the click, ready {running.ready} ms after it")


@pytest.mark.parametrize("network", available())
def test_embedding_logits_and_both_products_are_those_of_torch(
    running: Running, network: str, report: Callable[[str], None]
) -> None:
    if running.kind == "file" and network != "vit":
        pytest.skip("one network is enough to see that files load")
    model, draw = vg.load(network), torch.Generator().manual_seed(2)
    found: dict[str, list[float]] = {what: [] for what in ("embedding", "logits", "pull", "push", "both ways")}
    for x in vg.samples("photographs", size=64).pixels[:3, None]:
        d, u = torch.randn(x.shape, generator=draw), torch.randn(1, model.dim, generator=draw)
        v = torch.randn(1, 200, generator=draw)
        leaf = x.clone().requires_grad_()
        e, z = model.embed(leaf), model.logits(leaf)
        (gradient,) = torch.autograd.grad((e * u).sum() + (z * v).sum(), leaf)
        forward = running.ask("evaluate", network, graph="forward", x=x)
        pull = running.ask("evaluate", network, graph="pull", x=x, u=u, v=v)
        alone = running.ask("evaluate", network, graph="pull", x=x, u=u, v=torch.zeros_like(v))["gradient"]
        push = running.ask("evaluate", network, graph="push", x=x, d=d)["change"]
        found["embedding"].append(off(forward["embedding"], e))
        found["logits"].append(off(forward["logits"], z))
        found["pull"].append(off(pull["gradient"], gradient))
        found["push"].append(off(push, vg.jvp(model, x, d)))
        found["both ways"].append(abs(float(push @ u[0] - alone @ d.flatten())) / float(alone.norm() * d.norm()))
    middle = {what: sorted(values)[1] for what, values in found.items()}
    report(f"{NAME}: {network} off by " + ", ".join(f"{value:.0e} ({what})" for what, value in middle.items()))
    assert max(middle.values()) < 1e-5
    # where a unit of a network with kinks sits on one, rounding decides
    assert max(map(max, found.values())) < (1e-5 if model.family == "transformer" else 1e-2)


def test_distance_along_fgsm_is_that_of_the_package(running: Running, photograph: torch.Tensor) -> None:
    model = vg.load("vit")
    way = vg.travel_distance(model, photograph, model.labels(photograph), resamples=10)
    found = running.ask("fgsm", x=photograph, jump=False, seed=0)
    assert found["label"] == int(way.label[0])
    assert found["epsilon"] == pytest.approx(float(way.epsilon[0]), abs=1e-7)
    assert (
        float(
            (found["direction"] != vg.fgsm_direction(model, photograph, model.labels(photograph)).flatten())
            .float()
            .mean()
        )
        < 1e-3
    )


def test_label_and_confidences_are_those_of_the_package(running: Running, photograph: torch.Tensor) -> None:
    model = vg.load("vit")
    found, share = running.ask("see", x=photograph), model.probabilities(photograph)[0]
    top = share.topk(5)
    assert [one["label"] for one in found["top"]] == top.indices.tolist()
    assert [one["share"] for one in found["top"]] == pytest.approx(top.values.tolist(), rel=1e-4)
    assert found["norm"] == pytest.approx(float(model.embed(photograph).norm()), rel=1e-5)


def test_ten_singular_values_are_those_of_the_package(running: Running, photograph: torch.Tensor) -> None:
    wanted = vg.leading_singular_values(vg.load("vit"), photograph, k=10).singular_value.values[0]
    found = running.ask("singular", x=photograph, k=10)
    assert found["values"] == pytest.approx(wanted.tolist(), rel=1e-5)


def test_twenty_steps_of_matching_are_those_of_the_package(running: Running) -> None:
    pictures = vg.samples("photographs", size=64).pixels
    wanted = vg.match(vg.load("vit"), pictures[:1], pictures[1:2], max_evaluations=20)
    found = running.ask("match", x=pictures[:1], target=pictures[1:2], steps=20)
    assert [one["cosine"] for one in found["history"]] == pytest.approx(
        wanted.cosine_history.values[0].tolist(), abs=1e-3
    )
    assert float((found["pixels"] - torch.from_numpy(wanted.matched.values).flatten()).abs().max()) < 1e-2


def test_a_blind_direction_is_blind_and_the_bend_is_that_of_the_package(running: Running) -> None:
    pictures = vg.samples("photographs", size=64).pixels
    model, x, y = vg.load("vit"), pictures[:1], pictures[1:2]
    found = running.ask("blind", x=x, seed=1, steps=20)
    d = found["vector"].view_as(x)
    assert float(d.norm()) == pytest.approx(1, abs=1e-4)
    assert found["slope"] == pytest.approx(float(vg.jvp(model, x, d).norm()), rel=1e-2)
    assert found["slope"] < 0.6 * found["random"]
    bent = running.ask("bend", x=x, y=y, points=9)
    z = model.embed(torch.cat([x + k / 8 * (y - x) for k in range(9)])).double()
    steps = z.diff(dim=0)
    angles = torch.nn.functional.cosine_similarity(steps[1:], steps[:-1]).acos()
    assert bent["angles"] == pytest.approx(angles.tolist(), abs=1e-3)
    spread = torch.linalg.svdvals(z - z.mean(0))
    assert bent["share"] == pytest.approx(float(spread[:2].square().sum() / spread.square().sum()), abs=1e-4)


@pytest.fixture
def opened(browser: Browser, site: str) -> Iterator[Running]:
    context = browser.new_context(viewport=PHONE, color_scheme="dark", reduced_motion="reduce")
    yield Running(Visit.open(context, f"{site}/book/{NAME}.html"), "server")
    context.close()


def picture_of(width: int, height: int) -> bytes:
    ramp = np.add.outer(np.linspace(0, 120, height), np.linspace(0, 120, width)).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(ramp).convert("RGB").save(out, "JPEG", quality=60)
    return out.getvalue()


def test_a_reader_goes_through_every_panel(opened: Running, tmp_path: Path) -> None:
    page = opened.page
    # two clicks in a hurry load once
    page.locator('[data-do="load"]').evaluate("e => { e.click(); e.click(); }")
    page.locator(".vg-own[data-running]").wait_for(state="attached")
    loads = [Path(url).name for url in opened.visit.requests if "in_page" in url or "onnxruntime" in url]
    assert len(loads) == len(set(loads))
    # what no browser reads, and what is large
    (tmp_path / "text.png").write_text("no picture")
    page.locator("#vg-file").set_input_files(tmp_path / "text.png")
    page.get_by_text("no picture that the browser can read").wait_for()
    (tmp_path / "large.jpg").write_bytes(picture_of(8660, 5774))
    page.locator("#vg-file").set_input_files(tmp_path / "large.jpg")
    page.get_by_text("large.jpg: the centre of 8660 x 5774 pixels").wait_for()
    with page.expect_download() as saved:
        page.locator('[data-do="save-x"]').click()
    pixels = torch.from_numpy(np.asarray(Image.open(saved.value.path()).convert("RGB")).copy()).permute(2, 0, 1) / 255
    shown = unpacked(
        page.evaluate(ASK.replace("await api.ask(task, given, null, network)", "[api.state.x]"), ["", {}, "vit"])
    )
    assert torch.equal(pixels.flatten(), shown[0])
    assert pixels.std() > 0.05
    # every panel by keyboard
    page.locator("#vg-sample").select_option(index=1)
    for name, words in {
        "nearest": "Nearest samples by the cosine", "fgsm": "distance to the boundary", "bend": "direction change here",
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
    slider = page.locator("#vg-epsilon")
    before = page.locator('output[for="vg-epsilon"]').inner_text()
    slider.focus()
    page.keyboard.press("End")
    page.wait_for_function(
        "before => document.querySelector('output[for=vg-epsilon]').textContent !== before", arg=before
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    grave = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in grave] == []
    # the link restores the setting, and closing ends the worker
    page.locator('[data-do="link"]').click()
    link = page.locator("#vg-link").input_value()
    assert "#setting:" in link
    assert "x=0" in link
    assert "large" not in link
    assert len(page.workers) == 1
    page.locator('[data-do="close"]').click()
    page.wait_for_timeout(500)
    assert page.workers == []
    assert opened.visit.complaints == []
    again = Visit.open(page.context, link)
    assert "restores a setting" in again.page.locator('[data-show="status"]').inner_text()


def test_without_javascript_there_is_a_sentence_and_a_recorded_frame(browser: Browser) -> None:
    context = browser.new_context(viewport=PHONE, java_script_enabled=False)
    page = Visit.open(context, file_address(PAGES / f"{NAME}.html")).page
    assert page.get_by_text("computes with JavaScript, which is off").is_visible()
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


def test_the_runtime_is_the_published_one_and_is_there_once() -> None:
    folder = ROOT / "book" / "_assets" / "onnxruntime-web"
    text = (folder / "runtime.js").read_text()
    _, parts = json.loads("[" + text.removeprefix("vitgeomPart(").removesuffix(");\n") + "]")
    readme = (folder / "README.txt").read_text()
    for part, file in {"module": "ort.wasm.bundle.min.mjs", "wasm": "ort-wasm-simd-threaded.wasm"}.items():
        digest = hashlib.sha256(gzip.decompress(base64.b64decode(parts[part]))).hexdigest()
        assert f"{digest}  {file}" in readme
    assert len(list(PAGES.parent.rglob("runtime.js"))) == 1
