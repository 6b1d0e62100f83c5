"""One function a figure: a measurement in, a matplotlib Figure out."""

from .equivalent import embedding_plane, fibre_walk, homotopy, match, match_history
from .foundations import plane, plane_matches, plane_travel, plane_walk, turns
from .models_and_data import sample_images
from .paths import bend_and_distance, fgsm_step, jump_change, path_plane, random_jump, travel_distance
from .reliability import calibration_errors, reliability

__all__ = [
    "bend_and_distance",
    "calibration_errors",
    "embedding_plane",
    "fgsm_step",
    "fibre_walk",
    "homotopy",
    "jump_change",
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
    "travel_distance",
    "turns",
]
