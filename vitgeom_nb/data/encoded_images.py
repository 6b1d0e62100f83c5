"""Encoded images on disk in a fixed order, and what is known of them before any is decoded."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

IMAGE_FILES = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")


class Span(NamedTuple):
    """Some bytes of a file."""

    path: Path
    offset: int
    size: int


Encoded = Path | Span | bytes | None
"""An image as it is stored: a file, a part of one, its bytes, or nothing where there should be one."""

Reader = Callable[[Sequence[int]], list[Encoded]]
"""Finds the encoded images at some positions. It may keep what it read, so each pass takes a new one."""


@dataclass(frozen=True)
class Records:
    """A data set before decoding.

    `labels` is an `(N,)` int64 tensor, or None where there are none; `reader()` gives a fresh `Reader` of the positions
    `0 ... N - 1`; `note` says what a reader of the data should know, such as images left out.
    """

    names: Sequence[str]
    reader: Callable[[], Reader]
    labels: torch.Tensor | None = None
    class_names: list[str] | None = None
    note: str = ""

    def __len__(self) -> int:
        return len(self.names)


def _files_at(root: Path, names: Sequence[str], positions: Sequence[int]) -> list[Encoded]:
    return [root / names[i] for i in positions]


def _files_reader(root: Path, names: Sequence[str]) -> Reader:
    return partial(_files_at, root, names)


def file_records(
    root: Path, names: Sequence[str], labels: Sequence[int] | None, class_names: list[str] | None, note: str = ""
) -> Records:
    """Records of image files: `names` are their paths below `root`."""
    numbers = None if labels is None else torch.tensor(labels, dtype=torch.long)
    return Records(names, partial(_files_reader, root, names), numbers, class_names, note)


def image_files(folder: Path) -> list[str]:
    """Names of the images directly inside a folder, in alphabetical order; hidden files, pipes and devices are none."""
    with os.scandir(folder) as entries:
        wanted = (e for e in entries if e.name.lower().endswith(IMAGE_FILES) and not e.name.startswith("."))
        return sorted(e.name for e in wanted if _is(e.is_file))


def sub_folders(folder: Path) -> list[str]:
    """Names of the folders directly inside a folder, in alphabetical order, without hidden ones."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if _is(e.is_dir) and not e.name.startswith((".", "__")))


def _is(kind: Callable[[], bool]) -> bool:
    """What a folder's entry says it is; False for a link that leads to itself, or to where one may not look."""
    try:
        return kind()
    except OSError:
        return False
