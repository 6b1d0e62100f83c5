"""Images in parquet files, as the hub's data sets keep them: row groups are read when their images are needed."""

from __future__ import annotations

import bisect
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from ..core.whole_files import reading
from ..errors import DataError
from .encoded_images import Encoded, Records

if TYPE_CHECKING:
    import pyarrow as pa

HELD_BYTES = 192 << 20
_NUMBERED = re.compile(r".*-(\d+)-of-(\d+)\b.*")


class Group(NamedTuple):
    """A row group of a file, and the number of its first row among all rows of all files."""

    path: Path
    number: int
    start: int


class GroupReader:
    """Rows across files. A row group is read once, and stays while it and younger ones take `HELD_BYTES` at most."""

    def __init__(self, groups: Sequence[Group], column: str) -> None:
        self._groups, self._column = groups, column
        self._starts = [group.start for group in groups]
        self._held: OrderedDict[int, pa.ChunkedArray] = OrderedDict()

    def __call__(self, positions: Sequence[int]) -> list[Encoded]:
        """The encoded images of some rows."""
        found: dict[int, bytes | None] = {}
        for g, rows in groupby(sorted(set(positions)), lambda row: bisect.bisect_right(self._starts, row) - 1):
            column = self._group(g)
            for row in rows:
                found[row] = (column[row - self._starts[g]].as_py() or {}).get("bytes")
        return [found[row] for row in positions]

    def _group(self, g: int) -> pa.ChunkedArray:
        if g in self._held:
            self._held.move_to_end(g)
            return self._held[g]
        import pyarrow.parquet as pq

        path, number, _ = self._groups[g]
        with reading(path), pq.ParquetFile(path, memory_map=True) as file:
            group = file.read_row_group(number, columns=[f"{self._column}.bytes"], use_threads=False)
        self._held[g] = group[self._column]
        while len(self._held) > 1 and sum(column.nbytes for column in self._held.values()) > HELD_BYTES:
            self._held.popitem(last=False)
        return self._held[g]


def _gap(names: Sequence[str]) -> int | None:
    """The first number that is missing among files called `...-00000-of-00014...`; None if there is no such."""
    total = 0
    for i, name in enumerate(names):
        numbers = _NUMBERED.fullmatch(name)
        if numbers is None:
            return None  # nothing says how many there are
        if int(numbers[1]) != i:
            return i
        total = int(numbers[2])
    return None if len(names) >= total else len(names)


def is_complete(names: Sequence[str]) -> bool:
    """Whether there are files, and their numbers say that none is missing."""
    return bool(names) and _gap(names) is None


def first_shards(names: Sequence[str], fetch: Callable[[str], Path], n: int | None) -> list[Path]:
    """The first files that hold `n` rows together, all of them where `n` is None; no file beyond these is fetched.

    Raises
    ------
    DataError
        If a file in between is missing or damaged.
    """
    import pyarrow.parquet as pq

    gap, rows, paths = _gap(names), 0, []
    for i, name in enumerate(names):
        if i == gap:
            break
        paths.append(fetch(name))
        with reading(paths[-1]):
            rows += pq.read_metadata(paths[-1]).num_rows
        if n is not None and rows >= n:
            return paths
    if gap is not None:
        total = _NUMBERED.fullmatch(names[0])
        assert total is not None
        raise DataError(
            f"Of the {int(total[2])} files {Path(names[0]).name.split('-')[0]}-*.parquet in {Path(names[0]).parent} "
            f"number {gap:05d} is missing; put it there too."
        )
    return paths


def shard_records(paths: Sequence[Path], column: str, title: str, class_names: list[str]) -> Records:
    """Records of parquet files: images in `column` as a struct with the field `bytes`, labels in `label`."""
    import pyarrow.parquet as pq

    groups: list[Group] = []
    labels: list[torch.Tensor] = []
    rows = 0
    for path in paths:
        with reading(path), pq.ParquetFile(path) as file:
            for wanted in (column, "label"):
                if wanted not in file.schema_arrow.names:
                    raise ValueError(f"it has no column {wanted}, only {', '.join(file.schema_arrow.names)}")
            labels.append(_labels(file.read(["label"])["label"], len(class_names)))
            for number in range(file.num_row_groups):
                groups.append(Group(path, number, rows))
                rows += file.metadata.row_group(number).num_rows
    if not rows:
        raise DataError(f"{paths[0]} holds no images; fetch it again.")
    names = [f"{title} {i}" for i in range(rows)]
    return Records(names, partial(GroupReader, groups, column), torch.cat(labels), class_names)


def _labels(column: pa.ChunkedArray, classes: int) -> torch.Tensor:
    import pyarrow as pa

    if not pa.types.is_integer(column.type) or column.null_count:
        raise ValueError(f"its labels are {column.type} with {column.null_count} missing, not a whole number each")
    labels = torch.tensor(column.to_pylist(), dtype=torch.long)
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(f"its labels go from {labels.min()} to {labels.max()}, and there are {classes} classes")
    return labels


def label_names(path: Path) -> list[str] | None:
    """Names of the labels that the hub's library writes into a file's schema; None where it did not."""
    import pyarrow.parquet as pq

    with reading(path):
        written = (pq.read_schema(path).metadata or {}).get(b"huggingface")
        if written is None:
            return None
        names = json.loads(written)["info"]["features"]["label"].get("names")
        if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise ValueError("the names of its labels are no list of words")
        return names
