"""Progress bars that obey `TQDM_DISABLE` in notebooks too, where tqdm's own do not."""

from __future__ import annotations

import os
from typing import Any

from tqdm.auto import tqdm as _tqdm


class tqdm(_tqdm):
    """`tqdm.auto.tqdm`, silent where the environment variable `TQDM_DISABLE` is set to anything but 0."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        silenced = os.environ.get("TQDM_DISABLE", "0") not in ("", "0")
        kwargs["disable"] = silenced or bool(kwargs.get("disable"))
        super().__init__(*args, **kwargs)
