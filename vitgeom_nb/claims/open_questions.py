"""How many images it would take to decide what the ledger leaves open."""

from __future__ import annotations

import math

import pandas as pd

from ..core.arguments import checked
from ..statistics.verdicts import INCONCLUSIVE
from .sentences import claims


@checked(table=("claim", "network", "verdict", "estimate", "low", "high", "n", "family"))
def undecided(table: pd.DataFrame) -> pd.DataFrame:
    r"""How many images it would take to decide what is inconclusive, should the estimates stay where they are.

    .. math:: n' = n \left( \frac{h}{d} \right)^2

    with h the half of the interval on the side of the nearest border, and d the distance to that border: intervals
    shrink like one over the root of n.

    Parameters
    ----------
    table
        What `table` returns.

    Returns
    -------
    pandas.DataFrame
        Columns `claim`, `network`, `estimate`, `border`, `n` and `needed`, rounded up; infinite where the estimate is
        on the border. Rows without an interval are left out.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> vg.claims.undecided(vg.claims.table({}, networks=["vit"])).empty
    True
    """
    rows = []
    for row in table[table["verdict"] == INCONCLUSIVE].to_dict("records"):
        rule = claims()[row["claim"]].rule(row["family"])
        if rule is None or math.isnan(row["low"]) or math.isinf(row["estimate"]):
            continue
        border = min(rule.bounds, key=lambda bound: abs(bound - row["estimate"]))
        distance = abs(row["estimate"] - border)
        half = row["estimate"] - row["low"] if border < row["estimate"] else row["high"] - row["estimate"]
        needed = math.inf if distance == 0 else math.ceil(row["n"] * (half / distance) ** 2)
        shown = {key: row[key] for key in ("claim", "network", "estimate", "n")}
        rows.append(shown | {"border": border, "needed": needed})
    return pd.DataFrame(rows, columns=["claim", "network", "estimate", "border", "n", "needed"])
