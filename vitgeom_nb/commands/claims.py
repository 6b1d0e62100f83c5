"""vitgeom-nb claims: verdicts on the claims of the two papers."""

from __future__ import annotations

import argparse
from pathlib import Path

import vitgeom_nb as vg

from ..core.whole_files import made_folder


def add_to(commands: argparse._SubParsersAction) -> None:
    """Give the command line this command."""
    judged = commands.add_parser("claims", help="verdicts on the claims of the two papers")
    judged.add_argument("--models", nargs="+", metavar="NAME", help="networks; all of the run unless named")
    judged.add_argument("--run", type=Path, metavar="RUN", help="folder of a run (default: the recorded evidence)")
    judged.add_argument("--out", type=Path, metavar="DIR", help="folder to write claims.csv and claims.html to")
    judged.add_argument(
        "--family",
        nargs="+",
        default=(),
        metavar="NAME=CLASS",
        help="class of a network of your own: transformer or CNN",
    )
    judged.set_defaults(command=show_claims)


def show_claims(options: argparse.Namespace) -> int:
    """Print the verdicts on the claims of the two papers, and write them to a folder."""
    from ..claims.runs import evidence_folder
    from ..claims.written import in_words, write

    families = dict(part.partition("=")[::2] for part in options.family)
    run = evidence_folder() if options.run is None else options.run
    table = vg.claims.table(run, networks=options.models or None, families=families or None)
    said = vg.claims.sentences().sentence
    for claim, rows in table.groupby("claim", sort=False):
        print(f"{claim}  {said[claim]}")
        for _, row in rows.iterrows():
            print(f"     {row['network']:22} {in_words(row)}")
    if options.out is not None:
        for path in write(table, made_folder(options.out, "--out ")):
            print(path)
    return 0
