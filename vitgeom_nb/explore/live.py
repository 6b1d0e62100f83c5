"""An explorer with a kernel behind it: ipywidgets that compute at any value, and never block."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets
import numpy as np

from ..core.modes import usual_modes
from ..core.progress import silent
from ..errors import VitgeomError
from .explorer import Control, Explorer, View
from .page import asset, panel_html, readout_html

REFRESH = 0.2  # seconds between two signs of progress


class _Superseded(Exception):
    """A computation that nobody waits for any more."""


def _html(view: View) -> str:
    panels = "".join(map(panel_html, view.panels))
    return f'<div class="vg-explorer"><div class="vg-panels">{panels}</div>{readout_html(view.readout)}</div>'


class Slider:
    """The widgets of one control: a slider with a field to type any number into, or a menu of words."""

    def __init__(self, control: Control, free: bool, changed: Callable[[str], None]) -> None:
        self.control, self._changed, self._quiet = control, changed, False
        start = control.values[control.start]
        if control.is_choice:
            self.widget: Any = widgets.Dropdown(options=control.values, value=start, description=control.label)
            self.parts: tuple[Any, ...] = (self.widget,)
        elif not free:
            options = [(control.text(v), v) for v in control.values]
            self.widget = widgets.SelectionSlider(options=options, value=start, description=control.label)
            self.parts = (self.widget,)
        else:
            low, high = control.values[0], control.values[-1]
            bounds: dict[str, Any] = {"min": low, "max": high, "step": 1 if control.whole else (high - low) / 1000}
            kind = widgets.IntSlider if control.whole else widgets.FloatSlider
            if control.log:
                kind = widgets.FloatLogSlider
                bounds = {"min": float(np.log10(low)), "max": float(np.log10(high)), "step": 0.01}
            self.widget = kind(value=start, description=control.label, readout=False, **bounds)
            self.field = widgets.FloatText(value=start, layout={"width": "8em"}, continuous_update=False)
            self.field.observe(self._typed, "value")
            self.parts = (self.widget, self.field)
        self.widget.style.description_width = "initial"
        self.widget.observe(self._moved, "value")
        self.value = start

    def _moved(self, change: Any) -> None:
        if not self._quiet:
            self._take(change["new"], "")

    def _typed(self, change: Any) -> None:
        if self._quiet:
            return
        wanted = change["new"]
        taken = self.control.clamped(wanted)
        text = self.control.text
        outside = not self.control.values[0] <= wanted <= self.control.values[-1]
        note = f"{self.control.label}: {wanted:g} lies outside the range; {text(taken)} is shown."
        self._take(taken, note if outside else "")

    def _take(self, value: Any, note: str) -> None:
        self.value, self._quiet = value, True
        try:
            self.widget.value = value
            if len(self.parts) == 2:
                self.field.value = value
        finally:
            self._quiet = False
        self._changed(note)


class Live:
    """The widgets of an explorer. A new setting shows its nearest recorded frame at once, then the computed view.

    Attributes
    ----------
    box : ipywidgets.VBox
        What is displayed.
    sliders : dict of Slider
        The controls, by name.
    """

    def __init__(self, explorer: Explorer) -> None:
        self.explorer: Explorer | None = explorer
        self._end = threading.Event()
        self._worker: threading.Thread | None = None
        self._lock = threading.Lock()
        free = explorer.compute is not None
        self.sliders = {c.name: Slider(c, free, self.refresh) for c in explorer.controls}
        self.picture = widgets.HTML()
        self.status = widgets.HTML()
        self.stop = widgets.Button(description="Stop", disabled=True, tooltip="End the computation in progress")
        self.stop.on_click(lambda _: self.interrupt())
        self.shut = widgets.Button(description="Close", tooltip="Remove this explorer and free its memory")
        self.shut.on_click(lambda _: self.close())
        rows = [widgets.HBox(slider.parts) for slider in self.sliders.values()]
        caption = f"<p><strong>{escape(explorer.title)}.</strong> {escape(explorer.caption)}</p>"
        caption += f"<style>{asset('explorer.css')}</style>"
        buttons = [self.stop, self.shut] if free else [self.shut]
        self.box = widgets.VBox([*rows, self.picture, self.status, widgets.HBox(buttons), widgets.HTML(caption)])
        self.refresh("")

    @property
    def setting(self) -> dict[str, Any]:
        """The value of every control."""
        return {name: slider.value for name, slider in self.sliders.items()}

    def refresh(self, note: str) -> None:
        """Show the nearest recorded frame, and compute where the setting lies between frames."""
        explorer = self.explorer
        if explorer is None:
            return
        with self._lock:
            self._end.set()
        setting = self.setting
        nearest = explorer.snapped(setting)
        self.picture.value = _html(explorer.frame(nearest))
        self._say(note)
        if explorer.compute is None or setting == nearest:
            self.stop.disabled = True
            return
        self._end = threading.Event()
        self.stop.disabled = False
        self._worker = threading.Thread(target=self._compute, args=(explorer, setting, note, self._end), daemon=True)
        self._worker.start()

    def _compute(self, explorer: Explorer, setting: dict[str, Any], note: str, end: threading.Event) -> None:
        passes, said = 0, 0.0

        def before() -> None:
            nonlocal passes, said
            passes += 1
            with self._lock:
                if end.is_set():
                    raise _Superseded
                if time.monotonic() - said > REFRESH:
                    said = time.monotonic()
                    self._say(f"{note} Computing: network pass {passes}; so long, the nearest recorded frame.")

        try:
            assert explorer.compute is not None
            with silent(), usual_modes():
                view = explorer.compute(setting, before)
            shown, text = _html(view), note
        except _Superseded:
            return
        except Exception as error:  # a thread has nobody else to tell
            reason = str(error) if isinstance(error, VitgeomError) else f"{type(error).__name__}: {error}"
            shown, text = None, f"{note} Not computed, the nearest recorded frame is shown. {reason}"
        with self._lock:
            if not end.is_set():
                if shown is not None:
                    self.picture.value = shown
                self._say(text)
                self.stop.disabled = True
                end.set()

    def interrupt(self) -> None:
        """End the computation in progress; the nearest recorded frame stays."""
        with self._lock:
            if not self._end.is_set():
                self._end.set()
                self.stop.disabled = True
                self._say("Stopped; the nearest recorded frame is shown.")

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the computation in progress has ended."""
        if self._worker is not None:
            self._worker.join(seconds)

    def close(self) -> None:
        """End what computes, remove the widgets, and let go of the measurement."""
        self._end.set()
        self.explorer = None
        every = [w for slider in self.sliders.values() for w in slider.parts]
        for widget in (*every, *self.box.children, self.stop, self.shut, self.box):
            widget.close()
        self.sliders = {}

    def _say(self, text: str) -> None:
        self.status.value = f'<p role="status">{escape(text.strip())}</p>' if text.strip() else ""
