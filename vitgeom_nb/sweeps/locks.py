"""One sweep a folder, or one of each part: a lock that ends with the process that holds it, however that ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import DataError
from .plan import inside

NAME = re.compile(r"(\d{1,7})-of-(\d{1,7})\.lock")
PATIENCE = 10.0  # seconds for which another process may look at the locks


@contextlib.contextmanager
def held(run: Path, part: tuple[int, int]) -> Iterator[bool]:
    """Hold the lock of a part of a run; whether it is sure, which it is not where the file system has no locks.

    Raises
    ------
    DataError
        If another sweep writes into the run, unless both are different parts of the same number.
    """
    folder = inside(run / "locks")
    own = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            for path in sorted(folder.iterdir()):
                _check(path, part, run)
            own = _locked(folder / f"{part[0]}-of-{part[1]}.lock")
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise DataError(f"{run} cannot be written ({error.strerror}); choose another --out.") from None
    try:
        yield own is not None
    finally:
        if own is not None:
            os.close(own)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While nobody else looks at the locks of a run."""
    door = _open(folder / "door")
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(door, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise DataError(f"Another process holds {folder / 'door'}; try again.") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(door)


def _check(path: Path, part: tuple[int, int], run: Path) -> None:
    """Stop where the lock of a part that excludes ours is held."""
    found = NAME.fullmatch(path.name)
    if found is None:
        return
    other = int(found[1]), int(found[2])
    if other != part and other[1] == part[1]:
        return
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataError(
            f"{run} is being written by {_holder(descriptor)}; wait for it, or choose another --out."
        ) from None
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    try:
        who = json.loads(os.pread(descriptor, 1000, 0))
        return f"process {int(who['pid'])} on {who['host']!s:.60}"
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"


def _locked(path: Path) -> int:
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    with contextlib.suppress(OSError):  # a full disk has no room for who it is
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
    return descriptor


def tidy(run: Path) -> None:
    """Remove what killed processes left half written; only for who holds the lock of the whole run."""
    for path in run.glob("networks/*/*/.*.part"):
        with contextlib.suppress(OSError):
            path.unlink()
    for path in [*run.glob("networks/*/.*.part"), *run.glob(".*.part")]:
        with contextlib.suppress(OSError):
            path.unlink()
