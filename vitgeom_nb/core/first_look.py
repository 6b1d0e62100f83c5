"""A child process that opens files before we do: what crashes it, or keeps it busy for ever, does so to nobody else."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

_SERVE = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]);"
    "from vitgeom_nb.core import first_look, netcdf; first_look.serve(netcdf.probe)"
)


class _Child:
    """One process for all files, as starting it takes longer than most of them; it ends with the one that began it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def survives(self, path: str, limit: int, seconds: float) -> bool:
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            answered = False
            timer = threading.Timer(seconds, process.kill)
            timer.start()
            try:
                process.stdin.write(json.dumps([path, limit]).encode() + b"\n")
                process.stdin.flush()
                answered = process.stdout.readline() == b"done\n"
            except OSError:  # it is gone
                pass
            finally:
                timer.cancel()
                if not answered:
                    self._end()
            return answered

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            command = [sys.executable, "-c", _SERVE, json.dumps(sys.path)]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        return self._process

    def _end(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was not yet written has no reader
                pipe.close()

    def end(self) -> None:
        with self._lock:
            self._end()


_CHILD = _Child()
_OF_PARENTS: list[_Child] = []  # after a fork: the child of another, which is not ours to end or to use


def _forked() -> None:
    global _CHILD
    _OF_PARENTS.append(_CHILD)
    _CHILD = _Child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
atexit.register(lambda: _CHILD.end())


def survives(path: str, limit: int, seconds: float) -> bool:
    """Whether a process that opens a NetCDF file, of arrays of no more than `limit` bytes, is there after it.

    It has so many `seconds`. What the file holds, or lacks, is no matter.
    """
    return _CHILD.survives(path, limit, seconds)


def serve(probe: Callable[[str, int], None]) -> None:
    """Open the files that stdin names, one a line, with `probe`, and say so; in the child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who began this one decides what Ctrl-C ends
    with os.fdopen(os.dup(1), "wb", buffering=0) as answers:
        os.dup2(2, 1)  # what a library prints is no answer
        for line in sys.stdin.buffer:
            probe(*json.loads(line))
            answers.write(b"done\n")
