"""Measurements of step responses in words."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import xarray as xr


def median_linear_radius(response: xr.Dataset, kind: str = "random") -> float:
    """Median over images and directions of the linear radius of a kind, from a measurement of `step_response`.

    0 where it lies below the first radius, infinite where beyond the last, NaN where an error is undefined.
    """
    outcome, radius = response.linear_outcome.sel(kind=kind).values, response.linear_radius.sel(kind=kind).values
    radius = np.select([outcome == "below the first radius", outcome == "beyond the last radius"], [0, np.inf], radius)
    first, last, middle = float(response.radius[0]), float(response.radius[-1]), float(np.median(radius))
    return math.nan if math.isnan(middle) else middle if first < middle < last else 0 if middle <= first else math.inf


def linear_radius(response: xr.Dataset, kind: str = "random") -> str:
    """The `median_linear_radius` of a kind in words: `0.34`, `below 0.01`, `beyond 20` or `undefined`."""
    middle = median_linear_radius(response, kind)
    if math.isnan(middle):
        return "undefined"
    if 0 < middle < math.inf:
        return f"{middle:.2g}"
    return f"below {float(response.radius[0]):g}" if middle == 0 else f"beyond {float(response.radius[-1]):g}"


def linear_radii(responses: Mapping[str, xr.Dataset], kind: str = "random") -> str:
    """The shortest and the longest median linear radius of several networks, ordered as numbers.

    `responses` are measurements of `step_response` by the name to call their network. One whose radius is undefined is
    named, and has no say in the rest: `between 0.34 and beyond 20 (undefined for vit)`.
    """
    found = {name: (median_linear_radius(one, kind), linear_radius(one, kind)) for name, one in responses.items()}
    known = sorted(pair for pair in found.values() if not math.isnan(pair[0]))
    without = ", ".join(name for name, (middle, _) in found.items() if math.isnan(middle))
    ends = list(dict.fromkeys(words for _, words in known[:1] + known[-1:]))
    words = f"between {ends[0]} and {ends[1]}" if len(ends) == 2 else f"of {ends[0]}" if ends else "that no network has"
    return words + (f" (undefined for {without})" if without else "")
