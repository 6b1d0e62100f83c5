"""Files of the Hugging Face hub: the only place that talks to it.

What is in the cache is used without a request, once its digest is checked. Everything else is asked for with
huggingface_hub's client, whose own retries can last minutes and whose partial files are thrown away; here the hub has
`ANSWER_S` to answer and `STALL_S` to send the next byte, then there is one sentence, and what came is kept. The cache
is huggingface_hub's own (`HF_HUB_CACHE`), so timm and transformers find there what was fetched here.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, TypeVar

from .errors import ArgumentError, HubError
from .progress import tqdm

T = TypeVar("T")
KINDS = ("model", "dataset")
ANSWER_S, STALL_S = 3.0, 5.0
BAR_BYTES = 1_000_000  # smaller files come without a progress bar
COMMIT = re.compile(r"[0-9a-f]{40}")
LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


class AbsentError(HubError):
    """The repository is there, the file is not."""


def _constants() -> ModuleType:
    """The constants of huggingface_hub, imported when first needed, with its telemetry off."""
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True
    return constants


@dataclass(frozen=True)
class _Wanted:
    """A file of a repository, or with an empty name the list of its files; and where the cache keeps them."""

    repo: str
    filename: str
    revision: str
    kind: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ArgumentError(f"There is no kind {self.kind!r} of repository; there are {' and '.join(KINDS)}.")
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", self.repo) or re.search(r"\.\.|--", self.repo):
            raise HubError(f"{self.repo!r} is not the name of a repository; write organisation/name.")
        for name in (self.filename, self.revision):
            if not self.revision or "\\" in name or name.startswith("/") or ".." in PurePosixPath(name).parts:
                raise HubError(f"{name!r} is neither a file nor a revision of a repository; write it as the hub does.")

    def __str__(self) -> str:
        return f"{self.filename or 'The list of files'} of {self.repo}"

    @property
    def page(self) -> str:
        """Address of the repository for a reader."""
        return f"{_constants().ENDPOINT}/{'datasets/' if self.kind == 'dataset' else ''}{self.repo}"

    @property
    def folder(self) -> Path:
        """Folder of the repository in the cache."""
        return Path(_constants().HF_HUB_CACHE) / "--".join([f"{self.kind}s", *self.repo.split("/")])

    def commit(self) -> str | None:
        """The commit that the cache knows for the revision."""
        known = self.revision
        with contextlib.suppress(OSError, UnicodeDecodeError):
            known = (self.folder / "refs" / self.revision).read_text().strip()
        return known if COMMIT.fullmatch(known) else None

    def cached(self, tree: str = "snapshots") -> Path | None:
        """The file in the cache; in the tree `.no_exist` the note that the commit has none."""
        path = self.folder / tree / (self.commit() or "none") / self.filename
        return path if path.is_file() else None

    def remember(self, commit: str, place: str | None = None, text: str = "") -> None:
        """Note in the cache which commit the revision is, and what was learnt about that commit."""
        if commit not in (self.revision, self.commit()):
            _write(self.folder / "refs" / self.revision, commit)
        if place is not None:
            _write(self.folder / place, text)


def _write(path: Path, text: str) -> None:
    """Write a small file so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    part.write_text(text)
    part.replace(path)


@functools.lru_cache(maxsize=1024)
def _digest(path: Path, size: int, _changed_ns: int, kind: int) -> str:
    sha = hashlib.sha256() if kind == 64 else hashlib.sha1(b"blob %d\0" % size)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            sha.update(chunk)
    return sha.hexdigest()


def _digest_of(path: Path, kind: int = 64) -> str:
    """The sha256 (64 digits) or git blob sha1 (40) of a file, read once as long as it does not change."""
    state = path.stat()
    return _digest(path.resolve(), state.st_size, state.st_mtime_ns, kind)


def _intact(path: Path, etag: str) -> bool:
    """Whether the content is what the hub's name for it says; a mirror may name files in a way of its own."""
    return not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", etag) or _digest_of(path, len(etag)) == etag


