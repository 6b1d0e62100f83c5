"""The ledger of claims as one picture."""

from __future__ import annotations

import textwrap
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from ..claims.rules import COMPARED, DOES_NOT_APPLY, NOT_AT_HAND, NOT_MEASURED, WAITING
from ..claims.written import number
from ..core.arguments import checked
from ..errors import ArgumentError
from ..statistics.verdicts import INCONCLUSIVE, NOT_SUPPORTED, SUPPORTED
from .downloads import HouseFigure
from .narrow import WIDTH as NARROW
from .style import STYLE, look, subplots

# verdict -> colour and symbol; the colours differ in lightness too, so a print without colour reads the same
LOOKS = {
    SUPPORTED: ("#B7E1CD", "+"),
    INCONCLUSIVE: ("#F3F3F3", "?"),
    NOT_SUPPORTED: ("#B24745", "−"),
    COMPARED: ("#FFFFFF", "·"),
    DOES_NOT_APPLY: ("#FFFFFF", "n/a"),
    NOT_MEASURED: ("#FFFFFF", "not yet"),
    NOT_AT_HAND: ("#FFFFFF", "not here"),
}
WIDTH = 46  # letters of a sentence in a line


@checked
def ledger(table: pd.DataFrame, corrected: bool = False) -> Figure:
    """The table of claims as a heat map: a row a claim, a column a network or class, symbols for the verdicts.

    A plus is supported, a minus not supported, a question mark inconclusive; a dot stands where a network is measured
    beside those that the sentence is about, and a cell is left out where the sentence asks nothing. Below the symbol
    stands the estimate, in the unit of its quantity.

    Parameters
    ----------
    table
        What `vg.claims.table` returns.
    corrected
        Whether to draw the verdicts that are left after Holm's correction.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ArgumentError
        If the table holds no verdicts.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> figure = vg.figures.ledger(vg.claims.table({}, networks=["vit", "resnet"]))
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['ViT', 'ResNet', 'all networks', 'transformers', 'CNNs', 'transformers − CNNs']
    """
    column = "corrected" if corrected else "verdict"
    if not {"claim", "network", "estimate", column} <= set(table.columns) or table.empty:
        raise ArgumentError("figures.ledger() takes what claims.table() returns: this table holds no verdicts.")
    rows = table[table[column] != ""]  # the numbers beside those that decide have none
    figure = _drawn(rows, column)
    figure.drawn_narrow = partial(_drawn, rows, column, short=True)
    return figure


def _drawn(rows: pd.DataFrame, column: str, short: bool = False) -> HouseFigure:
    """The picture; a short one names the sentences by their signs alone."""
    import seaborn as sns

    from ..claims.sentences import claims

    networks = _columns(rows)
    at = rows.set_index(["claim", "network"])
    shown = [claim for claim in claims().values() if claim.id in set(rows["claim"])]
    words = list(LOOKS)
    code = np.full((len(shown), len(networks)), words.index(NOT_MEASURED), dtype=float)
    marks = np.full(code.shape, "", dtype=object)
    for i, claim in enumerate(shown):
        for j, network in enumerate(networks):
            if (claim.id, network) not in at.index:
                code[i, j] = np.nan
                continue
            row = at.loc[(claim.id, network)]
            code[i, j] = words.index(row[column])
            marks[i, j] = _mark(row[column], float(row["estimate"]), claim.unit)
    height = 0.42 + 0.44 * len(shown)
    size = (NARROW, height + 2.2) if short else (3.9 + 0.68 * len(networks), height + 2.0)
    figure, axes = subplots(figsize=size)
    letters = 6.5 if short else 8.5
    with plt.style.context(STYLE):
        sns.heatmap(
            code,
            mask=np.isnan(code),
            annot=marks,
            fmt="",
            cmap=ListedColormap([colour for colour, _ in LOOKS.values()]),
            vmin=-0.5,
            vmax=len(words) - 0.5,
            cbar=False,
            linewidths=0,
            annot_kws={"fontsize": letters, "linespacing": 1.0},
            ax=axes,
        )
    for i, j in np.argwhere(~np.isnan(code)):  # elsewhere nothing is asked, and there is no cell
        axes.add_patch(Rectangle((j, i), 1, 1, facecolor="none", edgecolor="#8A8A8A", lw=1.0, clip_on=False))
    dark, pale = LOOKS[NOT_SUPPORTED][1], [LOOKS[word][1] for word in WAITING]
    for text in axes.texts:
        first = text.get_text().split("\n")[0]
        text.set_color("white" if first == dark else "#5A5A5A" if first in pale else "#111111")
    axes.grid(False)
    lean = {"rotation": 90, "va": "center"} if short else {"rotation": 55}
    names = [_column_name(network, i) for i, network in enumerate(networks)]
    axes.set_xticks(np.arange(len(networks)) + 0.5, names, rotation_mode="anchor", ha="left", **lean)
    axes.xaxis.tick_top()
    sentences = [
        claim.id if short else textwrap.fill(f"{claim.id}  {claim.sentence}", WIDTH, subsequent_indent="    ")
        for claim in shown
    ]
    axes.set_yticks(np.arange(len(shown)) + 0.5, sentences, rotation=0, fontsize=8.5)
    axes.tick_params(length=0)
    present = [word for word in words if word in set(rows[column])]
    handles = [
        Patch(facecolor=LOOKS[word][0], edgecolor="#8A8A8A", label=f"{LOOKS[word][1]}  {word}") for word in present
    ]
    with plt.style.context(STYLE):
        figure.legend(handles=handles, loc="outside lower center", ncols=min(2 if short else 3, len(handles)))
    return figure


def _columns(rows: pd.DataFrame) -> list[str]:
    """Networks in the order of the table, then classes."""
    names = list(dict.fromkeys(rows["network"]))
    gathered = [name for name in names if _is_gathered(name)]
    return [name for name in names if name not in gathered] + gathered


def _is_gathered(name: str) -> bool:
    return name == "all networks" or name.startswith(("transformers", "CNNs"))


def _column_name(name: str, index: int) -> str:
    return name if _is_gathered(name) else look(name, index)[0]


def _mark(verdict: str, estimate: float, unit: str) -> str:
    symbol = LOOKS[verdict][1]
    if np.isnan(estimate):
        return symbol
    return f"{symbol}\n{number(estimate, unit)}"
