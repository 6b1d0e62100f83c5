"""A headless Chromium over the built book: fixtures that more than one file of tests uses."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, sync_playwright

from .book import PAGES

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PHONE = {"width": 375, "height": 800}
WIDE = {"width": 1280, "height": 900}


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    """Takes as many connections at once as a browser opens."""

    request_queue_size = 128


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """Address of the built book on loopback."""
    handler = functools.partial(Quiet, directory=str(PAGES.parent))
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium of this machine; where continuous integration demands one, its absence is a failure."""
    if CHROMIUM is None:
        if os.environ.get("VITGEOM_MUST_HAVE_BROWSER"):
            pytest.fail("there is no Chromium, and this run demands one")
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        # the sandbox needs privileges that containers lack; only our own pages are opened
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@dataclass
class Visit:
    """One open page and what it did: requests, sizes of answers, complaints."""

    page: Page
    requests: list[str] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, context: BrowserContext, address: str) -> Visit:
        """Open an address and wait until it has loaded and asks for nothing more."""
        visit = cls(context.new_page())
        page = visit.page
        page.on("request", lambda request: visit.requests.append(request.url))
        page.on("response", lambda response: visit.responses.append(response))
        page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        page.on("console", lambda said: said.type == "error" and visit.complaints.append(said.text))
        page.goto(address, wait_until="networkidle")
        return visit

    @property
    def foreign(self) -> list[str]:
        """Requests that left this machine."""
        local = ("127.0.0.1", "localhost", "")
        return [url for url in self.requests if (urlsplit(url).hostname or "") not in local]

    @property
    def weight(self) -> int:
        """Bytes of all answers."""
        web = [r for r in self.responses if r.url.startswith("http") and r.ok]
        return sum(int(r.headers.get("content-length", 0)) for r in web)


def file_address(path: Path) -> str:
    """A path as a file address."""
    return path.resolve().as_uri()
