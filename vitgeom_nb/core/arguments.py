"""The door of arguments: a public function says in its annotations what it takes, and `checked` holds callers to it."""

from __future__ import annotations

import functools
import inspect
import reprlib
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, overload

from ..errors import ArgumentError
from .annotations import OTHER, Kind, kind_of
from .extras import extras
from .modes import usual_modes
from .provenance import calling

_INDICES = {"image": "image", "pair": "pair", "pairs": "pair"}  # argument -> dimension it counts in
P = ParamSpec("P")
R = TypeVar("R")


@overload
def checked(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def checked(**holds: Sequence[str]) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def checked(function: Any = None, /, **holds: Sequence[str]) -> Any:
    """Check each argument that a caller gives against the annotation of its parameter.

    Numbers are finite, and neither truth values nor strings; those of NumPy and tensors of no dimension become plain
    ones, and a whole number such as 2.0 stands for 2. Counts end at a million. Sequences become tuples.
    What is annotated `Any` is checked elsewhere: images by `VisionModel.pixels`, labels beside it.

    Parameters
    ----------
    function
        The public function.
    **holds
        Argument that takes measurements -> names of variables or coordinates that each must have.

    Raises
    ------
    ArgumentError, ModelError
        By the function, when a caller's argument is of another kind: one sentence with its name and what to pass.

    Examples
    --------
    >>> @checked
    ... def walk(*, steps: int = 20) -> int:
    ...     return steps
    >>> walk(steps=2.0)
    2
    >>> walk(steps="many")
    Traceback (most recent call last):
    vitgeom_nb.errors.ArgumentError: walk() takes a whole number up to 1000000 as steps, not 'many'.
    """
    return functools.partial(_door, holds) if function is None else _door(holds, function)


def _door(holds: Mapping[str, Sequence[str]], function: Callable[P, R]) -> Callable[P, R]:
    room = function.__module__.split(".")[1:2]
    call: Any = function  # what it is given now has no type that a checker could follow
    title = ".".join([*(part for part in room if part in ("figures", "explore")), function.__name__]) + "()"

    @functools.cache  # annotations name heavy modules: they are read when the function is first called
    def kinds() -> tuple[list[str], dict[str, Kind]]:
        hints = typing.get_type_hints(function)
        order = list(inspect.signature(function).parameters)
        found = {name: kind_of(hints[name], name) for name in order if name in hints}
        return order, {name: kind for name, kind in found.items() if kind is not None}

    def within(given: dict[str, Any]) -> None:
        """Stop indices that a measurement beside them does not have."""
        found = [data for name in holds if name in given for data in _datasets(given[name])]
        for name in _INDICES.keys() & given.keys():
            if name not in kinds()[1] or given[name] is None:
                continue  # it is not a number there
            chosen = given[name] if isinstance(given[name], tuple) else (given[name],)
            least = min((data.sizes.get(_INDICES[name], 0) for data in found), default=0)
            if not chosen or not all(-least <= one < least for one in chosen):
                raise ArgumentError(f"{title} takes {name} from 0 to {least - 1} of these, not {_shown(given[name])}.")

    def admit(name: str, value: Any, known: dict[str, Kind]) -> Any:
        kind = known.get(name)
        if kind is None:
            return value
        try:
            given = kind.convert(value)
        except OTHER:
            raise kind.error(f"{title} takes {kind.words} as {name}, not {_shown(value)}.") from None
        for data in _datasets(given) if name in holds else ():
            there = {*getattr(data, "variables", ()), *getattr(data, "dims", ()), *getattr(data, "columns", ())}
            if lacks := [key for key in holds[name] if key not in there]:
                of = f", of {data.attrs['model']}," if "model" in data.attrs else ""
                raise ArgumentError(
                    f"{title} takes another kind as {name}, as its help says: this one{of} has no "
                    f"{' and no '.join(lacks)}."
                )
        return given

    @functools.wraps(function)
    def door(*args: P.args, **kwargs: P.kwargs) -> R:
        with extras():
            order, known = kinds()
            lead = [admit(name, value, known) for name, value in zip(order, args, strict=False)]
            rest = {name: admit(name, value, known) for name, value in kwargs.items()}
            if holds:
                within(rest | dict(zip(order, lead, strict=False)))
            with usual_modes(), calling(function.__qualname__, dict(zip(order, lead, strict=False)) | rest):
                return call(*lead, *args[len(lead) :], **rest)

    return door


def _datasets(given: Any) -> Iterable[Any]:
    """The measurements in one, a sequence of them, or a mapping of either."""
    if isinstance(given, tuple):
        return given
    return [given] if hasattr(given, "attrs") else [data for group in given.values() for data in _datasets(group)]


def _shown(value: Any) -> str:
    """A value in a sentence: itself where it is short and plain, else its type."""
    held = value if isinstance(value, (list, tuple)) else [value]
    if all(isinstance(one, (str, float, int, type(None))) for one in held):
        try:
            return reprlib.repr(value)
        except ValueError:  # an integer of more digits than Python writes
            pass
    return f"a value of type {type(value).__name__}"
