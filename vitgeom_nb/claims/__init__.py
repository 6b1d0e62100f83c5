"""Published sentences, the rules that decide them, and the verdicts: `vitgeom_nb.claims.table()`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
