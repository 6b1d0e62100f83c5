"""A headless Chromium over the built book: fixtures that more than one file of tests uses."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, Route, sync_playwright

from .chapters import PAGES, extension

CHROMIUM = extension("printed").CHROMIUM
PHONE = {"width": 375, "height": 800}
WIDE = {"width": 1280, "height": 900}
# letters wider than those of any reader; they come with the page, so that a script that measures at load sees them
LETTERS = {
    "own letters": "",
    "wide letters": "body :not(mjx-container, mjx-container *) "
    "{ font-family: monospace !important; letter-spacing: 0.15em }",
}

BUSY = "import os; own = os.getppid()\nwhile os.getppid() == own: sum(range(100_000))"  # ends with who started it


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *args: object) -> None:
        pass


class Slow(Quiet):
    """Serves the same over one line of 10 Mbit/s, 40 ms away."""

    line = threading.Lock()

    def send_head(self) -> Any:
        time.sleep(0.04)
        return super().send_head()

    def copyfile(self, source: IO[bytes], outputfile: IO[bytes]) -> None:
        while part := source.read(12_500):
            with self.line:
                time.sleep(0.01)
            outputfile.write(part)


class Server(http.server.ThreadingHTTPServer):
    """Takes as many connections at once as a browser opens."""

    request_queue_size = 128


@contextmanager
def served(handler: type[Quiet]) -> Iterator[str]:
    server = Server(("127.0.0.1", 0), functools.partial(handler, directory=str(PAGES.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """Address of the built book on loopback."""
    with served(Quiet) as address:
        yield address


@pytest.fixture(scope="session")
def slow_site() -> Iterator[str]:
    """The same behind a slow line."""
    with served(Slow) as address:
        yield address


class Patient:
    """A browser whose pages may take as long as a busy machine makes them."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def new_context(self, **options: Any) -> BrowserContext:
        context = self._browser.new_context(**options)
        context.set_default_timeout(180_000)
        return context


@pytest.fixture(scope="session")
def browser() -> Iterator[Patient]:
    """Chromium of this machine; where continuous integration demands one, its absence is a failure."""
    if CHROMIUM is None:
        if os.environ.get("VITGEOM_MUST_HAVE_BROWSER"):
            pytest.fail("there is no Chromium, and this run demands one")
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        # the sandbox needs privileges that containers lack; only our own pages are opened; a camera is a made-up one
        arguments = ["--no-sandbox", "--use-fake-device-for-media-stream"]
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield Patient(found)
        found.close()


@pytest.fixture
def crowd(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where a test asks for one by its parameter, a process that keeps a core busy meanwhile."""
    if not request.param:
        yield
        return
    other = subprocess.Popen([sys.executable, "-c", BUSY])
    yield
    other.kill()
    other.wait()


@dataclass
class Visit:
    """One open page and what it did: requests, sizes of answers, complaints."""

    page: Page
    requests: list[str] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, context: BrowserContext, address: str, letters: str = "own letters") -> Visit:
        """Open an address in these letters, and wait until it has loaded and asks for nothing more."""
        visit = cls(context.new_page())
        page = visit.page
        page.on("request", lambda request: visit.requests.append(request.url))
        page.on("response", lambda response: visit.responses.append(response))
        page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        page.on("console", lambda said: said.type == "error" and visit.complaints.append(said.text))
        if css := LETTERS[letters]:  # in the answer itself: no script has run yet, and none need run
            page.route(address, lambda route: with_style(route, css))
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


def with_style(route: Route, css: str) -> None:
    """Answer with the page that was asked for, and this style sheet in it."""
    answer = route.fetch()
    head, end, body = answer.text().partition("</head>")
    route.fulfill(response=answer, body=f"{head}<style>{css}</style>{end}{body}")


def file_address(path: Path) -> str:
    """A path as a file address."""
    return path.resolve().as_uri()
