"""Published sentences, the rules that decide them, and the verdicts: `vitgeom_nb.claims.table()`."""

from ..core.extras import attached

__getattr__, __dir__, __all__ = attached(__name__, __file__)
