"""Files that are there whole or not at all: written so, and where what is read is damaged, that is said."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

from ..errors import DataError, VitgeomError


def check_regular(path: Path) -> os.stat_result | None:
    """What the system says of a file; None where there is none.

    Raises
    ------
    DataError
        If it is anything but a file with bytes of its own, such as a folder, a device or a named pipe.
    """
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path!s:.200} cannot be looked at ({_reason(error)}); choose another path.") from None
    if not stat.S_ISREG(state.st_mode):
        kind = "a folder" if stat.S_ISDIR(state.st_mode) else "a device, pipe or socket"
        raise DataError(f"{path} is {kind}; name a file.")
    return state


def made_folder(path: Path, named: str = "") -> Path:
    """The folder, made where it is missing; `named` says what asked for it, such as `"--out "`.

    Raises
    ------
    DataError
        If it cannot be one.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{named}{path!s:.200} cannot be a folder ({error.strerror}); choose another.") from None
    return path


def write_whole(path: Path, *data: bytes | memoryview) -> None:
    """Write a file beside its place, flush it to the disk, and rename it: whatever ends that, the earlier file stands.

    Several may write one file at a time; the last to end is what stays. A link stays one, and permissions stay.

    Raises
    ------
    DataError
        If there is no such folder, no permission or no space.
    """
    before = check_regular(path)
    place = path.resolve()
    part = place.with_name(f".{uuid.uuid4().hex}.part")
    try:
        if before is not None and not os.access(place, os.W_OK):
            raise PermissionError(errno.EACCES, "it is read-only")
        with part.open("xb") as file:
            if before is not None:
                part.chmod(stat.S_IMODE(before.st_mode))
            for some in data:
                file.write(some)
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
    except OSError as error:
        raise DataError(_refused(path, error)) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not every system lets a folder be flushed
        folder = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def reading(path: Path, kind: type[VitgeomError] = DataError, repair: str = "fetch it again") -> Iterator[None]:
    """Whatever a damaged file raises inside the block becomes one sentence."""
    try:
        yield
    except (VitgeomError, MemoryError):
        raise
    except Exception as error:  # readers of a dozen formats raise as many types
        reason = f"it has no {error}" if isinstance(error, KeyError) else _reason(error)
        raise kind(f"{path} cannot be read ({reason}); {repair}.") from None


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).split("\n")[0].rstrip(".")


def _refused(path: Path, error: OSError) -> str:
    if not path.parent.is_dir():
        return f"There is no folder {path.parent}; make it, or choose another path."
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"There is no space left for {path} ({_reason(error)}); free some, or choose another path."
    return f"{path} cannot be written ({_reason(error)}); choose another path."
