"""Measurements as tables: a row an image or pair."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

SPLIT = ("path", "kind")  # dimensions whose few values have columns of their own


def unit_of(found: xr.Dataset) -> str:
    """What a measurement has one of each: `"image"` or `"pair"`."""
    return "pair" if "pair" in found.dims else "image"


def rows(found: xr.Dataset) -> pd.DataFrame:
    """A row an image or pair; of what has more dimensions the median over them, `<variable>_median`.

    Paths and kinds of directions have columns of their own, `<variable>_<path>`. Pictures and vectors are left out.

    Examples
    --------
    >>> import xarray as xr
    >>> turns = xr.Dataset({"angle": (("image", "step"), [[1.0, 2.0, 9.0]])}, {"image": [4]})
    >>> rows(turns).to_dict("list")
    {'image': [4], 'angle_median': [2.0]}
    """
    unit = unit_of(found)
    columns = {unit: found[unit].values}
    for name, variable in found.data_vars.items():
        if unit in variable.dims and not {"channel", "component", "dimension"} & set(variable.dims):
            columns |= dict(_columns(str(name), variable, unit))
    return pd.DataFrame(columns)


def _columns(name: str, variable: xr.DataArray, unit: str) -> Iterator[tuple[str, np.ndarray]]:
    split = next((dim for dim in variable.dims if dim in SPLIT and dim in variable.coords), None)
    if split is not None:
        for value in variable[split].values:
            yield from _columns(f"{name}_{value}", variable.sel({split: value}, drop=True), unit)
    elif variable.ndim == 1:
        yield name, variable.values
    elif variable.dtype.kind in "biuf":
        values = variable.transpose(unit, ...).values.reshape(variable.sizes[unit], -1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # an image that has no number
            yield f"{name}_median", np.nanmedian(values.astype(np.float64), axis=1)
