"""What a sweep is to measure, as texts, names with parameters, or functions: measures with a label and a size each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..errors import ArgumentError
from .measures import RESERVED, Measure, check_label, find


@dataclass(frozen=True)
class Entry:
    """One measure of a sweep with its parameters, under a label of its own."""

    label: str
    measure: Measure
    parameters: Mapping[str, Any]
    images: int | None = None
    block: int | None = None
    labels: Literal["given", "own"] = "given"

    @property
    def size(self) -> int:
        """Images a shard: a multiple of those of a call."""
        block, together = self.block or self.measure.block, self.measure.together
        return -(-block // together) * together


def entry(text: str, label: str | None = None) -> Entry:
    """What `[label=]measure[:parameter=value,...]` says; values are JSON where they can be read so, else text.

    Raises
    ------
    ArgumentError
        If there is no such measure or parameter.
    """
    head, _, rest = text.partition(":")
    if head.endswith(".py") or ".py:" in text:
        file, _, rest = text.partition(".py:")
        function, _, rest = rest.partition(":")
        head = f"{file}.py:{function}"
    if "=" in head:
        label, _, head = head.partition("=")
    given: dict[str, Any] = {}
    for part in _parts(rest):
        key, equals, value = part.partition("=")
        if not equals or not key.strip().isidentifier():
            raise ArgumentError(f"{text!r:.200} is no measure: write NAME, or NAME:parameter=value,parameter=value.")
        given[key.strip()] = _value(value.strip())
    return made(label, head.strip(), given)


def made(label: str | None, name: str, given: Mapping[str, Any]) -> Entry:
    """The entry of a measure by name with parameters; `images`, `block` and `labels` are the sweep's own.

    Raises
    ------
    ArgumentError
        If there is no such measure or parameter, or a value is none that JSON holds.
    """
    found = find(name)
    label = found.name if label is None else label.strip()
    check_label(label)
    try:
        given = json.loads(json.dumps(dict(given)))
    except (TypeError, ValueError):
        raise ArgumentError(f"The parameters of {label} must be numbers, texts and lists of them.") from None
    own = _own(label, **{key: given[key] for key in RESERVED if key in given})
    rest = {key: value for key, value in given.items() if key not in RESERVED}
    found.check(rest)
    return Entry(label, found, rest, **own)


def _own(label: str, **given: Any) -> dict[str, Any]:
    for key in ("images", "block"):
        if key in given and not (type(given[key]) is int and given[key] > 0):
            raise ArgumentError(f"{key} of {label} is {given[key]!r}; it is a whole number, at least one.")
    if given.get("labels", "given") not in ("given", "own"):
        raise ArgumentError(f"labels of {label} is {given['labels']!r}; it is given or own, the network's own.")
    return given


def entries(measures: Sequence[Any] | Mapping[str, Any]) -> list[Entry]:
    """What to measure: texts, functions that wear `measure`, or label -> text or (name, parameters).

    Raises
    ------
    ArgumentError
        If one is something else, none is given, or two have one label.
    """
    pairs = measures.items() if isinstance(measures, Mapping) else [(None, one) for one in measures]
    out = [_entry(label, one) for label, one in pairs]
    if not out:
        raise ArgumentError("There is nothing to measure; name at least one measure.")
    labels = [one.label for one in out]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise ArgumentError(f"Two measures are called {twice[0]!r}; give one a label: other={twice[0]}:...")
    return out


def _entry(label: str | None, one: Any) -> Entry:
    if isinstance(one, str):
        return replace(entry(one), label=label) if label is not None and check_label(label) else entry(one)
    own = getattr(one, "sweep_measure", None)
    if own is not None:
        return Entry(label or own.name, own, {})
    if isinstance(one, (tuple, list)) and len(one) == 2 and isinstance(one[0], str) and isinstance(one[1], Mapping):
        return made(label, one[0], one[1])
    raise ArgumentError(
        f"A measure is a name, (name, parameters) or a function that wears vg.measure, not {type(one).__name__}."
    )


def _parts(text: str) -> list[str]:
    """Split at commas outside brackets."""
    out, depth = [""], 0
    for letter in text:
        depth += (letter in "[{(") - (letter in "]})")
        if letter == "," and depth == 0:
            out.append("")
        else:
            out[-1] += letter
    return [part for part in out if part.strip()]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)
