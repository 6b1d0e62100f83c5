"""The geometry of vision-transformer embeddings, measured and drawn.

>>> import vitgeom_nb as vg
>>> model = vg.load("vit")
>>> images = vg.samples("cifar10", n=8)
"""

from . import errors, explore, figures, verdicts
from .additivity import additivity
from .boundary import fgsm_direction, fgsm_step, travel_distance
from .calibration import reliability, temperature
from .curvature import curvature, direction_change
from .data import Predictions, class_names, has_labelled, labelled, recorded_predictions, samples, tier_data
from .fgsm_path import fgsm_path
from .fibre import fibre_walk
from .homotopy import homotopy
from .images import Images
from .jacobian import jacobian
from .jump import random_jump
from .leading import leading_singular_values
from .lipschitz import lldlc
from .matching import match, match_remainder
from .measurement import open_measurement, package_version, save_measurement
from .models import load, models, tier
from .paths import path_plane
from .predictions import own_labels, predict, validation_predictions
from .similarity import psnr
from .singular_steps import singular_steps
from .spectra import singular_spectrum
from .speed import speed
from .steplaw import step_law
from .steps import step_response
from .streaming import LabelledImages
from .training import training_history
from .trajectory import trajectory
from .vision_model import VisionModel, wrap

__version__ = package_version()

__all__ = [
    "Images",
    "LabelledImages",
    "Predictions",
    "VisionModel",
    "additivity",
    "class_names",
    "curvature",
    "direction_change",
    "errors",
    "explore",
    "fgsm_direction",
    "fgsm_path",
    "fgsm_step",
    "fibre_walk",
    "figures",
    "has_labelled",
    "homotopy",
    "jacobian",
    "labelled",
    "leading_singular_values",
    "lldlc",
    "load",
    "match",
    "match_remainder",
    "models",
    "open_measurement",
    "own_labels",
    "path_plane",
    "predict",
    "psnr",
    "random_jump",
    "recorded_predictions",
    "reliability",
    "samples",
    "save_measurement",
    "singular_spectrum",
    "singular_steps",
    "speed",
    "step_law",
    "step_response",
    "temperature",
    "tier",
    "tier_data",
    "training_history",
    "trajectory",
    "travel_distance",
    "validation_predictions",
    "verdicts",
    "wrap",
]
