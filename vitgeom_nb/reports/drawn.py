"""Figures of a report as SVG whose letters are letters, and its explorers."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
import numpy as np
import torch
import xarray as xr

from .. import explore, figures
from ..calibration.predictions import Predictions
from ..calibration.reliability import reliability
from ..core.provenance import Origin
from ..figures.narrow import narrow
from .sections import Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST = 22  # letters of a name in a figure
SIZE = re.compile(rb'<svg [^>]*width="([\d.]+)pt" height="([\d.]+)pt"')
SALT = "vitgeom"  # names of parts of an SVG follow from it: the same figure is the same file


class Picture(NamedTuple):
    """A drawing as SVG, and its width and height in CSS pixels."""

    svg: bytes
    width: int
    height: int


def short(name: str) -> str:
    """A name of a network as figures have room for it: of a long one its two ends.

    Examples
    --------
    >>> short("vit"), short("timm/vit_base_patch16_224.augreg_in21k_ft_in1k")
    ('vit', 'timm/vit_base…_ft_in1k')
    """
    return name if len(name) <= LONGEST else f"{name[:13]}…{name[-8:]}"


def _named(found: xr.Dataset) -> xr.Dataset:
    return found.assign_attrs(model=short(found.attrs["model"]))


def _predictions(found: xr.Dataset) -> Predictions:
    logits, labels = (torch.from_numpy(found[name].values) for name in ("logits", "label"))
    origin = Origin(name=found.attrs["model"], digest=found.attrs["weights"])
    return Predictions(logits, labels, str(found.attrs.get("data", "none")), model=origin)


def _reliability(found: xr.Dataset) -> xr.Dataset:
    seen = _predictions(found)
    return reliability(logits=seen.logits, labels=seen.labels, name=found.attrs["model"])


def _surest_path(found: xr.Dataset) -> Any:
    """Along the FGSM path of the image that the network is surest of."""
    sure = found.probability.isel(step=0).sel(path="direct").max("class")
    return explore.fgsm_path(found.assign(name=found["name"].isel(image=0)), image=int(sure.values.argmax()))


def _whole_steps(found: xr.Dataset) -> Any:
    """Steps along the directions that J has; nothing where it has no null direction."""
    has = np.isfinite(found.vector.values).all(axis=tuple(range(2, found.vector.ndim))).all(axis=0)
    return explore.singular_steps(found.isel(rank=has)) if has[0] and has.sum() > 1 else None


FIGURES: dict[str, Callable[[xr.Dataset], Figure]] = {
    "match": lambda found: figures.match(found, pairs=range(found.sizes["pair"])),
    "reliability": lambda found: figures.reliability(_reliability(found)),
}
"""Figures that take something else than the measurement alone; others are those of `vitgeom_nb.figures`."""
EXPLORERS: dict[str, Callable[[xr.Dataset], Any]] = {
    "trajectory": lambda found: explore.trajectory(found.isel(image=0)),
    "fgsm_path": _surest_path,
    "singular_steps": _whole_steps,
    "reliability": lambda found: explore.reliability({found.attrs["model"]: _predictions(found)}),
}
"""The same for explorers."""


def picture(figure: Figure) -> Picture:
    """A figure as it stands in a page."""
    out = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": SALT}):
        figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
    size = SIZE.search(out.getvalue())
    assert size
    width, height = (round(float(points) * 96 / 72) for points in size.groups())
    return Picture(out.getvalue(), width, height)


def pictures(name: str, found: xr.Dataset) -> tuple[Picture, Picture | None]:
    """A figure of a measurement, and its form for a phone where it is too wide for one."""
    figure = FIGURES.get(name, getattr(figures, name, None))(_named(found))  # type: ignore[misc]
    other = narrow(figure)
    return picture(figure), picture(other) if other else None


def drawn(section: Section, measured: Mapping[str, xr.Dataset]) -> list[tuple[str, Picture, Picture | None]]:
    """Name of each figure of a section, it, and its form for a phone."""
    return [(name, *pictures(name, measured[label])) for name, label in section.figures if label in measured]


def explored(section: Section, measured: Mapping[str, xr.Dataset]) -> list[Any]:
    """The explorers of a section; those of measurements that are not there, or hold too little, are left out."""
    each = [
        EXPLORERS.get(name, getattr(explore, name, None))(_named(measured[label]))  # type: ignore[misc]
        for name, label in section.explorers
        if label in measured
    ]
    return [one for one in each if one is not None]
