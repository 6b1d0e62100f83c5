"""Measurements of several networks as one table, and scalars with their intervals in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import pandas as pd
import xarray as xr

from .intervals import median_interval


def interval(measurement: xr.Dataset, name: str, form: str = ".3f", scale: float = 1.0) -> str:
    """A scalar of a measurement with its interval: `0.031 [0.024, 0.038]`, or word that there is none.

    Parameters
    ----------
    measurement
        Has the scalars `name`, `name_low` and `name_high`.
    name
        The scalar in question.
    form
        How a number is written.
    scale
        What each is multiplied with first.
    """
    value, low, high = (scale * float(measurement[key]) for key in (name, f"{name}_low", f"{name}_high"))
    if math.isnan(low) or math.isnan(high):
        return "too few images" if math.isnan(value) else f"{value:{form}} [too few images]"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


Families: TypeAlias = Mapping[str, str] | pd.Series | None


def table(
    measurements: Sequence[xr.Dataset], rows: Iterable[Mapping[str, object]], families: Families = None
) -> pd.DataFrame:
    """Rows of words and numbers, named by the networks measured; with `families`, the class of each comes first."""
    out = pd.DataFrame(list(rows), index=[m.attrs["model"] for m in measurements])
    if families is not None:
        out.insert(0, "class", [families[name] for name in out.index])
    return out


def median_in_words(values: Any, form: str = ".1f") -> str:
    """Median of the values `(N,)` that are not NaN with its interval: `8.6 [7.0, 10.2]`.

    Examples
    --------
    >>> from vitgeom_nb.statistics.tables import median_in_words
    >>> median_in_words([1, 2, 3, 4, 5, 6])
    '3.5 [1.0, 6.0]'
    """
    value, low, high = median_interval(values)
    return f"{value:{form}} [{'too few images' if math.isnan(low) else f'{low:{form}}, {high:{form}}'}]"
