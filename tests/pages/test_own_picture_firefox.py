"""The chapter on a reader's own picture in Firefox: the same numbers there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

import vitgeom_nb as vg
from tests.browser import file_address
from tests.chapters import PAGES
from tests.firefox import FIREFOX, Firefox, firefox
from vitgeom_nb.in_page.precision import rounded

from .own_picture import ASK, NAME, off, sent, unpacked

LOAD = """async () => {
    const root = document.querySelector('.vg-own'), said = document.querySelector('[data-show="status"]');
    const press = document.querySelector('[data-do="load"]');
    press.click();
    while (!root.dataset.running) {
        await new Promise((done) => setTimeout(done, 50));
        if (!press.disabled) throw new Error(said.textContent);
    }
    return Number(root.dataset.running);
}"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    if FIREFOX is None:
        pytest.skip("there is no Firefox on this machine (Debian: apt-get install firefox-esr)")
    with firefox(tmp_path_factory.mktemp("firefox")) as found:
        yield found


@pytest.mark.parametrize("kind", ["server", "file"])
def test_forward_pull_and_push_are_those_of_torch_in_firefox_too(
    opened: Firefox, site: str, kind: str, report: Callable[[str], None]
) -> None:
    opened.open(f"{site}/book/{NAME}.html" if kind == "server" else file_address(PAGES / f"{NAME}.html"))
    ready = opened.evaluate(LOAD)

    def ask(task: str, **given: torch.Tensor | str | int | bool) -> dict[str, torch.Tensor]:
        found = unpacked(opened.evaluate(ASK, [task, sent(given), "vit"]))
        assert isinstance(found, dict)
        return found

    model, draw = rounded(vg.load("vit")), torch.Generator().manual_seed(3)
    x = vg.samples("photographs", size=64).pixels[:1]
    d, u, v = (torch.randn(1, *size, generator=draw) for size in ((3, 64, 64), (model.dim,), (200,)))
    leaf = x.clone().requires_grad_()
    e, z = model.embed(leaf), model.logits(leaf)
    (gradient,) = torch.autograd.grad((e * u).sum() + (z * v).sum(), leaf)
    forward, pull = ask("evaluate", graph="forward", x=x), ask("evaluate", graph="pull", x=x, u=u, v=v)
    push = ask("evaluate", graph="push", x=x, d=d)
    errors = {
        "embedding": off(forward["embedding"], e),
        "logits": off(forward["logits"], z),
        "pull": off(pull["gradient"], gradient),
        "push": off(push["change"], vg.jvp(model, x, d)),
    }
    said = ", ".join(f"{error:.0e} ({what})" for what, error in errors.items())
    report(f"{NAME}: in Firefox {opened.version} from a {kind} ready after {ready} ms, vit off by {said}")
    assert max(errors.values()) < 1e-5
    way = vg.travel_distance(model, x, model.labels(x), resamples=10)
    assert ask("fgsm", x=x, jump=False, seed=0)["epsilon"] == pytest.approx(float(way.epsilon[0]), abs=1e-7)
