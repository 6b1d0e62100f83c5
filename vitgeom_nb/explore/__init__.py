"""Explorers: sliders over a measurement, in a page without a kernel and, with one, computing at any value."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
