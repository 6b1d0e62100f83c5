"""Explorers: sliders over a measurement, in a page without a kernel and, with one, computing at any value."""

from .core import Control, Explorer, Panel, Picture, View
from .curvature import step_law, trajectory
from .equivalent import fibre_walk, homotopy
from .lipschitz import lldlc
from .paths import fgsm_path
from .reliability import reliability
from .spectra import singular_steps

__all__ = [
    "Control",
    "Explorer",
    "Panel",
    "Picture",
    "View",
    "fgsm_path",
    "fibre_walk",
    "homotopy",
    "lldlc",
    "reliability",
    "singular_steps",
    "step_law",
    "trajectory",
]
