"""Progress bars that obey `TQDM_DISABLE` in notebooks too, where tqdm's own do not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm.auto import tqdm as _tqdm

from .. import settings

_SILENT: ContextVar[bool] = ContextVar("silent", default=False)


@contextmanager
def silent() -> Iterator[None]:
    """No bars inside, in this thread, for work that shows its progress elsewhere."""
    token = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(token)


def is_silent() -> bool:
    """Whether bars are off here: inside `silent()`, or where `TQDM_DISABLE` is set to anything but 0."""
    return _SILENT.get() or settings.silent()


class tqdm(_tqdm):
    """`tqdm.auto.tqdm`, but for places where `is_silent()`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["disable"] = is_silent() or bool(kwargs.get("disable"))
        super().__init__(*args, **kwargs)
