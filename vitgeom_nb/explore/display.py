"""An explorer as what a notebook shows: a piece of a page and, with a kernel, live widgets."""

from __future__ import annotations

from typing import Any

from .. import settings
from .explorer import Explorer
from .page import html


class Display(Explorer):
    """An explorer that is shown by being the last value of a cell; the functions of `vitgeom_nb.explore` make it."""

    def to_html(self) -> str:
        """The explorer as a self-contained piece of a page."""
        return html(self)

    def widget(self) -> Any:
        """The explorer as a live ipywidget; `close()` it to free its memory."""
        from .live import Live  # brings ipywidgets, which a page has no use for

        return Live(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle = {"text/plain": f"<Explorer: {self.title}>", "text/html": self.to_html()}
        if settings.widgets():
            bundle |= self.widget().box._repr_mimebundle_()
        return bundle
