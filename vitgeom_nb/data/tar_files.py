"""Files inside tar archives, and inside archives in these, read where they lie."""

from __future__ import annotations

import functools
import tarfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO

from ..core.progress import tqdm
from ..core.whole_files import reading
from .encoded_images import IMAGE_FILES, Encoded, Reader, Span

BLOCK = 512


def _members(archive: tarfile.TarFile, file: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """Files of an archive. tarfile takes a damaged header for the end, which is a block of zeros in truth."""
    for member in archive:
        if member.isfile():
            yield member
    file.seek(archive.offset)
    if file.read(BLOCK) != bytes(BLOCK):
        raise tarfile.ReadError(f"it breaks off or is damaged at byte {archive.offset:,}")


def _spans(path: Path) -> Iterator[tuple[str, Span]]:
    with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
        for member in tqdm(_members(archive, file), desc=f"index of {path.name}", unit=" files", leave=False):
            name = Path(member.name)
            if name.suffix == ".tar":
                inner = archive.extractfile(member)
                assert inner is not None
                with inner, tarfile.open(fileobj=inner, mode="r:") as folder:
                    for image in _members(folder, inner):
                        span = Span(path, member.offset_data + image.offset_data, image.size)
                        yield f"{name.stem}/{Path(image.name).name}", span
            else:
                yield member.name.removeprefix("./"), Span(path, member.offset_data, member.size)


@functools.lru_cache(maxsize=2)
def _index(path: Path, _size: int, _changed: int) -> tuple[tuple[str, Span], ...]:
    with reading(path):
        return tuple((name, span) for name, span in _spans(path) if name.lower().endswith(IMAGE_FILES))


def archive_index(path: Path) -> tuple[tuple[str, Span], ...]:
    """Name and place of every image in a tar file; those of `n01440764.tar` inside it are called `n01440764/...`.

    All headers are read once, a minute for the million of ImageNet's training set, and again only if the file changes.

    Raises
    ------
    DataError
        If the archive is cut or damaged.
    """
    with reading(path):
        state = path.stat()
    return _index(path, state.st_size, state.st_mtime_ns)


def _spans_at(spans: Sequence[Span], positions: Sequence[int]) -> list[Encoded]:
    return [spans[i] for i in positions]


def span_reader(spans: Sequence[Span]) -> Reader:
    """A `Reader` of parts of files."""
    return partial(_spans_at, spans)
