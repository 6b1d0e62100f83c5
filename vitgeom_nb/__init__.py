"""The geometry of vision-transformer embeddings, measured and drawn.

>>> import vitgeom_nb as vg
>>> model = vg.load("vit")
>>> images = vg.samples("cifar10", n=8)
"""

from .core.extras import attached
from .settings import package_version

# names load when they are first used; the stub beside this file lists them
__getattr__, __dir__, __all__ = attached(__name__, __file__)
__version__ = package_version()
