"""The chapter on a reader's own picture, open in a browser with a network in it."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import torch

import vitgeom_nb as vg
from tests.browser import Visit
from vitgeom_nb.in_page.precision import rounded

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
    const { precision } = await api.need(network);
    if (task === 'precision') return precision;
    const out = task === 'picture' ? api.state.x : await api.ask(task, given, null, network);
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
        return unpacked(self.page.evaluate(ASK, [task, sent(given), network]))

    def model(self, name: str) -> vg.VisionModel:
        """A network as the page has it, in Python."""
        return rounded(vg.load(name)) if self.ask("precision", name) == "half" else vg.load(name)

    def picture(self) -> torch.Tensor:
        """The reader's picture as the page has it, flat."""
        return self.ask("picture")

    @property
    def status(self) -> str:
        return self.page.locator('[data-show="status"]').inner_text()

    def without_workers(self) -> None:
        """Wait until every worker has ended; a browser takes its time over it."""
        while self.page.workers:
            self.page.wait_for_timeout(20)

    def idle(self) -> None:
        self.page.wait_for_function("() => document.querySelector('[data-show=busy]').hidden")

    def press(self, name: str) -> None:
        """Open the panel of a button, and click it."""
        button = self.page.locator(f'[data-do="{name}"]')
        button.evaluate("e => { const d = e.closest('details'); if (d) d.open = true; }")
        button.click()


def sent(given: dict[str, Any]) -> dict[str, Any]:
    """Arguments as they cross to the page."""
    return {
        k: {"floats": base64.b64encode(v.detach().numpy().astype("<f4").tobytes()).decode()}
        if isinstance(v, torch.Tensor)
        else v
        for k, v in given.items()
    }


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
