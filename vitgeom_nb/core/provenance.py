"""Which call of a public function is under way, and what it was given: what a measurement says of its making."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, NamedTuple

from ..errors import VitgeomError

INPUTS = ("images", "source", "target", "targets", "along")


class Call(NamedTuple):
    """A public function by its name, and what a caller gave it."""

    function: str
    arguments: Mapping[str, Any]


_NOW: ContextVar[Call | None] = ContextVar("call", default=None)


@contextmanager
def calling(function: str, arguments: Mapping[str, Any]) -> Iterator[None]:
    """What runs inside is this call, until it makes another one."""
    token = _NOW.set(Call(function, arguments))
    try:
        yield
    finally:
        _NOW.reset(token)


def made_by() -> dict[str, str]:
    """Name of the innermost function that is under way, and as JSON what is known of its images and directions.

    Of each: `sha256`, of the shapes and the float32 values; and where it has them `names` and `source`. Data sets that
    are decoded batch by batch have no `sha256`.
    """
    call = _NOW.get()
    if call is None:
        return {"function": "none", "inputs": "{}"}
    given = {name: call.arguments[name] for name in INPUTS if call.arguments.get(name) is not None}
    return {"function": call.function, "inputs": json.dumps({name: _known(value) for name, value in given.items()})}


def _known(value: Any) -> dict[str, Any]:
    known = {name: found for name in ("names", "source") if (found := getattr(value, name, None)) is not None}
    if not hasattr(value, "batches") or "pixels" in vars(value):
        sha = hashlib.sha256()
        with suppress(VitgeomError):  # what is no image ends the call elsewhere
            _update(sha, value)
            known["sha256"] = sha.hexdigest()
    return known


def _update(sha: Any, value: Any) -> None:
    from .images import as_tensor

    if isinstance(value, (list, tuple)):  # pictures may have several sizes
        for one in value:
            _update(sha, one)
        return
    tensor = as_tensor(value).detach().cpu().float().contiguous()
    sha.update(json.dumps(list(tensor.shape)).encode())
    sha.update(tensor.numpy().tobytes())