def _within(seconds: float, call: Callable[[], T]) -> T:
    """What `call` returns, or TimeoutError after `seconds`, which a slow name server does not give of itself."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True, name="hub").start()
    try:
        return future.result(timeout=seconds)
    except BaseException:
        future.add_done_callback(lambda late: None if late.exception() else getattr(late.result(), "close", bool)())
        raise


def _is_timeout(error: Exception) -> bool:
    return isinstance(error, TimeoutError) or "TimeoutException" in {kind.__name__ for kind in type(error).__mro__}


def _silence(error: Exception, seconds: float) -> str:
    """The sentence for no answer."""
    reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    wrong = f"does not answer within {seconds:g} s" if _is_timeout(error) else f"cannot be reached ({reason})"
    return f"{_constants().ENDPOINT} {wrong}; check the network and HF_ENDPOINT, then run this again."


def _refusal(wanted: _Wanted, status: int, headers: Any) -> HubError:
    """The sentence for an answer that is an error."""
    endpoint, page, repo, code = _constants().ENDPOINT, wanted.page, wanted.repo, headers.get("X-Error-Code")
    if code == "GatedRepo":
        return HubError(f"{repo} is open only to those who accepted its terms: do so at {page}, then {LOG_IN}.")
    if status == 403:
        terms = f"accept the terms at {page} if it has some, {LOG_IN}"
        return HubError(f"{endpoint} forbids {wanted} (403): {terms}, or try a network without a filter.")
    if status == 401:
        return HubError(f"{repo} is private, or there is none of that name at {endpoint}: check the name, or {LOG_IN}.")
    if code == "EntryNotFound":
        there = f"{page}/tree/{wanted.revision} lists what it has"
        return AbsentError(f"{repo} has no file {wanted.filename} at revision {wanted.revision}; {there}.")
    if code == "RevisionNotFound":
        return HubError(f"{repo} has no revision {wanted.revision!r}; {page}/commits/main lists those it has.")
    if status == 404:
        kind = "data set" if wanted.kind == "dataset" else "model"
        return HubError(f"There is no {kind} {repo} at {endpoint}; check the name, or {LOG_IN} if it is private.")
    if status == 429:
        pause = re.search(r"^\d+$|(?<=t=)\d+", headers.get("Retry-After") or headers.get("RateLimit") or "")
        wait = f"{pause[0]} s" if pause else "a few minutes"
        return HubError(f"{endpoint} has had too many requests: wait {wait}, or {LOG_IN}, and run this again.")
    if status >= 500:
        return HubError(f"{endpoint} is out of order (it answers {status}); wait a few minutes and run this again.")
    return HubError(f"{wanted} cannot be fetched: {endpoint} answers {status}; check the name and HF_ENDPOINT.")


def _ask(wanted: _Wanted, call: Callable[[], T], seconds: float) -> T:
    """What `call` gets from the hub within `seconds`; whatever else happens becomes one sentence."""
    if _constants().HF_HUB_OFFLINE:
        wrong = "offline mode is on; unset HF_HUB_OFFLINE to fetch what the cache does not hold"
        raise HubError(f"{wanted} cannot be fetched: {wrong}.")
    from huggingface_hub import get_session
    from huggingface_hub.errors import HfHubHTTPError

    get_session()  # reads certificates, which is not the hub's time
    try:
        return _within(seconds, call)
    except HfHubHTTPError as error:
        headers = error.response.headers
        failure = _refusal(wanted, error.response.status_code, headers)
        if isinstance(failure, AbsentError) and COMMIT.fullmatch(commit := headers.get("X-Repo-Commit", "")):
            with contextlib.suppress(OSError):
                wanted.remember(commit, f".no_exist/{commit}/{wanted.filename}")
    except Exception as error:  # whatever the network, a proxy or a token raises
        failure = HubError(f"{wanted} cannot be fetched: {_silence(error, seconds)}")
    raise failure


@contextlib.contextmanager
def _disk(wanted: _Wanted) -> Iterator[None]:
    """Whatever the disk refuses inside the block becomes one sentence."""
    try:
        yield
        return
    except HubError:
        raise
    except OSError as error:
        folder = _constants().HF_HUB_CACHE
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            wrong = f"the disk of {folder} is full; free some space, or set HF_HOME to a folder elsewhere"
        else:
            wrong = f"{error}; repair {folder}, or set HF_HOME to another folder"
    raise HubError(f"The cache cannot hold {wanted}: {wrong}, then run this again.") from None


def _open(url: str, have: int) -> Any:
    """The hub's answer to a GET from byte `have` on, its body still to come."""
    from huggingface_hub import get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    headers = build_hf_headers(library_name="vitgeom-nb") | {"Accept-Encoding": "identity"}
    headers |= {"Range": f"bytes={have}-"} if have else {}
    session = get_session()
    request = session.build_request("GET", url, headers=headers, timeout=STALL_S)
    response = session.send(request, stream=True, follow_redirects=True)
    with contextlib.ExitStack() as stack:
        stack.callback(response.close)
        hf_raise_for_status(response)
        stack.pop_all()
    return response


