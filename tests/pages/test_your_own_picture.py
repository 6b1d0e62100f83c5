"""The chapter that computes in the reader's browser: against the package, from a server and as a file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser

import vitgeom_nb as vg
from tests.browser import WIDE, Visit, file_address
from tests.chapters import PAGES, ROOT
from vitgeom_nb.in_page.packing import available
from vitgeom_nb.in_page.precision import ENOUGH, rounding_error
from vitgeom_nb.networks.embedded import FAMILIES

from .own_picture import NAME, Running, off


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
    precision = running.ask("precision", network)
    whole, model, draw = vg.load(network), running.model(network), torch.Generator().manual_seed(2)
    assert precision == (
        "half" if rounding_error(whole, vg.samples("photographs", size=64).pixels) <= ENOUGH else "single"
    )
    found: dict[str, list[float]] = {what: [] for what in ("embedding", "logits", "pull", "push", "both ways")}
    apart = 0.0
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
        apart = max(apart, off(forward["embedding"], whole.embed(x)), off(push, vg.jvp(whole, x, d)))
        found["embedding"].append(off(forward["embedding"], e))
        found["logits"].append(off(forward["logits"], z))
        found["pull"].append(off(pull["gradient"], gradient))
        found["push"].append(off(push, vg.jvp(model, x, d)))
        found["both ways"].append(abs(float(push @ u[0] - alone @ d.flatten())) / float(alone.norm() * d.norm()))
    middle = {what: sorted(values)[1] for what, values in found.items()}
    errors = ", ".join(f"{value:.0e} ({what})" for what, value in middle.items())
    report(f"{NAME}: {network}, weights in {precision} precision, off by {errors}; by {apart:.0e} from float32 weights")
    assert max(middle.values()) < 1e-5
    # where a unit of a network with kinks sits on one, rounding decides
    assert max(map(max, found.values())) < (1e-5 if model.family == "transformer" else 1e-2)
    assert apart < (ENOUGH if precision == "half" else 1e-2)


def test_distance_along_fgsm_is_that_of_the_package(running: Running, photograph: torch.Tensor) -> None:
    model = running.model("vit")
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
    model = running.model("vit")
    found, share = running.ask("see", x=photograph), model.probabilities(photograph)[0]
    top = share.topk(5)
    assert [one["label"] for one in found["top"]] == top.indices.tolist()
    assert [one["share"] for one in found["top"]] == pytest.approx(top.values.tolist(), rel=1e-4)
    assert found["norm"] == pytest.approx(float(model.embed(photograph).norm()), rel=1e-5)


def test_ten_singular_values_are_those_of_the_package(running: Running, photograph: torch.Tensor) -> None:
    wanted = vg.leading_singular_values(running.model("vit"), photograph, k=10).singular_value.values[0]
    found = running.ask("singular", x=photograph, k=10)
    assert found["values"] == pytest.approx(wanted.tolist(), rel=1e-5)


@pytest.mark.parametrize("network", [name for name in available() if FAMILIES[name] == "transformer"])
def test_twenty_steps_of_matching_are_those_of_the_package(
    running: Running, network: str, report: Callable[[str], None]
) -> None:
    if running.kind == "file" and network != "vit":
        pytest.skip("one network is enough to see that files load")
    pictures = vg.samples("photographs", size=64).pixels
    wanted = vg.match(running.model(network), pictures[:1], pictures[1:2], max_evaluations=20)
    found = running.ask("match", network, x=pictures[:1], target=pictures[1:2], steps=20)
    cosines = torch.tensor([one["cosine"] for one in found["history"]])
    apart = (cosines - torch.from_numpy(wanted.cosine_history.values[0])).abs().max()
    pixels = (found["pixels"] - torch.from_numpy(wanted.matched.values).flatten()).abs().max()
    report(f"{NAME}: {network} matched in 20 steps: cosines off by {apart:.0e}, pixels by {pixels:.0e}")
    assert len(cosines) == 20
    assert float(apart) < 1e-4
    assert float(pixels) < 1e-3


def test_a_blind_direction_is_blind_and_the_bend_is_that_of_the_package(running: Running) -> None:
    pictures = vg.samples("photographs", size=64).pixels
    model, x, y = running.model("vit"), pictures[:1], pictures[1:2]
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


def test_the_runtime_is_the_published_one_and_is_there_once() -> None:
    folder = ROOT / "book" / "_assets" / "onnxruntime-web"
    text = (folder / "runtime.js").read_text()
    _, parts = json.loads("[" + text.removeprefix("vitgeomPart(").removesuffix(");\n") + "]")
    readme = (folder / "README.txt").read_text()
    for part, file in {"module": "ort.wasm.bundle.min.mjs", "wasm": "ort-wasm-simd-threaded.wasm"}.items():
        digest = hashlib.sha256(gzip.decompress(base64.b64decode(parts[part]))).hexdigest()
        assert f"{digest}  {file}" in readme
    assert len(list(PAGES.parent.rglob("runtime.js"))) == 1
