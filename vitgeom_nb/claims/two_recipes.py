"""The same architectures trained in two ways: how much of what is measured is the recipe's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import xarray as xr

from ..core.arguments import checked
from ..errors import ArgumentError
from ..networks.embedded import CONTROLS, FAMILIES
from .quantities import QUANTITIES, Lacking, NoSuchPart
from .runs import opened
from .samples import Sample, across
from .sentences import claims
from .written import number

COLUMNS = ("network", "recipe", "estimate", "low", "high", "n", "unit")
RECIPES = ("A", "B", "B − A")
CLASSES = "transformers − CNNs"


@checked
def recipes(claim: str, run: Any = None, *, seed: int = 0) -> pd.DataFrame:
    r"""The quantity of a claim on each architecture that was trained by both recipes, and what the recipe changes.

    With :math:`q` the quantity over images, on the networks :math:`a` of recipe A and :math:`b` of recipe B, and
    :math:`T` and :math:`C` the transformers and the CNNs among them,

    .. math:: q(b) - q(a), \qquad
              \frac1{|T|} \sum_{a \in T} q(a) - \frac1{|C|} \sum_{a \in C} q(a),

    the latter for A, for B, and B minus A. All networks see the same images, which the bootstrap draws together, so
    what is hard in a picture cancels. Intervals are over images and say nothing of other trainings.

    Parameters
    ----------
    claim
        The id of a claim whose quantity both recipes are asked for, such as `"K1"` (signed calibration error) or
        `"K4"` (direction change).
    run
        As for `table`; the recorded evidence unless told.
    seed
        Of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        Columns `network` (the architecture, or `transformers − CNNs`), `recipe` (`A`, `B` or `B − A`), `estimate`,
        `low`, `high` (95 %), `n` and `unit`. No rows for what is not measured under both recipes; none of classes
        unless both have a network.

    Raises
    ------
    ArgumentError
        If there is no such claim, or it has no quantity of one network.

    References
    ----------
    The quantities are those of [kim2024] and [salman2024]; recipe B is that of DeiT [touvron2021].

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> def seen(sure, count=100):
    ...     logits, labels = torch.eye(2).repeat(count // 2, 1) * sure, torch.arange(count) % 4 // 2
    ...     found = vg.reliability(logits=logits, labels=labels).drop_dims("bin")
    ...     return {"predictions": found.assign(logits=(("image", "class"), logits.numpy()), label=("image", labels))}
    >>> vg.claims.recipes("K1", {"vit": seen(9.0), "vit-b": seen(0.0)}).estimate.round(3).tolist()
    [-0.5, 0.0, 0.5]
    """
    if claim not in QUANTITIES:
        known = ", ".join(QUANTITIES)
        raise ArgumentError(f"There is no quantity of one network for a claim {claim!r}; choose one of {known}.")
    measured = opened(run)
    unit = claims()[claim].unit
    pairs: dict[str, tuple[Sample, Sample]] = {}
    for trained, name in CONTROLS.items():
        before, after = (_sample(claim, measured, one) for one in (name, trained))
        if before is not None and after is not None:
            pairs[name] = (before, after)
    sums = {name: [[(1.0, [sample])] for sample in both] for name, both in pairs.items()}
    if {FAMILIES[name] for name in pairs} == {"transformer", "CNN"}:
        sums[CLASSES] = [_difference({name: both[recipe] for name, both in pairs.items()}) for recipe in (0, 1)]
    rows = []
    for name, (first, second) in sums.items():
        change = [*second, *((-weight, samples) for weight, samples in first)]
        for recipe, groups in zip(RECIPES, (first, second, change), strict=True):
            found, n = across(groups, seed)
            rows.append((name, recipe, *found, n, unit))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _difference(samples: Mapping[str, Sample]) -> list[tuple[float, list[Sample]]]:
    """Transformers minus CNNs, as `across` takes it."""
    return [
        (weight, [sample for name, sample in samples.items() if FAMILIES[name] == family])
        for family, weight in (("transformer", 1.0), ("CNN", -1.0))
    ]


def _sample(claim: str, measured: Mapping[str, Mapping[str, xr.Dataset]], network: str) -> Sample | None:
    """The quantity of one network; None where the run lacks it."""
    try:
        sample = QUANTITIES[claim](measured.get(network, {}))
    except (Lacking, NoSuchPart):
        return None
    return sample if sample.count else None


@checked(table=COLUMNS)
def architecture_or_recipe(table: pd.DataFrame) -> str:
    """What two recipes say of a difference of classes, in sentences with numbers: Markdown.

    Parameters
    ----------
    table
        What `recipes` returns.

    Returns
    -------
    str
        How much the second recipe changes each architecture, and whether the sign of the difference between
        transformers and CNNs depends on the recipe. Of an empty table, that nothing is recorded.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> vg.claims.architecture_or_recipe(vg.claims.recipes("K1", {}))
    'No network is measured under both recipes yet.'
    """
    if table.empty:
        return "No network is measured under both recipes yet."
    changes = table[(table.recipe == RECIPES[2]) & (table.network != CLASSES)]
    moved = (f"{row['network']} by {_with_ends(row)}" for row in changes.to_dict("records"))
    said = f"Recipe B moves {', '.join(moved)}"
    said += f" (n = {_counts(changes.n)})."
    classes = table[table.network == CLASSES].set_index("recipe")
    if classes.empty:
        return said
    a, b, change = (classes.loc[recipe].to_dict() for recipe in RECIPES)
    said += f" Transformers minus CNNs is {_with_ends(a)} under A and {_with_ends(b)} under B: "
    signs = [_sign(row) for row in (a, b)]
    if 0 in signs:
        return said + "with one of the recipes no sign is certain."
    if signs[0] != signs[1]:
        return said + "its sign is the recipe's, not the architecture's."
    larger = abs(change["estimate"]) > abs(a["estimate"])
    weight = "more than" if larger else "less than"
    return said + f"its sign survives the recipe, which moves it by {weight} what the architectures differ by."


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """What `recipes` returns with a row an architecture and a column a recipe: estimates with their intervals."""
    cells = {(row["network"], row["recipe"]): _with_ends(row) for row in table.to_dict("records")}
    networks = list(dict.fromkeys(table.network))
    return pd.DataFrame([[cells[name, recipe] for recipe in RECIPES] for name in networks], networks, list(RECIPES))


def _sign(row: Mapping[str, Any]) -> int:
    """Of an interval: 1, -1, or 0 where it holds zero or is none."""
    if math.isnan(row["low"]):
        return 0
    return int(row["low"] > 0) - int(row["high"] < 0)


def _with_ends(row: Mapping[str, Any]) -> str:
    said = number(row["estimate"], row["unit"])
    if math.isnan(row["low"]):
        return f"{said} (too few images for an interval)"
    return f"{said} [{number(row['low'], row['unit'])}, {number(row['high'], row['unit'])}]"


def _counts(counts: Sequence[int]) -> str:
    each = sorted({int(n) for n in counts})
    return f"{each[0]:,}" if len(each) == 1 else f"{each[0]:,} to {each[-1]:,}"