def _stream(wanted: _Wanted, url: str, part: Path, size: int | None) -> None:
    """Bring the rest of a file into `part`, which keeps what came if the rest does not."""
    from huggingface_hub.utils import are_progress_bars_disabled

    have = part.stat().st_size if part.exists() else 0
    if size is None or have > size:
        part.unlink(missing_ok=True)
        have = 0
    if size == have > 0:
        return
    if (size or 0) - have > shutil.disk_usage(part.parent).free:
        raise OSError(errno.ENOSPC, "too large")
    response = _ask(wanted, lambda: _open(url, have), STALL_S)
    have = have if response.status_code == 206 else 0
    silent = are_progress_bars_disabled() or (size or 0) < BAR_BYTES
    bar = tqdm(desc=wanted.filename, total=size, initial=have, unit="B", unit_scale=True, disable=silent)
    failure = None
    with contextlib.closing(response), bar, part.open("ab" if have else "wb") as file:
        try:
            for chunk in response.iter_bytes():
                file.write(chunk)
                have += len(chunk)
                bar.update(len(chunk))
        except OSError:
            raise
        except Exception as error:  # whatever the network raises
            failure = f"sent nothing for {STALL_S:g} s" if _is_timeout(error) else "closed the connection"
    if failure or size not in (None, have):
        came = f"{have / 1e6:.1f}{f' of {size / 1e6:.1f}' if size else ''} MB of {wanted}"
        ending = failure or "closed the connection"
        raise HubError(f"{_constants().ENDPOINT} {ending} after {came}; run this again to fetch the rest.")


def _transfer(wanted: _Wanted, url: str, blob: Path, size: int | None) -> None:
    """Bring a file to `blob`, checked; bytes that are not what the hub's own digest says are fetched once more."""
    part = blob.with_name(f"{blob.name}.incomplete")
    for _ in range(2):
        try:
            _stream(wanted, url, part, size)
        except OSError as error:
            if not isinstance(error, HubError):
                part.unlink(missing_ok=True)  # a full disk is not left full
            raise
        if _intact(part, blob.name):
            part.replace(blob)
            return
        part.unlink()
    wrong = f"{wanted} came damaged twice from {_constants().ENDPOINT} (its digest is not the one announced)"
    raise HubError(f"{wrong}; something on the way changes it, so try another network, or later.")


def _link(blob: Path, path: Path) -> None:
    """Make `path` of a snapshot the file `blob`, by a link where the system has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() and path.resolve() == blob.resolve():
        return
    path.unlink(missing_ok=True)
    try:
        path.symlink_to(os.path.relpath(blob, path.parent))
    except OSError:
        shutil.move(blob, path)


def _download(wanted: _Wanted) -> Path:
    """The file from the hub, in the cache from now on."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import WeakFileLock

    where = {"filename": wanted.filename, "repo_type": wanted.kind}
    url = hf_hub_url(wanted.repo, revision=wanted.revision, **where)
    about = _ask(wanted, lambda: get_hf_file_metadata(url, timeout=ANSWER_S), ANSWER_S)
    commit, etag = about.commit_hash or "", about.etag or ""
    if not COMMIT.fullmatch(commit) or not re.fullmatch(r"[\w+=.-]+", etag):
        wrong = f"{wanted} cannot be fetched: {_constants().ENDPOINT} does not answer as a hub does"
        raise HubError(f"{wrong}; check HF_ENDPOINT, and whether a proxy or a login page stands in between.")
    blob, path = wanted.folder / "blobs" / etag, wanted.folder / "snapshots" / commit / wanted.filename
    lock = wanted.folder.parent / ".locks" / wanted.folder.name / f"{etag}.lock"
    with _disk(wanted):
        lock.parent.mkdir(parents=True, exist_ok=True)
        blob.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(lock):
            if not (blob.is_file() and _intact(blob, etag)):
                _transfer(wanted, hf_hub_url(wanted.repo, revision=commit, **where), blob, about.size)
            _link(blob, path)
        wanted.remember(commit)
    return path


