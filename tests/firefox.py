"""A headless Firefox, spoken to by WebDriver BiDi, which it answers itself: no driver stands between."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import websocket

FIREFOX = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
PATIENCE = 180  # s


class Firefox:
    """One window of a running Firefox."""

    def __init__(self, port: int) -> None:
        self._numbers = itertools.count(1)
        # a browser opens its door when it has started
        for tried in itertools.count():
            try:
                address = f"ws://127.0.0.1:{port}/session"
                self._line = websocket.create_connection(address, timeout=PATIENCE, suppress_origin=True)
                break
            except OSError:
                if tried == 4 * PATIENCE:
                    raise
                time.sleep(0.25)
        self.version = self.call("session.new", capabilities={})["capabilities"]["browserVersion"]
        self._window = self.call("browsingContext.getTree")["contexts"][0]["context"]

    def call(self, method: str, **params: Any) -> Any:
        """What it answers to a command."""
        number = next(self._numbers)
        self._line.send(json.dumps({"id": number, "method": method, "params": params}))
        while (answer := json.loads(self._line.recv())).get("id") != number:
            pass
        assert answer["type"] == "success", answer
        return answer["result"]

    def open(self, address: str) -> None:
        """Open an address, and wait until it has loaded."""
        self.call("browsingContext.navigate", context=self._window, url=address, wait="complete")

    def evaluate(self, function: str, given: Any = None) -> Any:
        """Call a function of the page's language with a value of JSON, and wait for what it gives."""
        code = f"(async () => JSON.stringify(await ({function})({json.dumps(given)}) ?? null))()"
        target = {"context": self._window}
        found = self.call("script.evaluate", expression=code, target=target, awaitPromise=True)
        assert found["type"] == "success", found["exceptionDetails"]["text"]
        return json.loads(found["result"]["value"])

    def close(self) -> None:
        """End the session."""
        self.call("session.end")
        self._line.close()


@contextmanager
def firefox(folder: Path) -> Iterator[Firefox]:
    """A Firefox with a profile of its own in a folder."""
    assert FIREFOX is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [FIREFOX, "--headless", "--no-remote", "--profile", str(folder), f"--remote-debugging-port={port}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"HOME": str(folder)})
        try:
            with closing(Firefox(port)) as found:
                yield found
        finally:
            process.terminate()
            process.wait(PATIENCE)
