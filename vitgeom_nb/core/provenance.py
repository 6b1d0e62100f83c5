"""Which call of a public function is under way, and what it was given: what a measurement says of its making."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..errors import VitgeomError
from .modes import float32_products

INPUTS = ("images", "source", "target", "targets", "along", "matches")


@dataclass(frozen=True)
class Origin:
    """What a measurement records of the network behind it, where the network itself is not at hand."""

    name: str = "none"
    layer: str = "none"
    read: str = "none"
    digest: str = "none"
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)
    device: str = "none"
    dtype: str = "none"
    float32_products: str = "none"

    @classmethod
    def of(cls, model: Any) -> Origin:
        """That of a `VisionModel` which computes now."""
        as_it_is = ("name", "layer", "read", "digest", "preprocessing", "source")
        words: dict[str, Any] = {
            "device": str(model.device),
            "dtype": str(model.dtype),
            "float32_products": float32_products(),
        }
        return cls(**{name: getattr(model, name) for name in as_it_is}, **words)


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

    Of each: `sha256`, of the float32 values and the shapes; and where it has them `names` and `source`. Data sets that
    are decoded batch by batch have a `sha256` once they were read to their end. Of predictions there is what they know
    of their images; of a measurement its `function`, `weights` and `inputs`, and the `sha256` of its values.
    """
    call = _NOW.get()
    if call is None:
        return {"function": "none", "inputs": "{}"}
    given = {name: known(call.arguments[name]) for name in INPUTS if call.arguments.get(name) is not None}
    if behind := getattr(call.arguments.get("model"), "images", None):  # of predictions
        given["images"] = dict(behind)
    return {"function": call.function, "inputs": json.dumps(given)}


def known(value: Any) -> dict[str, Any]:
    """What is known of images, directions or a measurement that a function was given; see `made_by`."""
    if hasattr(value, "data_vars"):
        return _of_measurement(value)
    said = () if hasattr(value, "requires_grad") else ("names", "source")  # old tensors name dimensions
    found = {name: what for name in said if (what := getattr(value, name, None)) is not None}
    if read := getattr(value, "sha256", None):
        return found | {"sha256": read}
    if not hasattr(value, "batches") or "pixels" in vars(value):
        sha = hashlib.sha256()
        with suppress(VitgeomError):  # what is no image ends the call elsewhere
            _update(sha, value)
            found["sha256"] = sha.hexdigest()
    return found


def _of_measurement(dataset: Any) -> dict[str, Any]:
    sha = hashlib.sha256()
    for name in sorted(map(str, dataset.variables)):
        values = dataset[name].values
        sha.update(json.dumps([name, values.dtype.str, list(values.shape)]).encode())
        sha.update(repr(values.tolist()).encode() if values.dtype.kind in "OU" else values.tobytes())
    attrs = dataset.attrs
    made = {name: attrs[name] for name in ("function", "weights") if name in attrs}
    return made | {"inputs": json.loads(attrs.get("inputs", "{}")), "sha256": sha.hexdigest()}


class PixelDigest:
    """The `sha256` of images `(B,3,H,W)` that come a batch at a time; that of all of them at once is the same."""

    def __init__(self) -> None:
        self._sha, self._count, self._shape = hashlib.sha256(), 0, (0,)

    def add(self, pixels: Any) -> None:
        """Take the next batch, a tensor."""
        self._sha.update(_bytes(pixels))
        self._count += len(pixels)
        self._shape = tuple(pixels.shape[1:])

    def hexdigest(self) -> str:
        """The digest of all that has been taken."""
        whole = self._sha.copy()
        whole.update(json.dumps([self._count, *self._shape]).encode())
        return whole.hexdigest()


def _bytes(tensor: Any) -> bytes:
    return tensor.detach().cpu().float().contiguous().numpy().tobytes()


def _update(sha: Any, value: Any) -> None:
    from .images import as_tensor

    if isinstance(value, (list, tuple)):  # pictures may have several sizes
        for one in value:
            _update(sha, one)
        return
    tensor = as_tensor(value)
    sha.update(_bytes(tensor))
    sha.update(json.dumps(list(tensor.shape)).encode())
