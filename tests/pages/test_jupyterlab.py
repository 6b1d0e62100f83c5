"""Once for real: an explorer as the last value of a cell in JupyterLab, in a browser."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Page, TimeoutError

from tests.browser import WIDE, Visit
from tests.chapters import ROOT
from tests.explore.makers import trajectory

CODE = f"""import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.explore.makers import trajectory
trajectory()"""


@pytest.fixture
def lab(tmp_path: Path, browser: Browser) -> Iterator[str]:
    """Address of a JupyterLab of our own with one notebook in it."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CODE)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (tmp_path / "work").mkdir()
    nbformat.write(notebook, tmp_path / "work" / "sliders.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.root_dir": tmp_path / "work",
        "IdentityProvider.token": "",
        "LabApp.news_url": "None",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }
    environment = {k: v for k, v in os.environ.items() if k != "VITGEOM_WIDGETS"}
    environment |= {f"JUPYTER_{k}_DIR": str(tmp_path / k) for k in ("CONFIG", "DATA", "RUNTIME")}
    environment |= {"IPYTHONDIR": str(tmp_path / "ipython"), "OMP_NUM_THREADS": "1"}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
            + [f"--{name}={value}" for name, value in options.items()],
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(240):
                try:
                    urllib.request.urlopen(f"{address}/api", timeout=5).close()
                    break
                except (urllib.error.URLError, ConnectionError):
                    time.sleep(0.5)
                    assert server.poll() is None, (tmp_path / "log").read_text()
            yield f"{address}/lab/tree/sliders.ipynb"
        finally:
            server.terminate()
            server.wait(30)


def run_first_cell(page: Page) -> None:
    """Run the only cell, once the kernel is there; a key pressed before the notebook listens is lost, so ask again."""
    page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()
    cell = page.locator(".jp-Notebook .jp-CodeCell").first
    for _ in range(5):
        cell.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        try:
            cell.locator(".jp-InputPrompt", has_text=re.compile(r"\[(\*|\d+)\]")).wait_for(timeout=20_000)
            return
        except TimeoutError:
            continue
    raise AssertionError(f"the cell does not run: {page.locator('body').inner_text()[:2000]}")


def test_a_cell_becomes_a_widget_that_computes(lab: str, browser: Browser) -> None:
    context = browser.new_context(viewport=WIDE)
    visit = Visit.open(context, lab)
    page = visit.page
    dialog = page.locator("dialog.jp-Dialog")  # a server that is slow to answer is reported in one
    page.add_locator_handler(dialog, lambda: dialog.locator("button.jp-mod-accept").last.click())
    run_first_cell(page)
    field = page.locator(".jp-OutputArea .widget-text input[type=number]")
    field.wait_for()
    output = page.locator(".jp-OutputArea .vg-explorer")
    explorer = trajectory()
    assert output.locator("dd").all_text_contents() == list(explorer.frame(explorer.start).readout.values())
    assert page.locator(".jp-OutputArea .widget-slider").count() == 1
    field.fill("0.03")
    field.press("Enter")
    assert explorer.compute is not None
    computed = list(explorer.compute({"s": 0.03}, lambda: None).readout.values())
    page.wait_for_function(
        "t => [...document.querySelectorAll('.jp-OutputArea .vg-explorer dd')].map(d => d.textContent).join() == t",
        arg=",".join(computed),
    )
    field.fill("7")
    field.press("Enter")
    page.locator(".jp-OutputArea [role=status]", has_text="7 lies outside the range; +0.100 is shown").wait_for()
    page.get_by_role("button", name="Close").click()
    output.wait_for(state="detached")
    assert visit.foreign == []
    context.close()
