"""A stand-in for the Hugging Face hub on 127.0.0.1: real HTTP, files from a folder, and faults on demand.

In a test module: `hub = stand_in_hub.hub`, then ask for the fixture `hub`.
For a notebook, as a process of its own: `python -m tests.stand_in_hub FOLDER --port 8123`, which prints its URL; set
`HF_ENDPOINT` to that and `HF_HOME` to an empty folder.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import re
import shutil
import socket
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

LARGE = (".safetensors", ".bin", ".parquet", ".pth", ".pt", ".npz")
CHUNK = 1 << 16
_RESOLVE = re.compile(r"/(?P<datasets>datasets/)?(?P<repo>[^/]+(?:/[^/]+)?)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_API = re.compile(
    r"/api/(?P<kind>models|datasets)/(?P<repo>[^/]+(?:/[^/]+)?)(?:/(?P<what>revision|tree)/(?P<revision>[^/]+))?"
)


@dataclass
class Fault:
    """What goes wrong.

    kind
        `"status"`: the answer is `status`, with `headers`. `"hang"`: nothing is sent. `"stall"`: a part of the body,
        then nothing. `"cut"`: a part of the body, then the connection ends. `"wrong"`: a body of the right length with
        one byte changed. `"slow"`: half a second before the body. `"silent"`: no headers that say which commit and
        digest (what a captive portal sends).
    files
        Only requests for these file names; every request unless told.
    methods
        Only these.
    times
        Only so many requests, then all is well again; always unless told.
    part
        Fraction of the body that is sent before a stall or cut.
    """

    kind: str
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    files: Collection[str] | None = None
    methods: Collection[str] = ("HEAD", "GET")
    times: int | None = None
    part: float = 0.5


def is_large(name: str) -> bool:
    """Whether the hub keeps such a file apart (LFS) and names it by its sha256."""
    return name.endswith(LARGE)


def etag(name: str, content: bytes) -> str:
    """What the hub names a file by: the sha256 of a large one, the git blob sha1 of a small one."""
    if is_large(name):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class StandInHub:
    """Serves `folder/{models,datasets}/{org}/{name}/...`; a context manager.

    `requests` is the log of what was asked ("GET /org/name/resolve/main/config.json"), `headers` that of the headers;
    `fault` may be set and reset at any time; `resumable = False` ignores what a client asks for with Range.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = Path(folder)
        self.fault: Fault | None = None
        self.resumable = True
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self._etags: dict[tuple[Path, int, int], str] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.hub, self._server.connections = self, []
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> StandInHub:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Serve no more: from now on connections are refused, as by a machine that runs no hub."""
        if not self._over.is_set():
            self._over.set()
            self._server.shutdown()
            self._server.server_close()
            for connection in self._server.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def wait(self) -> None:
        """Serve until interrupted."""
        self._over.wait()

    def add(self, repo: str, files: Mapping[str, bytes | Path], kind: str = "model") -> str:
        """Put files (contents, or paths that are linked or copied) into a repository; its new commit."""
        for name, content in files.items():
            target = self._root(repo, kind) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            if isinstance(content, bytes):
                target.write_bytes(content)
            else:
                try:
                    target.hardlink_to(Path(content).resolve())
                except OSError:
                    shutil.copyfile(content, target)
        return self.commit(repo, kind)

    def commit(self, repo: str, kind: str = "model") -> str:
        """The 40 hex digits of a repository's one commit, from its content."""
        listed = "\n".join(f"{name} {self.etag(path)}" for name, path in self.files(repo, kind).items())
        return hashlib.sha1(listed.encode()).hexdigest()

    def files(self, repo: str, kind: str = "model") -> dict[str, Path]:
        """Name in the repository -> path on disk."""
        root = self._root(repo, kind)
        return {str(path.relative_to(root).as_posix()): path for path in sorted(root.rglob("*")) if path.is_file()}

    def etag(self, path: Path) -> str:
        """`etag` of a file on disk, read once."""
        state = path.stat()
        key = (path, state.st_size, state.st_mtime_ns)
        if key not in self._etags:
            sha = hashlib.sha256() if is_large(path.name) else hashlib.sha1(b"blob %d\0" % state.st_size)
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    sha.update(chunk)
            self._etags[key] = sha.hexdigest()
        return self._etags[key]

    def _root(self, repo: str, kind: str) -> Path:
        return self.folder / f"{kind}s" / repo

    def _take_fault(self, method: str, name: str | None) -> Fault | None:
        """The fault of this request, counted."""
        with self._lock:
            fault = self.fault
            if fault is not None and fault.kind in ("stall", "cut", "wrong", "slow") and method != "GET":
                return None  # these are faults of a body
            if fault is None or method not in fault.methods or (fault.files is not None and name not in fault.files):
                return None
            if fault.times is not None:
                if fault.times <= 0:
                    return None
                fault.times -= 1
            return fault


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: StandInHub
    connections: list[socket.socket]

    def get_request(self) -> tuple[socket.socket, Any]:
        """Remember every connection, to end those that clients keep."""
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub = self.server.hub
        path = unquote(urlsplit(self.path).path)
        hub.requests.append(f"{self.command} {path}")
        hub.headers.append(dict(self.headers.items()))
        resolve, api = _RESOLVE.fullmatch(path), _API.fullmatch(path)
        fault = hub._take_fault(self.command, resolve["file"] if resolve else None)
        if fault is not None and fault.kind == "hang":
            hub._over.wait(60)
            self.close_connection = True
        elif fault is not None and fault.kind == "status":
            self._send(fault.status, b'{"error": "fault"}', fault.headers)
        elif resolve:
            kind = "dataset" if resolve["datasets"] else "model"
            self._file(resolve["repo"], kind, resolve["revision"], resolve["file"], fault)
        elif api:
            self._about(api["repo"], api["kind"][:-1], api["what"], api["revision"] or "main")
        elif path == "/":
            self._send(200, b"a stand-in for the hub\n", {"Content-Type": "text/plain"})
        else:
            self._send(404, b'{"error": "Not Found"}')

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        headers = {"Content-Type": "application/json"} | dict(headers or {})
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _missing(self, code: str, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._send(404, b'{"error": "not found"}', {"X-Error-Code": code} | named)

    def _found(self, repo: str, kind: str, revision: str) -> str | None:
        """The commit; None, and the answer sent, where there is no such repository or revision."""
        if not self.server.hub.files(repo, kind):
            self._missing("RepoNotFound")
            return None
        commit = self.server.hub.commit(repo, kind)
        if revision not in ("main", commit):
            self._missing("RevisionNotFound")
            return None
        return commit

    def _about(self, repo: str, kind: str, what: str | None, revision: str) -> None:
        if (commit := self._found(repo, kind, revision)) is None:
            return
        hub = self.server.hub
        files = hub.files(repo, kind)
        if what != "tree":
            siblings = [{"rfilename": name} for name in files]
            about = {"_id": "0" * 24, "id": repo, "sha": commit, "private": False, "gated": False, "siblings": siblings}
            self._send(200, json.dumps(about | {"modelId": repo, "tags": [], "downloads": 0}).encode())
            return
        query = urlsplit(self.path).query.lower()
        everything = "recursive=true" in query or "recursive=1" in query
        entries: dict[str, dict[str, object]] = {}
        for name, path in files.items():
            parents = [str(parent) for parent in Path(name).parents if str(parent) != "."]
            for parent in sorted(parents):
                if everything or "/" not in parent:
                    entries[parent] = {"type": "directory", "oid": "0" * 40, "size": 0, "path": parent}
            if everything or not parents:
                size, oid = path.stat().st_size, hub.etag(path)
                entries[name] = {"type": "file", "oid": oid, "size": size, "path": name}
                if is_large(name):
                    entries[name] |= {"oid": oid[:40], "lfs": {"oid": oid, "size": size, "pointerSize": 134}}
        self._send(200, json.dumps(list(entries.values())).encode())

    def _file(self, repo: str, kind: str, revision: str, name: str, fault: Fault | None) -> None:
        if (commit := self._found(repo, kind, revision)) is None:
            return
        hub = self.server.hub
        path = hub.files(repo, kind).get(name)
        if path is None:
            return self._missing("EntryNotFound", X_Repo_Commit=commit)
        size, tag = path.stat().st_size, f'"{hub.etag(path)}"'
        headers = {"X-Repo-Commit": commit, "ETag": tag, "Accept-Ranges": "bytes"}
        if is_large(name):
            headers |= {"X-Linked-Etag": tag, "X-Linked-Size": str(size)}
        if fault is not None and fault.kind == "silent":
            headers = {}
        start, status = 0, 200
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and hub.resumable:
            start, status = int(asked[1]), 206
            if start >= size:
                return self._send(416, b"", {"Content-Range": f"bytes */{size}"})
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(size - start)}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self._body(path, start, size, fault)
        return None

    def _body(self, path: Path, start: int, size: int, fault: Fault | None) -> None:
        kind = None if fault is None else fault.kind
        end = start + int((size - start) * fault.part) if fault is not None and kind in ("cut", "stall") else size
        if kind == "slow":
            self.server.hub._over.wait(0.5)
        with path.open("rb") as file:
            file.seek(start)
            while (left := end - file.tell()) > 0:
                chunk = file.read(min(CHUNK, left))
                if kind == "wrong":
                    chunk, kind = bytes([chunk[0] ^ 1]) + chunk[1:], None
                self.wfile.write(chunk)
        if kind == "stall":
            self.wfile.flush()
            self.server.hub._over.wait(60)
        if kind in ("cut", "stall"):
            self.close_connection = True


