"""Files of the Hugging Face hub: the only place that talks to it.

What is in the cache is used without a request, once its digest is checked. Everything else is asked for with
huggingface_hub's client, whose own retries can last minutes and whose partial files are thrown away; here the hub has
`ANSWER_S` to answer and `STALL_S` to send the next byte, then there is one sentence, and what came is kept; who sets
`HF_HUB_ETAG_TIMEOUT` or `HF_HUB_DOWNLOAD_TIMEOUT` chooses other limits. The cache is huggingface_hub's own
(`HF_HUB_CACHE`), so timm and transformers find there what was fetched here.
"""

from __future__ import annotations

import contextlib
import errno
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..core.progress import tqdm
from ..errors import ArgumentError, HubError
from ..settings import hub_timeout
from .cache import COMMIT, Wanted, constants, digest_of, disk, endpoint, intact, link
from .messages import AbsentError, ask, is_timeout, open_from, refusal, silence, within

ANSWER_S, STALL_S = 3.0, 5.0
BAR_BYTES = 1_000_000  # smaller files come without a progress bar


def _answer_s() -> float:
    """Seconds that the hub has to answer."""
    return hub_timeout("HF_HUB_ETAG_TIMEOUT") or ANSWER_S


def _stall_s() -> float:
    """Seconds that the hub has to send the next byte of a file."""
    return hub_timeout("HF_HUB_DOWNLOAD_TIMEOUT") or STALL_S


def _stream(wanted: Wanted, url: str, part: Path, size: int | None) -> None:
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
    patience = _stall_s()
    response = ask(wanted, lambda: open_from(url, have, patience), patience)
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
            failure = f"sent nothing for {patience:g} s" if is_timeout(error) else "closed the connection"
    if failure or size not in (None, have):
        came = f"{have / 1e6:.1f}{f' of {size / 1e6:.1f}' if size else ''} MB of {wanted}"
        ending = failure or "closed the connection"
        raise HubError(f"{endpoint()} {ending} after {came}; run this again to fetch the rest.")


def _transfer(wanted: Wanted, url: str, blob: Path, size: int | None) -> None:
    """Bring a file to `blob`, checked; bytes that are not what the hub's own digest says are fetched once more."""
    part = blob.with_name(f"{blob.name}.incomplete")
    for _ in range(2):
        try:
            _stream(wanted, url, part, size)
        except OSError as error:
            if not isinstance(error, HubError):
                part.unlink(missing_ok=True)  # a full disk is not left full
            raise
        if intact(part, blob.name):
            part.replace(blob)
            return
        part.unlink()
    wrong = f"{wanted} came damaged twice from {endpoint()} (its digest is not the one announced)"
    raise HubError(f"{wrong}; something on the way changes it, so try another network, or later.")


def _download(wanted: Wanted) -> Path:
    """The file from the hub, in the cache from now on."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import WeakFileLock

    where = {"filename": wanted.filename, "repo_type": wanted.kind}
    url = hf_hub_url(wanted.repo, revision=wanted.revision, **where)
    patience = _answer_s()
    about = ask(wanted, lambda: get_hf_file_metadata(url, timeout=patience), patience)
    commit, etag = about.commit_hash or "", about.etag or ""
    if not COMMIT.fullmatch(commit) or not re.fullmatch(r"[\w+=.-]+", etag):
        wrong = f"{wanted} cannot be fetched: {endpoint()} does not answer as a hub does"
        raise HubError(f"{wrong}; check HF_ENDPOINT, and whether a proxy or a login page stands in between.")
    blob, path = wanted.folder / "blobs" / etag, wanted.folder / "snapshots" / commit / wanted.filename
    lock = wanted.folder.parent / ".locks" / wanted.folder.name / f"{etag}.lock"
    with disk(wanted):
        lock.parent.mkdir(parents=True, exist_ok=True)
        blob.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(lock):
            if not (blob.is_file() and intact(blob, etag)):
                _transfer(wanted, hf_hub_url(wanted.repo, revision=commit, **where), blob, about.size)
            link(blob, path)
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
        pass before the hub's answer and `STALL_S` without a byte, or what `HF_HUB_ETAG_TIMEOUT` and
        `HF_HUB_DOWNLOAD_TIMEOUT` say.
    ArgumentError
        If there is no such `kind`, or these variables are not whole numbers of seconds.
    """
    wanted = Wanted(repo, filename, revision, kind)
    path = wanted.cached()
    if path is None:
        return _download(wanted)
    with disk(wanted):
        if not path.is_symlink() or intact(path, path.readlink().name):
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
    files = [Wanted(repo, name, revision, kind) for name in filenames]
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
    wanted = Wanted(repo, "", revision, kind)
    with contextlib.suppress(OSError, ValueError):
        return list(json.loads((wanted.folder / ".listings" / f"{wanted.commit()}.json").read_text()))
    from huggingface_hub import HfApi

    api = HfApi(endpoint=constants().ENDPOINT)
    patience = _answer_s()
    about = ask(wanted, lambda: api.repo_info(repo, revision=revision, repo_type=kind, timeout=patience), patience)
    names, commit = sorted(file.rfilename for file in getattr(about, "siblings", None) or []), about.sha or ""
    if COMMIT.fullmatch(commit):
        with disk(wanted):
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
            return {"repository": "/".join(names), "revision": folder.name, "sha256": digest_of(path)}
    raise HubError(f"{path} is not a file of the hub's cache; pass a path that fetch() returned.")


def reachable() -> str | None:
    """None if the hub answers within `ANSWER_S`, else why not, in one sentence."""
    try:
        known = constants()
    except ArgumentError as error:
        return str(error)
    if known.HF_HUB_OFFLINE:
        return "Offline mode is on, so only what is cached can be used; unset HF_HUB_OFFLINE to reach the hub."
    from huggingface_hub import get_session

    session, patience = get_session(), _answer_s()
    try:
        answer = within(patience, lambda: session.head(known.ENDPOINT, timeout=patience, follow_redirects=False))
    except Exception as error:  # whatever the network or a proxy raises
        return silence(error, patience)
    if answer.status_code != 429 and answer.status_code < 500:
        return None
    return str(refusal(Wanted("any/repository", "", "main", "model"), answer.status_code, answer.headers))


def cache_folder() -> Path:
    """Where fetched files are kept."""
    return Path(constants().HF_HUB_CACHE)


def is_cached(repo: str, filename: str = "config.json", *, revision: str = "main", kind: str = "model") -> bool:
    """Whether a file of a repository can be had without asking the hub."""
    return Wanted(repo, filename, revision, kind).cached() is not None
