"""The geometry of vision-transformer embeddings, measured and drawn.

>>> import vitgeom_nb as vg
>>> model = vg.load("vit")
>>> images = vg.samples("cifar10", n=8)
"""

from . import errors
from .data import Images, Predictions, has_labelled, labelled, recorded_predictions, samples
from .measurement import open_measurement, package_version, save_measurement
from .models import VisionModel, load, models, tier, wrap

__version__ = package_version()

__all__ = [
    "Images",
    "Predictions",
    "VisionModel",
    "errors",
    "has_labelled",
    "labelled",
    "load",
    "models",
    "open_measurement",
    "recorded_predictions",
    "samples",
    "save_measurement",
    "tier",
    "wrap",
]
