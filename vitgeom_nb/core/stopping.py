"""Ctrl-C in the command line: remembered whenever it comes, and what decides how the program ends.

An exception from a signal may arise anywhere: what is being imported turns it into an exception of another kind, or
swallows it. So the handler remembers that it was called.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

WORDS = "vitgeom-nb: stopped; what was written before is whole."


class Stop:
    """Whether Ctrl-C came, and whether it may still raise KeyboardInterrupt."""

    def __init__(self) -> None:
        self.asked, self.raises = False, True

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """Remember, and raise."""
        self.asked = True
        if self.raises:
            raise KeyboardInterrupt


_LISTENING: list[Stop] = []


def check() -> None:
    """Raise KeyboardInterrupt if Ctrl-C came before, and something on the way swallowed it."""
    if any(stop.asked for stop in _LISTENING):
        raise KeyboardInterrupt


@contextlib.contextmanager
def listening(program: bool) -> Iterator[Stop]:
    """Remember Ctrl-C inside the block. After it, a program that is about to end takes no notice; others do as before.

    Outside the main thread, or where Ctrl-C is ignored, nothing changes.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        yield stop
        return
    before = signal.signal(signal.SIGINT, stop.on_signal)
    _LISTENING.append(stop)
    try:
        yield stop
    finally:
        stop.raises = False
        _LISTENING.remove(stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN if program else before)


def end_at_once(*_: object) -> None:
    """End a program that was stopped, without what Python does at its end, to which modules half loaded are no good."""
    with contextlib.suppress(OSError):
        os.write(2, WORDS.encode() + b"\n")
    os._exit(130)


def _is_program() -> bool:
    name = Path(sys.argv[0]) if sys.argv else Path()
    return name.stem == "vitgeom-nb" or name.parts[-2:] == ("vitgeom_nb", "__main__.py")


# while the command line loads there is nothing to clear up
if _is_program() and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, end_at_once)
