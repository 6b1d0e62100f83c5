"""What an interval says: on which side of zero a quantity lies, and whether a published sentence holds."""

from __future__ import annotations

from collections.abc import Iterable

import xarray as xr

SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE = "supported", "not supported", "inconclusive"


def side(measurement: xr.Dataset, name: str, negative: str, positive: str, neither: str = "neither") -> str:
    """The word for the side of zero on which the interval of a scalar lies; `neither` where it holds zero or is NaN.

    Parameters
    ----------
    measurement
        Has the scalars `name_low` and `name_high`.
    name
        The scalar in question.
    negative, positive, neither
        The three words.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> from vitgeom_nb.statistics import verdicts
    >>> sure = torch.tensor([[9.0, 0.0]]).repeat(100, 1)
    >>> table = vg.reliability(logits=sure, labels=torch.arange(100) % 2)
    >>> verdicts.side(table, "sece", "over-confident", "under-confident")
    'over-confident'
    """
    if float(measurement[f"{name}_high"]) < 0:
        return negative
    return positive if float(measurement[f"{name}_low"]) > 0 else neither


def verdict(found: Iterable[str], wanted: str, against: str) -> str:
    """Whether a sentence holds on several networks, from the words that `side` found for them.

    `"supported"` if every word is the one wanted, `"not supported"` if any speaks against, else `"inconclusive"`.

    Examples
    --------
    >>> from vitgeom_nb.statistics import verdicts
    >>> verdicts.verdict(["nearer", "undecided"], wanted="nearer", against="farther")
    'inconclusive'
    """
    words = list(found)
    if against in words:
        return NOT_SUPPORTED
    return SUPPORTED if words and all(word == wanted for word in words) else INCONCLUSIVE
