"""The page answers while it loads and computes: no task of its own holds it for 100 ms.

A wall clock would measure the machine's other work as well. What is bounded is the processor's time of the page's own
thread, task by task, as the browser records it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from tests.browser import PHONE, Visit

from .own_picture import NAME, Running
from .test_own_picture_reader import as_bytes

MOST = 100.0  # ms


class Tasks:
    """Records the tasks of a page's own thread."""

    def __init__(self, running: Running) -> None:
        self.page = running.page
        assert self.page.context.browser is not None
        self.browser = self.page.context.browser

    def longest(self, act: Callable[[], None]) -> tuple[float, int]:
        """Processor time in ms of the longest task while this is done, and how many tasks there were."""
        self.browser.start_tracing(page=self.page, categories=["toplevel", "__metadata"])
        try:
            act()
        finally:
            events = json.loads(self.browser.stop_tracing())["traceEvents"]
        own = {
            (e["pid"], e["tid"]) for e in events
            if e["name"] == "thread_name" and e["args"]["name"] == "CrRendererMain"
        }  # fmt: skip
        times = [
            e["tdur"] / 1e3 for e in events
            if (e["pid"], e["tid"]) in own and e["name"].endswith("RunTask") and "tdur" in e
        ]  # fmt: skip
        return max(times), len(times)


@pytest.fixture
def opened(browser: Browser, site: str) -> Iterator[Running]:
    context = browser.new_context(viewport=PHONE)
    yield Running(Visit.open(context, f"{site}/book/{NAME}.html"), "server")
    context.close()


def test_no_task_of_the_page_takes_100_ms(opened: Running, tmp_path: Path, report: Callable[[str], None]) -> None:
    page, tasks = opened.page, Tasks(opened)
    found = {"loading": tasks.longest(lambda: opened.start() and None)}

    def computed(name: str) -> None:
        opened.press(name)
        opened.idle()

    for name in ("nearest", "fgsm", "singular", "bend", "compare"):
        found[name] = tasks.longest(lambda name=name: computed(name))  # type: ignore[misc]

    def matched() -> None:
        opened.press("match")
        page.get_by_text(re.compile(r"Matching: (?!\d evaluations)\d+ evaluations")).wait_for()
        page.locator('[data-do="stop"]').click()
        opened.idle()

    found["match"] = tasks.longest(matched)
    (tmp_path / "large.jpg").write_bytes(as_bytes(np.zeros((5774, 8660, 3), np.uint8), "JPEG"))

    def read() -> None:
        page.locator("#vg-file").set_input_files(tmp_path / "large.jpg")
        page.get_by_text("large.jpg: the centre of").wait_for()

    found["50 megapixels"] = tasks.longest(read)
    said = ", ".join(f"{time:.0f} ms ({what})" for what, (time, _) in found.items())
    report(f"{NAME}: longest task of the page's thread: {said}")
    # the ruler sees what blocks
    blocked = tasks.longest(
        lambda: page.evaluate("() => { let s = 0; for (let i = 0; i < 6e8; i++) s += Math.sqrt(i); return s; }")
    )
    assert blocked[0] > MOST
    assert max(time for time, _ in found.values()) < MOST
    assert all(count > 10 for _, count in found.values())
