"""The table of the models that have a short name, from cards and the catalogue alone: it needs no torch."""

from __future__ import annotations

import pandas as pd

from .. import settings
from ..core.arguments import checked
from ..errors import ArgumentError
from .catalogue import BOTH, CATALOGUE, PUBLISHED
from .embedded import CONTROLS, FAMILIES, architecture, card, zoo_file

TIERS = ("embedded", "controls", "pretrained", "paper", "published")
"""Where weights come from: this package, a copy of its repository, a package of the index, a hub, the authors' code."""
COLUMNS = (
    "name",
    "family",
    "tier",
    "input_size",
    "embedding_dim",
    "parameters",
    "classes",
    "top1",
    "source",
    "licence",
)


@checked
def models(tier: str | None = None, paper: str | None = None) -> pd.DataFrame:
    """A table of the models that `load` knows by a short name, one row each.

    Parameters
    ----------
    tier
        `"embedded"`, `"pretrained"` or `"paper"`; these three unless told. `"controls"` are embedded architectures that
        were trained by a second recipe, as far as they are at hand; `"published"` are the very weights that the
        authors' public code loads, where they are others.
    paper
        `"salman2024"` or `"kim2024"`: of the tier of the papers, only the networks that this one measured.

    Returns
    -------
    pandas.DataFrame
        Columns `family`, `tier`, `input_size`, `embedding_dim`, `parameters`, `classes` (of the classifier; 0 without
        one), `top1` (as measured when an embedded model was trained), `source`, `licence`.
    """
    if tier is not None and tier not in TIERS:
        raise ArgumentError(f"There is no tier {tier!r}; choose one of {', '.join(TIERS)}.")
    if paper is not None and paper not in BOTH:
        raise ArgumentError(f"There is no paper {paper!r}; choose one of {', '.join(BOTH)}.")
    rows = []
    own = {None: [*FAMILIES], "embedded": [*FAMILIES], "controls": [*CONTROLS]}.get(tier, [])
    for name in own:
        if name in CONTROLS and not zoo_file(f"{name}.json").exists():
            continue
        info = card(name)
        rows.append(
            {
                "name": name,
                "family": FAMILIES[architecture(name)],
                "tier": "controls" if name in CONTROLS else "embedded",
                "input_size": info["input_size"],
                "embedding_dim": info["embedding_dim"],
                "parameters": info["parameters"],
                "classes": len(info["classes"]),
                "top1": info["top1"],
                "source": f"{info['data']}, {info['epochs']:g} epochs",
                "licence": info["licence"],
            }
        )
    for name, entry in (PUBLISHED if tier == "published" else CATALOGUE).items():
        if tier in (None, entry.tier) and (paper is None or paper in entry.papers):
            rows.append(
                {
                    "name": name,
                    "family": entry.family,
                    "tier": entry.tier,
                    "input_size": settings.TIERS["paper"],
                    "embedding_dim": entry.dim,
                    "parameters": entry.parameters,
                    "classes": entry.classes,
                    "top1": float("nan"),
                    "source": entry.source,
                    "licence": entry.licence,
                }
            )
    return pd.DataFrame(rows, columns=list(COLUMNS)).set_index("name")
