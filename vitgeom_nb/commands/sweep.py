"""vitgeom-nb sweep: measure whole data sets, and pack a run."""

from __future__ import annotations

import argparse
from pathlib import Path

import vitgeom_nb as vg

from ..errors import ArgumentError


def add_to(commands: argparse._SubParsersAction) -> None:
    """Give the command line this command."""
    command = commands.add_parser(
        "sweep", help="measure whole data sets, on one machine or many, and keep every result"
    )
    command.set_defaults(command=run_sweep)
    add = command.add_argument
    add("--models", nargs="+", metavar="MODEL", help="names for load(), or file.py:name of your own")
    add("--data", metavar="NAME:SPLIT", help="tiny-imagenet:valid, a folder, samples:imagenet, or file.py:name")
    add(
        "--measure",
        nargs="+",
        metavar="MEASURE",
        help="names such as travel_distance, with parameters as in direction_change:directions=20,images=200, under a "
        "label of their own as in published=direction_change:images=10, or file.py:function of your own",
    )
    add("--out", type=Path, metavar="RUN", help="folder of the run, or with --pack name of the store")
    add("--images", type=int, metavar="N", help="from the first; all of them unless told")
    add("--seed", type=int, default=0, metavar="S", help="of everything random (default: 0)")
    add("--block", type=int, metavar="N", help="images a shard; what suits the measure unless told")
    where = command.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, metavar="N", help="processes of a local Dask cluster (extra: sweep)")
    where.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler, such as tcp://10.0.0.1:8786")
    add("--part", type=_part, metavar="I/N", help="every N-th shard from the I-th; parts may run at the same time")
    add("--device", help="cpu (default) or cuda")
    add("--dtype", default="float32", help="float32 (default), float64, float16 or bfloat16")
    add("--pack", type=Path, metavar="RUN", help="write one Zarr store of a finished run, for sharing, and do no more")


def _part(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is no part; write 1/4 to 4/4")
    return int(number), int(count)


def run_sweep(options: argparse.Namespace) -> int:
    """Measure whole data sets, or pack a run; 1 where something is left to do."""
    if options.pack is not None:
        out = options.out or options.pack.with_suffix(".zarr")
        print(vg.pack_run(options.pack, out))
        return 0
    for name in ("models", "data", "measure", "out"):
        if getattr(options, name) is None:
            raise ArgumentError(f"A sweep needs --{name}; vitgeom-nb sweep --help says what.")
    summary = vg.sweep(
        options.models,
        data=options.data,
        measures=options.measure,
        out=options.out,
        n=options.images,
        seed=options.seed,
        block=options.block,
        workers=options.workers,
        scheduler=options.scheduler,
        part=options.part,
        device=options.device,
        dtype=options.dtype,
    )
    print(summary)
    return 0 if summary.complete else 1
