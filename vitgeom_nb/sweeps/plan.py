"""What a run is made of: its documents, the names of its folders and files, and the work that is still to do."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..core.whole_files import write_whole
from ..errors import DataError
from .entries import Entry
from .images import About

FORMAT = 1
LARGEST = 2**24  # bytes of a document
SHARD = re.compile(r"(\d{10})-(\d{10})\.(\d{1,6})\.(\d{1,10})\.nc")


@dataclass(frozen=True)
class Network:
    """A network as a run knows it: how to load it, and what tells it from others."""

    name: str
    weights: str
    layer: str
    read: str
    dtype: str
    head: bool

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f"{slug(self.name)}-{digest_of(asdict(self))}"


@dataclass(frozen=True)
class Block:
    """Images `start` to `stop` of one entry; `retry`, those of them that an earlier shard lacks."""

    start: int
    stop: int
    generation: int = 0
    retry: tuple[int, ...] | None = None

    @property
    def images(self) -> int:
        """How many are to be measured."""
        return self.stop - self.start if self.retry is None else len(self.retry)


def slug(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:60] or "network"


def digest_of(document: Any) -> str:
    """16 digits of the SHA-256 of a document."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def identity(entry: Entry, about: About, seed: int, package: str) -> dict[str, Any]:
    """All that the numbers of a shard depend on, beside the network and the images of its block."""
    own: dict[str, Any] = {
        "measure": entry.measure.name,
        "source": entry.measure.source,
        "parameters": {**entry.measure.fixed, **entry.parameters},
        "labels": entry.labels,
        "together": entry.measure.together,
        "seed": seed,
        "data": about.sha256,
        "images_of_data": about.images,
        "package": package,
    }
    return own


def write_document(path: Path, document: dict[str, Any]) -> None:
    """Write a document whole, unless it is there already and says the same."""
    text = json.dumps(document, indent=1, sort_keys=True).encode()
    if not (path.is_file() and path.read_bytes() == text):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)


def read_document(path: Path, **kinds: type) -> dict[str, Any]:
    """A document with the keys that it must have.

    Raises
    ------
    DataError
        If it is missing, damaged, a link, too large, or lacks a key.
    """
    inside(path)
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError("too large")
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("not an object")
        for key, kind in kinds.items():
            if not isinstance(found.get(key), kind) or (kind is int and isinstance(found[key], bool)):
                raise ValueError(f"no {key}")
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error).split("\n")[0]
        raise DataError(f"{path} cannot be read ({reason:.100}); a sweep with --out writes it anew.") from None
    return found


def inside(path: Path) -> Path:
    """A path of a run, unless it is a link, which could lead out of it.

    Raises
    ------
    DataError
        If it is one.
    """
    if path.is_symlink():
        raise DataError(f"{path} is a link; a run holds files of its own only.")
    return path


def shard_name(block: Block, failed: int) -> str:
    """Name of the file of a block: its images, which attempt it is, and how many images it lacks."""
    return f"{block.start:010d}-{block.stop:010d}.{block.generation}.{failed}.nc"


def blocks(images: int, size: int) -> Iterator[tuple[int, int]]:
    """Images of every block in turn."""
    return ((start, min(start + size, images)) for start in range(0, images, size))


class Listing:
    """Which shards of a plan are there: a byte a block, and the few that lack images by name."""

    def __init__(self, folder: Path, images: int, size: int) -> None:
        self.images, self.size = images, size
        self.there = bytearray(-(-images // size))
        self.lacking: dict[int, tuple[int, int]] = {}
        best: dict[int, int] = {}
        for name in _names(folder):
            found = SHARD.fullmatch(name)
            if found is None:
                continue
            start, stop, generation, failed = map(int, found.groups())
            if start % size or start >= images or stop != min(start + size, images) or failed > stop - start:
                continue  # of a plan with other blocks
            number = start // size
            if self.there[number] and generation <= best.get(number, 0):
                continue
            self.there[number] = 1
            if generation:
                best[number] = generation
            self.lacking.pop(number, None)
            if failed:
                self.lacking[number] = generation, failed
        self._generations = best

    def name(self, number: int) -> str:
        """File of the block of a number, which is there."""
        start, stop = self.bounds(number)
        generation, failed = self.lacking.get(number, (self._generations.get(number, 0), 0))
        return shard_name(Block(start, stop, generation), failed)

    def bounds(self, number: int) -> tuple[int, int]:
        """First image of a block, and the one behind its last."""
        return number * self.size, min((number + 1) * self.size, self.images)

    def failed(self, number: int) -> int:
        """How many images the shard of a block lacks."""
        return self.lacking.get(number, (0, 0))[1]


def _names(folder: Path) -> Iterator[str]:
    if not inside(folder).is_dir():
        return
    import os

    with os.scandir(folder) as found:
        for one in found:
            if one.is_file(follow_symlinks=False):
                yield one.name
