"""The one table of what a report measures and shows, as `sections.toml` states it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Planned:
    """One measurement: its label in the run, how it is made, of how many images or pairs, and what it needs."""

    label: str
    quick: int
    full: int
    measure: str = ""
    needs: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    block: int | None = None
    """Images a shard; what suits the measure unless told."""

    @property
    def made_by(self) -> str:
        """The measure of a sweep that makes it."""
        return self.measure or self.label


@dataclass(frozen=True)
class Finding:
    """One sentence: the quantity that is computed for it, and how its number is written."""

    quantity: str
    sentence: str
    unit: str = ""
    form: str = "plain"
    sides: Mapping[str, str] = field(default_factory=dict)
    """Words for an interval below zero, above it, and for neither."""


@dataclass(frozen=True)
class Section:
    """A question, what it reads, what is drawn of that, and the sentences that answer it."""

    name: str
    title: str
    reads: tuple[str, ...]
    figures: tuple[tuple[str, str], ...]
    shows: str
    findings: tuple[Finding, ...]
    explorers: tuple[tuple[str, str], ...] = ()


@cache
def _read() -> dict[str, Any]:
    return tomllib.loads((files(__package__) / "sections.toml").read_text(encoding="utf-8"))


@cache
def planned() -> tuple[Planned, ...]:
    """Every measurement, in the order in which they are made."""
    return tuple(Planned(**(entry | {"needs": tuple(entry.get("needs", ()))})) for entry in _read()["measure"])


@cache
def sections() -> tuple[Section, ...]:
    """Every section, in the order of the page."""
    return tuple(
        Section(
            name=entry["name"],
            title=entry["title"],
            reads=tuple(entry["reads"]),
            figures=tuple(tuple(pair) for pair in entry.get("figures", ())),
            shows=entry["shows"],
            findings=tuple(Finding(**finding) for finding in entry["findings"]),
            explorers=tuple(tuple(pair) for pair in entry.get("explorers", ())),
        )
        for entry in _read()["section"]
    )


def jacobian_limit(full: bool) -> int:
    """Rows times pixels of a Jacobian that a report of a size computes whole."""
    return int(_read()["limits"]["full" if full else "quick"])
