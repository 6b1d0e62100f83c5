"""What an annotation asks for: its words, and a conversion of what is such a thing."""

from __future__ import annotations

import functools
import math
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ArgumentError, ModelError

MOST = 10**6
"""No count of steps, directions, points or resamples is larger: what it would fill is stopped before it is taken."""
MAGNITUDE = 1e30
"""No number is larger: its square would leave float64 soon, and itself float32."""
_RANGES = {"seed": (0, 2**62), "n": (0, 2**62), "frames": (1, MOST), "columns": (1, 100), "every": (1, MOST)}
_PATHS = (Path, os.PathLike, os.PathLike[str])
_CLASSES = {
    "VisionModel": (_MODEL := "a model (from vg.load(name) or vg.wrap(module, ...))"),
    "ImageModel": _MODEL,
    "Module": "a torch.nn.Module",
    "Dataset": "a measurement (the xarray.Dataset that a function of this package returned)",
    "Predictions": "predictions (from vg.predict(model, images))",
    "DataFrame": "a table (from vg.speed(folder))",
    "Tensor": "a torch tensor or a NumPy array (of real numbers)",
    "dtype": "a torch.dtype of floats (such as torch.float32)",
    "device": "a torch.device",
}


class Kind(NamedTuple):
    """What an annotation asks for, in words, and the function that converts a value or raises one of `OTHER`."""

    words: str
    convert: Callable[[Any], Any]
    error: type[ModelError] | type[ArgumentError] = ArgumentError


def kind_of(hint: Any, name: str) -> Kind | None:
    """The kind that an annotation asks for; None where it asks for nothing in particular."""
    if name == "size":  # images.height_and_width checks it, wherever it comes from
        return None
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if any(one in _PATHS for one in inner):  # beside a path, a string is one too
            inner = tuple(one for one in inner if one is not str)
        kinds = [kind_of(one, name) for one in inner]
        return None if None in kinds else _either([kind for kind in kinds if kind is not None])
    if origin is typing.Literal:
        return Kind(" or ".join(map(repr, inner)), _that(lambda value: isinstance(value, str) and value in inner))
    if hint is int:
        low, high = _RANGES.get(name, (-MOST, MOST))
        words = f"a whole number from {low} to {high}" if low >= 0 else f"a whole number up to {high}"
        return Kind(words, functools.partial(_whole, low, high))
    if hint is float and name == "temperature":  # at infinity every class is as probable
        return Kind("a number", functools.partial(_real, most=math.inf))
    if hint in _PLAIN:
        return _PLAIN[hint]
    if origin is Callable:
        return Kind("a function", _that(callable))
    if origin is not None and issubclass(origin, Iterable):
        kind = kind_of(inner[-1 if issubclass(origin, Mapping) else 0], name)
        if kind is None:
            return None
        one = re.sub(r" (or|up|from|\().*", "", kind.words.removeprefix("a ")).removesuffix("s")
        many = "sequences" if one.startswith("sequence") else one + "s"
        if issubclass(origin, Mapping):
            return Kind(f"a mapping from names to {many}", functools.partial(_mapping, kind))
        count = len(inner) if origin is tuple and Ellipsis not in inner else None
        return Kind(f"{count or 'a sequence of'} {many}", functools.partial(_sequence, kind, count))
    if not isinstance(hint, type) or hint in (Any, object):
        return None
    if getattr(hint, "_is_protocol", False) and hint.__name__ not in _CLASSES:
        return None
    error = ModelError if hint.__name__ in ("VisionModel", "ImageModel", "Module") else ArgumentError
    return Kind(_CLASSES.get(hint.__name__, f"a {hint.__name__}"), functools.partial(_instance, hint), error)


def _either(kinds: Sequence[Kind]) -> Kind:
    def convert(value: Any) -> Any:
        for kind in kinds:
            try:
                return kind.convert(value)
            except OTHER:
                continue
        raise TypeError

    return Kind(" or ".join(kind.words for kind in kinds), convert, kinds[0].error)


def _that(test: Callable[[Any], bool]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if not test(value):
            raise TypeError
        return value

    return convert


def _plain(value: Any) -> Any:
    """A Python number for one of NumPy, torch or xarray."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def _real(value: Any, most: float = MAGNITUDE) -> Any:
    number = _plain(value)
    if isinstance(number, bool) or not isinstance(number, Real) or not abs(float(number)) <= most:
        raise TypeError
    return number if isinstance(number, (int, float)) else float(number)


def _whole(low: int, high: int, value: Any) -> int:
    number = _real(value)
    if int(number) != number or not low <= number <= high:
        raise ValueError
    return int(number)


def _path(value: Any) -> Any:
    if "\0" in os.fsdecode(_instance((str, os.PathLike), value)):
        raise ValueError
    return value


def _instance(kind: Any, value: Any) -> Any:
    name = getattr(kind, "__name__", "")
    if name == "Tensor" and type(value).__module__ == "numpy" and hasattr(value, "ndim"):
        value = sys.modules["torch"].as_tensor(value)
    if not isinstance(value, kind) or (name == "dtype" and not value.is_floating_point):
        raise TypeError
    if name == "Tensor" and value.is_complex():
        raise TypeError
    if name == "Dataset" and "model" not in value.attrs:
        raise TypeError
    return value


def _sequence(kind: Kind, count: int | None, value: Any) -> tuple[Any, ...]:
    if isinstance(value, (str, bytes, Mapping)) or getattr(value, "ndim", 1) != 1:
        raise TypeError
    out = tuple(kind.convert(one) for one in value)
    if count not in (None, len(out)) or (not out and kind.words == _CLASSES["Dataset"]):
        raise ValueError
    return out


def _mapping(kind: Kind, value: Any) -> dict[str, Any]:
    if not len(_instance(Mapping, value)):
        raise ValueError
    return {_instance(str, name): kind.convert(one) for name, one in value.items()}


OTHER = (TypeError, ValueError, OverflowError)
_PLAIN: dict[Any, Kind] = {
    float: Kind("a finite number up to 1e30", _real),
    bool: Kind("True or False", lambda value: _instance(bool, _plain(value))),
    str: Kind("a string", functools.partial(_instance, str)),
    type(None): Kind("None", _that(lambda value: value is None)),
    **{kind: Kind("the path of a file or folder", _path) for kind in _PATHS},
}
