"""The few exceptions and the one warning a user can meet. Each message is one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class VitgeomError(Exception):
    """Base of every error this package raises on purpose."""


class ModelError(VitgeomError, ValueError):
    """An unknown model, or a module whose output is not what a measurement needs."""


class WeightsError(VitgeomError, ValueError):
    """A weights file that is missing, damaged, or not the one its card describes."""


class ImageError(VitgeomError, ValueError):
    """Images of the wrong shape, size, range or type, or none at all."""


class LabelError(VitgeomError, ValueError):
    """Labels that are missing, of the wrong length, or outside the classes."""


class DataError(VitgeomError, ValueError):
    """A data set that is unknown, absent, or not laid out as expected."""


class ArgumentError(VitgeomError, ValueError):
    """A parameter outside the range in which the measurement has a meaning."""


class MissingExtraError(VitgeomError, ImportError):
    """A package that is not installed, as no extra of this one asked for it."""


class EvidenceWarning(UserWarning):
    """The recorded measurements are not at hand, so what is measured here stands in their place."""


class HubError(VitgeomError, OSError):
    """A file of the hub that cannot be had: no network, no such name, no permission, or damaged on its way."""


class Interrupted(KeyboardInterrupt):
    """Someone stopped a long measurement; what was finished is in `finished`, as a measurement.

    It ends a program like any KeyboardInterrupt. In a notebook, `import sys; sys.last_value.finished` has the
    measurement. Any other exception that ends one keeps its type, and has `finished` too.
    """

    def __init__(self, message: str, finished: Any) -> None:
        super().__init__(message)
        self.finished = finished


_HERE = "the exception's `finished` has them."


@contextmanager
def keeping(finished: Callable[[], Any], done: Callable[[], int], total: int, what: str) -> Iterator[None]:
    """Whatever ends what runs inside brings the measurement `finished()`, unless nothing is `done()` of the `total`.

    A KeyboardInterrupt becomes `Interrupted`; another exception keeps its type, and gets a note. What a step inside had
    finished of its own gives way. `finished` must ask nothing of the network, which may be what failed.
    """
    try:
        yield
    except BaseException as error:
        count = done()
        if isinstance(error, KeyboardInterrupt):
            if not count:
                raise KeyboardInterrupt(*(() if isinstance(error, Interrupted) else error.args)) from None
            raise Interrupted(f"Stopped after {count} of {total} {what}; {_HERE}", finished()) from None
        vars(error).pop("finished", None)
        notes = vars(error).get("__notes__", [])
        notes[:] = [note for note in notes if not note.endswith(_HERE)]
        if count:
            error.finished = finished()  # type: ignore[attr-defined]
            error.add_note(f"It ended after {count} of {total} {what}; {_HERE}")
        raise


@contextmanager
def kept_as(own: Callable[[Any], Any]) -> Iterator[None]:
    """What a measurement inside had finished when something ended it is made one of the caller's own by `own`."""
    try:
        yield
    except BaseException as error:
        if getattr(error, "finished", None) is not None:
            error.finished = own(error.finished)  # type: ignore[attr-defined]
        raise
