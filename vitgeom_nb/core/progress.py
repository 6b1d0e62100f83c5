"""Progress bars that obey `TQDM_DISABLE` in notebooks too, where tqdm's own do not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm.auto import tqdm as _tqdm

_SILENT: ContextVar[bool] = ContextVar("silent", default=False)


@contextmanager
def silent() -> Iterator[None]:
    """No bars inside, in this thread, for work that shows its progress elsewhere."""
    token = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(token)


class tqdm(_tqdm):
    """`tqdm.auto.tqdm`, silent inside `silent()` and where `TQDM_DISABLE` is set to anything but 0."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        silenced = _SILENT.get() or os.environ.get("TQDM_DISABLE", "0") not in ("", "0")
        kwargs["disable"] = silenced or bool(kwargs.get("disable"))
        super().__init__(*args, **kwargs)
