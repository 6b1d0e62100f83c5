"""What a sweep says while it runs, in its log, and at its end."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.progress import is_silent, tqdm
from .plan import inside
from .work import Outcome, Task

SHOWN = 8


@dataclass
class Summary:
    """What a sweep did.

    Attributes
    ----------
    path : pathlib.Path
        Folder of the run.
    measured : int
        Images and pairs that were measured now, summed over networks and measures.
    present : int
        Those that were there before.
    failed : dict of dict
        `"network measure"` -> number of an image -> why it could not be measured; the same sweep tries it again.
    failures : int
        How many failed in all.
    skipped : dict of str
        `"network"` or `"network measure"` -> why nothing of it was measured.
    stopped : str or None
        Why the sweep ended early, or None.
    seconds : float
        It took.
    working : float
        Its workers measured, together.
    """

    path: Path
    measured: int = 0
    present: int = 0
    failures: int = 0
    failed: dict[str, dict[int, str]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    stopped: str | None = None
    seconds: float = 0.0
    working: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for is there."""
        return not (self.failures or self.skipped or self.stopped)

    def skip(self, name: str, why: str) -> None:
        """Note that a network, or one of its measures, is passed over."""
        self.skipped[name] = why

    def add(self, task: Task, outcome: Outcome) -> None:
        """Count what became of a task; a thousand reasons are kept a measure, all of them in the shards."""
        self.measured += outcome.measured
        self.failures += len(outcome.failed)
        self.working += outcome.seconds
        if outcome.failed:
            known = self.failed.setdefault(f"{task.network.name} {task.entry.label}", {})
            for number, why in outcome.failed.items():
                if len(known) < 1000:
                    known[number] = why

    def lines(self) -> Iterator[str]:
        """The summary in lines."""
        yield f"done     {self.measured} measured in {_span(self.seconds)}, {self.present} were there before"
        for name, why in self.skipped.items():
            yield f"skipped  {name}: {why}"
        for name, found in self.failed.items():
            for why in list(dict.fromkeys(found.values()))[:SHOWN]:
                numbers = [number for number, other in found.items() if other == why]
                more = f" and {len(numbers) - 3} more" if len(numbers) > 3 else ""
                yield f"failed   {name}, image {', '.join(map(str, numbers[:3]))}{more}: {why}"
        if self.failures or self.skipped:
            yield "again    the same command tries what failed, and only that"
        if self.stopped:
            yield f"stopped  {self.stopped}"

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _span(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


class Log:
    """One file a process, and one bar a network with the rate and the time left."""

    def __init__(self, run: Path, part: tuple[int, int]) -> None:
        self._part = "" if part[1] == 1 else f"part {part[0]}/{part[1]} "
        stamp = time.strftime("%Y%m%d-%H%M%S")
        host = "".join(letter for letter in socket.gethostname() if letter.isalnum())[:30]
        self._path = inside(run / "logs") / f"{stamp}-{host}-{os.getpid()}.log"
        self._file: Any = None
        self._bars: dict[str, Any] = {}

    def __enter__(self) -> Log:
        with contextlib.suppress(OSError):  # a log is no reason to end a run
            self._path.parent.mkdir(exist_ok=True)
            self._file = self._path.open("x", encoding="utf-8", errors="backslashreplace")
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self._bars.values():
            bar.close()
        with contextlib.suppress(OSError):
            if self._file is not None:
                self._file.close()

    def line(self, text: str) -> None:
        """One line with the time."""
        with contextlib.suppress(OSError, ValueError):
            if self._file is not None:
                self._file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
                self._file.flush()

    def begin(self, network: str, present: int, left: int, units: Sequence[str]) -> None:
        """A network begins: of what its measures count (images, pairs) so many are there, and so many are not."""
        for name in [name for name, bar in self._bars.items() if bar.n >= bar.total]:
            self._bars.pop(name).close()
        self.line(f"{network}: {present} there, {left} to measure")
        quiet = is_silent() or not left
        unit = " " + " and ".join(f"{unit}s" for unit in units)
        self._bars[network] = tqdm(
            total=left, desc=self._part + network, unit=unit, disable=quiet, file=sys.stderr, mininterval=1
        )

    def done(self, task: Task, outcome: Outcome) -> None:
        """A block has ended."""
        name, block = task.network.name, task.block
        text = f"{name} {task.entry.label} {block.start}-{block.stop}: {outcome.measured} measured"
        if outcome.failed:
            number, why = next(iter(outcome.failed.items()))
            text += f", {len(outcome.failed)} failed, image {number}: {why}"
        self.line(f"{text}, {outcome.seconds:.2f} s")
        self._bars[name].update(block.images)

    def end(self, summary: Summary) -> None:
        """The summary."""
        for line in summary.lines():
            self.line(line)
