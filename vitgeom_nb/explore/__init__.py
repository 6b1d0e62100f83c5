"""Explorers: sliders over a measurement, in a page without a kernel and, with one, computing at any value."""

from ..core.extras import attached

__getattr__, __dir__, __all__ = attached(__name__, __file__)
