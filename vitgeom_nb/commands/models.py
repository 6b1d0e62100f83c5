"""vitgeom-nb models: the table of networks that `load` knows."""

from __future__ import annotations

import argparse

import vitgeom_nb as vg


def add_to(commands: argparse._SubParsersAction) -> None:
    """Give the command line this command."""
    table = commands.add_parser("models", help="the models that load() knows")
    table.add_argument("--tier", help="embedded, pretrained, paper (these three unless named), controls or published")
    table.set_defaults(command=show_models)


def show_models(options: argparse.Namespace) -> int:
    """Print the table of models."""
    table = vg.models(options.tier)
    if table.empty:  # as controls are, which come with no package
        print(f"None of the tier {options.tier} is here; `make zoo` trains the controls, in hours.")
        return 0
    table["parameters"] = table["parameters"].map("{:,}".format)
    table["top1"] = table["top1"].map(lambda share: "" if share != share else f"{share:.1%}")
    print(table.drop(columns="licence").to_string())
    return 0
