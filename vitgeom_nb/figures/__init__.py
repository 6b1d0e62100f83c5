"""One function a figure: a measurement in, a matplotlib Figure out."""

from .foundations import plane, plane_matches, plane_travel, plane_walk, turns
from .models_and_data import sample_images

__all__ = [
    "plane",
    "plane_matches",
    "plane_travel",
    "plane_walk",
    "sample_images",
    "turns",
]
