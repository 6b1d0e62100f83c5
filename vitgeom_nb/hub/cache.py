"""Where huggingface_hub's cache keeps a file of the hub, and whether the file there is the hub's."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType

from ..errors import ArgumentError, HubError
from ..settings import check_hub_address, origin

KINDS = ("model", "dataset")
COMMIT = re.compile(r"[0-9a-f]{40}")


def constants() -> ModuleType:
    """The constants of huggingface_hub, imported when first needed, with its telemetry off.

    Raises
    ------
    ArgumentError
        If `HF_ENDPOINT` names no address.
    """
    check_hub_address()
    from huggingface_hub import constants as known

    known.HF_HUB_DISABLE_TELEMETRY = True
    return known


def endpoint() -> str:
    """Address of the hub as a message shows it."""
    return origin(constants().ENDPOINT)


@dataclass(frozen=True)
class Wanted:
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
        return f"{endpoint()}/{'datasets/' if self.kind == 'dataset' else ''}{self.repo}"

    @property
    def folder(self) -> Path:
        """Folder of the repository in the cache."""
        return Path(constants().HF_HUB_CACHE) / "--".join([f"{self.kind}s", *self.repo.split("/")])

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


def digest_of(path: Path, kind: int = 64) -> str:
    """The sha256 (64 digits) or git blob sha1 (40) of a file, read once as long as it does not change."""
    state = path.stat()
    return _digest(path.resolve(), state.st_size, state.st_mtime_ns, kind)


def intact(path: Path, etag: str) -> bool:
    """Whether the content is what the hub's name for it says; a mirror may name files in a way of its own."""
    return not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", etag) or digest_of(path, len(etag)) == etag


@contextlib.contextmanager
def disk(wanted: Wanted) -> Iterator[None]:
    """Whatever the disk refuses inside the block becomes one sentence."""
    try:
        yield
        return
    except HubError:
        raise
    except OSError as error:
        folder = constants().HF_HUB_CACHE
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            wrong = f"the disk of {folder} is full; free some space, or set HF_HOME to a folder elsewhere"
        else:
            wrong = f"{error}; repair {folder}, or set HF_HOME to another folder"
    raise HubError(f"The cache cannot hold {wanted}: {wrong}, then run this again.") from None


def link(blob: Path, path: Path) -> None:
    """Make `path` of a snapshot the file `blob`, by a link where the system has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() and path.resolve() == blob.resolve():
        return
    path.unlink(missing_ok=True)
    try:
        path.symlink_to(os.path.relpath(blob, path.parent))
    except OSError:
        shutil.move(blob, path)
