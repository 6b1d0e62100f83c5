"""What a chapter found, as the ledger has it: a sentence a claim, with its verdict, numbers, intervals and n."""

from __future__ import annotations

import pandas as pd

from ..core.arguments import checked
from .ledger import CLASS_ROWS
from .rules import JUDGED, WAITING
from .sentences import Claim, claims_of
from .written import number


@checked
def findings(chapter: str, table: pd.DataFrame) -> str:
    """What the claims of a chapter came to, to stand first on its page: Markdown, one item a claim.

    A sentence that compares classes of networks is told by the difference of the classes; any other by every network.

    Parameters
    ----------
    chapter
        Its name, such as `"curvature"`.
    table
        What `vg.claims.table` returns.

    Returns
    -------
    str
        Each claim with its verdicts, and each estimate with its 95 % interval and n.

    Raises
    ------
    ArgumentError
        If no claim belongs to the chapter.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> print(vg.claims.findings("training", vg.claims.table({}, networks=["vit"], chapter="training")))
    - “Curvedness evolves during training.” **Not measured yet** on vit.
    """
    judged = table[table["verdict"].isin([*JUDGED, *WAITING])]
    return "\n".join(f"- {_item(claim, judged[judged['claim'] == claim.id])}" for claim in claims_of(chapter))


def _item(claim: Claim, rows: pd.DataFrame) -> str:
    whole = rows[(rows["network"] == CLASS_ROWS["difference"]) & ~rows["verdict"].isin(WAITING)]
    each = rows[~rows["network"].isin(CLASS_ROWS.values())]
    # a difference of classes is one of the networks that were measured: it says who is missing
    told = pd.concat([whole, each[each["verdict"].isin(WAITING)]]) if len(whole) else each
    said: list[str] = []
    for verdict in (*JUDGED, *WAITING):
        some = told[told["verdict"] == verdict]
        if not len(some):
            continue
        start = verdict if said else verdict.capitalize()
        if verdict in WAITING or some["estimate"].isna().all():
            said.append(f"**{start}** on {_listed(list(some['network']))}")
        else:
            numbers = [_numbers(row) for _, row in some.iterrows()]
            counts = sorted({int(n) for n in some["n"]})
            over = f"n = {counts[0]:,}" if len(counts) == 1 else f"n = {counts[0]:,} to {counts[-1]:,}"
            said.append(f"**{start}**: {', '.join(numbers)}; {over}")
    about = f" ({claim.quantity})" if told["estimate"].notna().any() else ""
    return f"“{claim.sentence}” {'; '.join(said) or '**Not measured yet**'}{about}."


def _numbers(row: pd.Series) -> str:
    found = f"{row['network']} {number(row['estimate'], row['unit'])}"
    if pd.notna(row["low"]):
        found += f" [{number(row['low'], row['unit'])}, {number(row['high'], row['unit'])}]"
    return found


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
