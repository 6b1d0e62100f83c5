"""Record the evidence of a tier: what its list names is swept, and one small file a network and measure is kept.

    python -m vitgeom_nb.recipes.record                                     # the embedded networks
    python -m vitgeom_nb.recipes.record --tier paper --run RUN --device cuda
    python -m vitgeom_nb.recipes.record --models vit --measures match lldlc

The same command goes on where it was ended, and leaves the files that are there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from ..claims.recording import RECORDED, THERE, record
from ..claims.runs import FOLDER
from ..errors import VitgeomError


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the evidence of a tier, and keep what the claims read.")
    parser.add_argument("--tier", default="embedded", help="embedded (default), controls, paper or pretrained")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="networks; those of the tier unless named")
    parser.add_argument("--measures", nargs="+", metavar="NAME", help="as evidence() lists them; all unless named")
    parser.add_argument("--run", type=Path, metavar="DIR", help="folder of the run; one in the cache unless named")
    parser.add_argument("--into", type=Path, default=Path(FOLDER), metavar="DIR", help="folder of the files kept")
    parser.add_argument("--workers", type=int, metavar="N", help="processes of a local Dask cluster (extra: sweep)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler")
    parser.add_argument("--device", help="cpu (default) or cuda")
    parser.add_argument("--threads", type=int, help="of torch, in this process; its own choice unless named")
    options = vars(parser.parse_args())
    if threads := options.pop("threads"):
        torch.set_num_threads(threads)
    try:
        done = record(options.pop("tier"), networks=options.pop("models"), **options)
    except VitgeomError as error:
        print(error, file=sys.stderr)
        return 2
    print(done.to_string(index=False))
    return 0 if done["said"].isin((RECORDED, THERE)).all() else 1


if __name__ == "__main__":
    raise SystemExit(main())
