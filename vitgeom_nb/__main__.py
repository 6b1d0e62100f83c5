"""The command line: models, figures drawn to a folder, sweeps of data sets, exports, and what this installation has."""

from __future__ import annotations

from .core import stopping  # listens to Ctrl-C from here on

# isort: split
import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, TextIO

import vitgeom_nb as vg

from . import settings
from .commands import claims, doctor, export, figures, models, report, sweep
from .errors import VitgeomError

COMMANDS = (models, report, figures, sweep, export, claims, doctor)


class _Parser(argparse.ArgumentParser):
    """One that ends in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; {self.prog} --help lists what there is.\n")


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = _Parser(prog="vitgeom-nb", description=__doc__)
    top.add_argument("--version", action="version", version=f"vitgeom-nb {vg.__version__}")
    top.add_argument("--traceback", action="store_true", help="show where an error that nobody foresaw arose")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; whatever ends it early is one line on stderr, and a reader that closed its pipe is not even that.

    Exit status 2 for what the user can mend, 1 for what nobody foresaw, 130 after Ctrl-C, 141 after a closed pipe.
    """
    program = arguments is None
    with stopping.listening(program) as stop:
        try:
            status, words = _outcome(arguments)
        except BaseException:  # a way out of argparse, --traceback, or whatever became of a KeyboardInterrupt
            if not stop.asked:
                raise
            status, words = 130, stopping.WORDS
        stop.raises = False
        if stop.asked:
            if program:
                stopping.end_at_once()
            status, words = 130, stopping.WORDS
        if words and sys.stderr:
            with contextlib.suppress(OSError):
                print(words, file=sys.stderr)
        return status


def _outcome(arguments: Sequence[str] | None) -> tuple[int, str]:
    """Exit status of a command, and what is to be said of it."""
    options = parser().parse_args(arguments)
    settings.sleeping_threads()
    if sys.stdout is None:  # as after >&-
        return 2, "vitgeom-nb: stdout is closed; let it be a terminal, a file or a pipe."
    stdout = _Stdout(sys.stdout)
    try:
        with contextlib.redirect_stdout(stdout):
            status = options.command(options)
            stdout.flush()
        return status, ""
    except VitgeomError as error:
        return 2, f"vitgeom-nb: {error}"
    except KeyboardInterrupt:
        return 130, stopping.WORDS
    except Exception as error:
        if stdout.refused:
            # Python would try once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):
                return 141, ""
            reason = getattr(error, "strerror", None) or error
            return 2, f"vitgeom-nb: stdout cannot be written ({reason}); make room, or send it elsewhere."
        if options.traceback:
            raise
        what = str(error).strip().split("\n")[0]
        where = "once more after vitgeom-nb --traceback says where"
        return 1, f"vitgeom-nb: an error that nobody foresaw, {type(error).__name__}: {what} ({where})"


class _Stdout:
    """A stream that tells whether it was what refused to be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self.refused = stream, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._noted():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._noted():
            self._stream.flush()

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError):
            self.refused = True
            raise


if __name__ == "__main__":
    sys.exit(main())
