"""One function a figure: a measurement in, a matplotlib Figure out."""

from .curvature import additivity, curvature, direction_change, step_law, trajectory
from .equivalent import embedding_plane, fibre_walk, homotopy, match, match_history
from .foundations import plane, plane_matches, plane_travel, plane_walk, turns
from .lipschitz import lipschitz_ratio, lldlc
from .models_and_data import sample_images
from .paths import bend_and_distance, fgsm_step, jump_change, path_plane, random_jump, travel_distance
from .reliability import calibration_errors, reliability
from .spectra import singular_spectrum, singular_vectors, step_response
from .speed import speed, speed_growth, speed_memory
from .training import training_history

__all__ = [
    "additivity",
    "bend_and_distance",
    "calibration_errors",
    "curvature",
    "direction_change",
    "embedding_plane",
    "fgsm_step",
    "fibre_walk",
    "homotopy",
    "jump_change",
    "lipschitz_ratio",
    "lldlc",
    "match",
    "match_history",
    "path_plane",
    "plane",
    "plane_matches",
    "plane_travel",
    "plane_walk",
    "random_jump",
    "reliability",
    "sample_images",
    "singular_spectrum",
    "singular_vectors",
    "speed",
    "speed_growth",
    "speed_memory",
    "step_law",
    "step_response",
    "training_history",
    "trajectory",
    "travel_distance",
    "turns",
]
