"""What every explorer is made of: controls, and a view for every setting of them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

Setting = Mapping[str, Any]
"""The value of every control, by name."""


@dataclass(frozen=True)
class Control:
    """One slider, or one choice where the values are words.

    Attributes
    ----------
    name : str
        What code calls it.
    label : str
        What readers call it.
    values : tuple
        The stops of the slider in a page, increasing; a kernel computes between them too. Or words to choose from.
    form : str
        How a value is written, such as `"{:.2f}"`.
    start : int
        Number of the value that is shown first.
    whole : bool
        Whether only whole numbers have a meaning.
    log : bool
        Whether the values are spaced by equal factors.
    """

    name: str
    label: str
    values: tuple[Any, ...]
    form: str = "{:.3g}"
    start: int = 0
    whole: bool = False
    log: bool = False

    @property
    def is_choice(self) -> bool:
        """Whether this is a choice among words and not a slider."""
        return isinstance(self.values[0], str)

    def text(self, value: Any) -> str:
        """A value as readers see it."""
        return value if self.is_choice else self.form.format(value)

    def clamped(self, value: float) -> float:
        """The value, brought into the range of the slider."""
        value = min(max(value, self.values[0]), self.values[-1])
        return round(value) if self.whole else value

    def nearest(self, value: Any) -> int:
        """Number of the stop nearest to a value."""
        if self.is_choice:
            return self.values.index(value)
        return min(range(len(self.values)), key=lambda k: abs(self.values[k] - value))


@dataclass(frozen=True)
class Picture:
    """An encoded picture and the size in pixels at which it was made and is shown."""

    mime: str
    data: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The picture as a data address."""
        return f"data:{self.mime};base64,{base64.b64encode(self.data).decode()}"


@dataclass(frozen=True)
class Panel:
    """A picture with a heading, and a sentence that says what it shows.

    `overlay` is SVG in the pixels of the picture that lies over it; None where nothing ever does.
    """

    title: str
    picture: Picture
    alt: str
    overlay: str | None = None


@dataclass(frozen=True)
class View:
    """What an explorer shows at one setting: panels, and numbers by their names."""

    panels: tuple[Panel, ...]
    readout: dict[str, str]


Compute = Callable[[Setting, Callable[[], None]], View]
"""The view at any setting; calls its second argument ahead of every forward pass, which may raise to end it."""


@dataclass(frozen=True)
class Explorer:
    """Sliders over a measurement. In a page without a kernel they move between recorded frames; with one they compute.

    It knows neither pages nor widgets; `display.Display` shows it as both.

    Attributes
    ----------
    title : str
        Its name.
    caption : str
        The sentence that says what to see.
    controls : tuple of Control
        The first with more than one value that is not a choice is the one that Play moves.
    frame : callable
        Setting with values of the controls -> View, from the measurement alone.
    compute : callable or None
        Any setting -> View, with the network; None where there is no network at hand.
    script : str
        Name of the script that draws in the page from `data`; frames are recorded where there is none.
    subject : str
        What is explored, in one word: `sight`, `boundary`, `match`, `blind` or `bend`; empty for anything else.
    networks : tuple of str
        Names of the networks measured, in the order in which a control chooses among them.
    """

    title: str
    caption: str
    controls: tuple[Control, ...]
    frame: Callable[[Setting], View]
    compute: Compute | None = None
    script: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    subject: str = ""
    networks: tuple[str, ...] = ()

    @property
    def start(self) -> dict[str, Any]:
        """The setting that is shown first."""
        return {c.name: c.values[c.start] for c in self.controls}

    def settings(self) -> Iterator[dict[str, Any]]:
        """All settings of a page, the last control moving fastest."""
        names = [c.name for c in self.controls]
        return (dict(zip(names, values, strict=True)) for values in product(*(c.values for c in self.controls)))

    def snapped(self, setting: Setting) -> dict[str, Any]:
        """The setting of a page nearest to any setting."""
        return {c.name: c.values[c.nearest(setting[c.name])] for c in self.controls}