def point_at(url: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point huggingface_hub, and with it timm and transformers, at `url` and at the cache folder `cache`.

    huggingface_hub reads its environment when it is imported, so in this process its constants change, and the places
    that took a copy; the environment variables are for processes that a test starts.
    """
    import huggingface_hub
    from huggingface_hub import constants, hf_api
    from huggingface_hub.utils import _cache_manager, _detect_agent, _git_credential

    hub_cache = str(cache / "hub")
    values = {
        "ENDPOINT": url,
        "HUGGINGFACE_CO_URL_TEMPLATE": url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HOME": str(cache),
        "HF_HUB_CACHE": hub_cache,
        "HUGGINGFACE_HUB_CACHE": hub_cache,
        "HF_ASSETS_CACHE": str(cache / "assets"),
        "HF_TOKEN_PATH": str(cache / "token"),
        "HF_STORED_TOKENS_PATH": str(cache / "stored_tokens"),
        "AGENT_HARNESSES_PATH": str(cache / ".agent_harnesses.json"),
        "CHECK_FOR_UPDATE_DONE_PATH": str(cache / ".check_for_update_done"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_TELEMETRY": False,
        "HF_HUB_DISABLE_XET": True,
    }
    for name, value in values.items():
        monkeypatch.setattr(constants, name, value, raising=False)
    monkeypatch.setattr(hf_api.api, "endpoint", url)
    monkeypatch.setattr(_cache_manager, "HF_HUB_CACHE", hub_cache)
    monkeypatch.setattr(_git_credential, "ENDPOINT", url)
    monkeypatch.setattr(_detect_agent, "_registry", None)
    tokens = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE")
    modes = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT")
    for name in tokens + modes:
        monkeypatch.delenv(name, raising=False)
    environment = {"HF_ENDPOINT": url, "HF_HOME": str(cache), "HF_HUB_CACHE": hub_cache, "HF_HUB_DISABLE_XET": "1"}
    for name, value in (environment | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}).items():
        monkeypatch.setenv(name, value)
    huggingface_hub.close_session()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    """An empty stand-in hub, and huggingface_hub pointed at it with an empty cache (`tmp_path / "hf"`)."""
    import huggingface_hub

    with StandInHub(tmp_path / "hub") as stand_in:
        point_at(stand_in.url, tmp_path / "hf", monkeypatch)
        yield stand_in
        huggingface_hub.close_session()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds models/{org}/{name}/... and datasets/{org}/{name}/...")
    parser.add_argument("--port", type=int, default=0, help="any free one unless told")
    options = parser.parse_args(argv)
    with StandInHub(options.folder, options.port) as stand_in, contextlib.suppress(KeyboardInterrupt):
        print(stand_in.url, flush=True)
        stand_in.wait()


if __name__ == "__main__":
    sys.exit(main())