def fetch(repo: str, filename: str, *, revision: str = "main", kind: str = "model") -> Path:
    """A file of a repository, from the cache if it is there undamaged, else from the hub.

    Parameters
    ----------
    repo, filename
        `"organisation/name"`, and the file's path inside that repository.
    revision
        A branch, a tag, or a commit. A branch that the cache knows stays at the commit it was first fetched at.
    kind
        `"model"` or `"dataset"`.

    Returns
    -------
    Path
        The file in the snapshot folder of its commit. Its content has the digest that the hub announced: sha256 for
        large files, git blob sha1 for small ones.

    Raises
    ------
    HubError
        If it cannot be had: no network, no such repository, revision or file, no permission, too many requests, a hub
        out of order, a broken transfer (the next call fetches the rest), a full disk, offline mode. At most `ANSWER_S`
        pass before the hub's answer and `STALL_S` without a byte.
    ArgumentError
        If there is no such `kind`.
    """
    wanted = _Wanted(repo, filename, revision, kind)
    path = wanted.cached()
    if path is None:
        return _download(wanted)
    with _disk(wanted):
        if not path.is_symlink() or _intact(path, path.readlink().name):
            return path
    try:
        return _download(wanted)
    except HubError as error:
        reason = str(error).removeprefix(f"{wanted} cannot be fetched: ")
    wrong = f"The cached {wanted} is damaged; delete {wanted.folder} and run this again once this is solved"
    raise HubError(f"{wrong}: {reason}")


def fetch_first(repo: str, filenames: Sequence[str], *, revision: str = "main", kind: str = "model") -> Path:
    """The first of several files that the repository has, as `fetch` gives it.

    Raises
    ------
    HubError
        If it has none of them, or `fetch` fails for another reason.
    """
    files = [_Wanted(repo, name, revision, kind) for name in filenames]
    if not files:
        raise ArgumentError("There are no filenames; name at least one.")
    for file in files:
        if file.cached(".no_exist") and not file.cached():
            continue
        try:
            return fetch(repo, file.filename, revision=revision, kind=kind)
        except AbsentError:
            continue
        except HubError:  # where the hub is gone, a later name will do if it is here
            if file.cached() or not any(other.cached() for other in files):
                raise
    raise AbsentError(f"{repo} has no file {' or '.join(filenames)} at revision {revision}; look at {files[0].page}.")


def listing(repo: str, *, revision: str = "main", kind: str = "model") -> list[str]:
    """Names of the files of a repository, in alphabetical order; asked for once a commit.

    Raises
    ------
    HubError
        As `fetch` does.
    """
    wanted = _Wanted(repo, "", revision, kind)
    with contextlib.suppress(OSError, ValueError):
        return list(json.loads((wanted.folder / ".listings" / f"{wanted.commit()}.json").read_text()))
    from huggingface_hub import HfApi

    api = HfApi(endpoint=_constants().ENDPOINT)
    about = _ask(wanted, lambda: api.repo_info(repo, revision=revision, repo_type=kind, timeout=ANSWER_S), ANSWER_S)
    names, commit = sorted(file.rfilename for file in getattr(about, "siblings", None) or []), about.sha or ""
    if COMMIT.fullmatch(commit):
        with _disk(wanted):
            wanted.remember(commit, f".listings/{commit}.json", json.dumps(names))
    return names


def provenance(path: Path) -> dict[str, str]:
    """Where a fetched file comes from: `repository`, `revision` (the commit) and the `sha256` of its content.

    Raises
    ------
    HubError
        If the file is not one that `fetch` gave.
    """
    for folder in path.parents:
        kind, *names = folder.parent.parent.name.split("--")
        if folder.parent.name == "snapshots" and kind in ("models", "datasets") and path.is_file():
            return {"repository": "/".join(names), "revision": folder.name, "sha256": _digest_of(path)}
    raise HubError(f"{path} is not a file of the hub's cache; pass a path that fetch() returned.")


def reachable() -> str | None:
    """None if the hub answers within `ANSWER_S`, else why not, in one sentence."""
    constants = _constants()
    if constants.HF_HUB_OFFLINE:
        return "Offline mode is on, so only what is cached can be used; unset HF_HUB_OFFLINE to reach the hub."
    from huggingface_hub import get_session

    session = get_session()
    try:
        answer = _within(ANSWER_S, lambda: session.head(constants.ENDPOINT, timeout=ANSWER_S, follow_redirects=False))
    except Exception as error:  # whatever the network or a proxy raises
        return _silence(error, ANSWER_S)
    if answer.status_code != 429 and answer.status_code < 500:
        return None
    return str(_refusal(_Wanted("any/repository", "", "main", "model"), answer.status_code, answer.headers))


def cache_folder() -> Path:
    """Where fetched files are kept."""
    return Path(_constants().HF_HUB_CACHE)


def is_cached(repo: str, filename: str = "config.json", *, revision: str = "main", kind: str = "model") -> bool:
    """Whether a file of a repository can be had without asking the hub."""
    return _Wanted(repo, filename, revision, kind).cached() is not None
