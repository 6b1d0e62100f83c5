"""Where recorded numbers come from: the files of the evidence, and which of the planned ones are there."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import pandas as pd
import xarray as xr

from .evidence import evidence, networks_of
from .runs import opened

COLUMNS = ("network", "measure", "data", "n", "seconds", "device", "package", "torch", "weights")


def recorded_files(run: Mapping[str, Mapping[str, xr.Dataset]] | None = None) -> pd.DataFrame:
    """One row for each measurement that was recorded: of which network, of how much, by what, in how many seconds.

    Parameters
    ----------
    run
        A mapping from networks to mappings from names of measurements to these; the recorded evidence unless told.

    Returns
    -------
    pandas.DataFrame
        Columns `network`, `measure`, `data`, `n` (images or pairs), `seconds`, `device`, `package`, `torch`, and the
        first digits of the digest of the `weights`. Predictions that ship with a network are no file of the evidence.

    Examples
    --------
    >>> recorded_files({"vit": {}}).empty
    True
    """
    rows = []
    for network, measures in opened(run).items():
        for name, found in measures.items():
            about = found.attrs
            if math.isnan(about.get("seconds", math.nan)):  # ships with a network
                continue
            row = {"network": network, "measure": name, "data": _data(found), "n": _count(found)}
            row |= {key: about[key] for key in ("device", "package", "torch")}
            weights = about.get("network_weights", about["weights"])
            rows.append(row | {"seconds": float(about["seconds"]), "weights": weights[:12]})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _data(found: xr.Dataset) -> str:
    """Data set and split; of older files the source of their images, if they say it."""
    if "recorded" in found.attrs:
        return str(json.loads(found.attrs["recorded"])["data"])
    images = json.loads(found.attrs.get("inputs", "{}")).get("images", {})
    return str(images.get("source", "not written down"))


def _count(found: xr.Dataset) -> int:
    """How many images or pairs: those of its dimensions, or those that were counted."""
    sizes = [found.sizes[name] for name in ("image", "pair") if name in found.sizes]
    return int(sizes[0] if sizes else found["count"].sum())


def planned_and_recorded(files: pd.DataFrame) -> pd.DataFrame:
    """How much of the evidence of each tier is there: a row a network, the numbers of files planned and recorded.

    Parameters
    ----------
    files
        What `recorded_files` returns.

    Returns
    -------
    pandas.DataFrame
        By network, columns `tier`, `planned`, `recorded`, and `not yet`, the names of those that are missing.
    """
    rows = {}
    for tier in ("embedded", "pretrained", "paper"):
        names = [planned.name for planned in evidence(tier)]
        for network in networks_of(tier):
            there = set(files["measure"][files["network"] == network])
            missing = [name for name in names if name not in there]
            rows[network] = {"tier": tier, "planned": len(names), "recorded": len(names) - len(missing)}
            rows[network]["not yet"] = ", ".join(missing) if there else "all of them"
    return pd.DataFrame.from_dict(rows, orient="index")
