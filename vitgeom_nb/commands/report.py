"""vitgeom-nb report: one page on one network."""

from __future__ import annotations

import argparse
from pathlib import Path

import vitgeom_nb as vg


def add_to(commands: argparse._SubParsersAction) -> None:
    """Give the command line this command."""
    written = commands.add_parser("report", help="measure a network of yours, and write one page of what was found")
    add = written.add_argument
    add("model", metavar="MODEL", help="a name for load(), or file.py:name of your own")
    add("--images", required=True, metavar="FOLDER", help="pictures, tiny-imagenet:valid, samples:imagenet, ...")
    add("--out", required=True, type=Path, metavar="REPORT", help="folder of the report; index.html is its page")
    size = written.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a few images a measurement, for minutes (default)")
    size.add_argument("--full", action="store_true", help="hundreds of images a measurement, for hours")
    size.add_argument("--images-count", type=int, metavar="N", help="so many images for each measurement instead")
    add("--family", metavar="CLASS", help="transformer or CNN, for a network that `models` does not list")
    add("--seed", type=int, default=0, metavar="S", help="of everything random (default: 0)")
    add("--device", help="cpu (default) or cuda")
    add("--dtype", default="float32", help="float32 (default), float64, float16 or bfloat16")
    written.set_defaults(command=write_report)


def write_report(options: argparse.Namespace) -> int:
    """Write the report, and print where its page is."""
    print(
        vg.report(
            options.model,
            options.images,
            out=options.out,
            full=options.full,
            n=options.images_count,
            family=options.family,
            seed=options.seed,
            device=options.device,
            dtype=options.dtype,
        )
    )
    return 0
