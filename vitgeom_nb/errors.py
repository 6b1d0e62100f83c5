"""The few exceptions a user can meet. Each message is one sentence that says what to do."""

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


class HubError(VitgeomError, OSError):
    """A file of the hub that cannot be had: no network, no such name, no permission, or damaged on its way."""


class Interrupted(KeyboardInterrupt):
    """Someone stopped a long measurement; what was finished is in `finished`, as a measurement.

    It ends a program like any KeyboardInterrupt. In a notebook, `import sys; sys.last_value.finished` has the
    measurement.
    """

    def __init__(self, message: str, finished: Any) -> None:
        super().__init__(message)
        self.finished = finished


@contextmanager
def keeping(finished: Callable[[], Any], done: Callable[[], int], total: int, what: str) -> Iterator[None]:
    """Whoever stops what runs inside gets the measurement `finished()`, unless nothing is `done()` of the `total`."""
    try:
        yield
    except KeyboardInterrupt:
        if not (count := done()):
            raise
        words = f"Stopped after {count} of {total} {what}; the exception's `finished` has them."
        raise Interrupted(words, finished()) from None
