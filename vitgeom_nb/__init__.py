"""The geometry of vision-transformer embeddings, measured and drawn.

>>> import vitgeom_nb as vg
>>> model = vg.load("vit")
>>> images = vg.samples("cifar10", n=8)
"""

from . import errors, figures
from .boundary import fgsm_direction, own_labels, travel_distance
from .calibration import reliability, temperature
from .curvature import direction_change
from .data import Predictions, has_labelled, labelled, recorded_predictions, samples
from .images import Images
from .jacobian import jacobian, singular_spectrum
from .jump import random_jump
from .lipschitz import lldlc
from .matching import match
from .measurement import open_measurement, package_version, save_measurement
from .models import VisionModel, load, models, tier, wrap
from .similarity import psnr
from .steps import step_response

__version__ = package_version()

__all__ = [
    "Images",
    "Predictions",
    "VisionModel",
    "direction_change",
    "errors",
    "fgsm_direction",
    "figures",
    "has_labelled",
    "jacobian",
    "labelled",
    "lldlc",
    "load",
    "match",
    "models",
    "open_measurement",
    "own_labels",
    "psnr",
    "random_jump",
    "recorded_predictions",
    "reliability",
    "samples",
    "save_measurement",
    "singular_spectrum",
    "step_response",
    "temperature",
    "tier",
    "travel_distance",
    "wrap",
]
