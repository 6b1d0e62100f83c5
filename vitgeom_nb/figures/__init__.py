"""One function a figure: a measurement in, a matplotlib Figure out."""

from ..core.extras import attached

__getattr__, __dir__, __all__ = attached(__name__, __file__)
