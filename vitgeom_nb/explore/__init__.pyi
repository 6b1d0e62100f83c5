"""Explorers: sliders over a measurement, in a page without a kernel and, with one, computing at any value."""

from .bending import step_law as step_law
from .bending import trajectory as trajectory
from .boundary import fgsm_path as fgsm_path
from .calibration import reliability as reliability
from .display import Display as Display
from .equivalence import fibre_walk as fibre_walk
from .equivalence import homotopy as homotopy
from .explorer import Control as Control
from .explorer import Explorer as Explorer
from .explorer import Panel as Panel
from .explorer import Picture as Picture
from .explorer import View as View
from .jacobians import singular_steps as singular_steps
from .lipschitz import lldlc as lldlc
