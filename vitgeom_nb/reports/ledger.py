"""The claims of the two papers on the network of a report, beside the embedded networks where they are recorded."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import xarray as xr

from ..claims import table
from ..claims.runs import evidence_folder, opened
from ..errors import DataError
from ..networks.embedded import CONTROLS, FAMILIES

HERE = "{name}, here"  # where a recorded network has the name of this one


def ledger(name: str, measured: Mapping[str, xr.Dataset], family: str, seed: int) -> tuple[pd.DataFrame, str]:
    """The table of claims, the network of the report first, and a sentence on what stands beside it.

    Verdicts of the one are corrected for their own number, and those of the others for theirs.
    """
    try:
        folder = evidence_folder()
        recorded = opened(folder)
        beside = [other for other in recorded if other in FAMILIES or other in CONTROLS]
        others = table(recorded, networks=beside, seed=seed) if beside else None
        where = f"Beside it stand the networks that are recorded in {folder.name}/: {', '.join(beside)}."
    except DataError as error:
        beside, others = [], None
        where = f"It stands alone here, for there are no recorded networks to hold it against ({error!s:.200})"
    label = HERE.format(name=name) if name in beside else name
    own = table({label: measured}, families={label: family}, seed=seed)
    if others is None:
        return own, where
    return pd.concat([own, others[others["network"].isin(beside)]], ignore_index=True), where
