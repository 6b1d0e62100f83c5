"""A process that has imported everything, and makes children that sweep: an import costs more than the sweeps do.

It has no threads, so that a fork is safe. Each line on its input is the JSON of arguments of `vg.sweep`; it answers
with the child's number, and with its exit status when that has ended.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

import vitgeom_nb as vg

from .simulated import FILE


def child(options: dict[str, object]) -> int:
    done = vg.sweep(**options)  # type: ignore[arg-type]
    return 0 if done.complete else 3


def main() -> None:
    torch.set_num_threads(1)
    assert Path(FILE).is_file()
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            os._exit(child(json.loads(line)))
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(status, flush=True)


if __name__ == "__main__":
    # what the sweeps import is here before the first of them
    vg.sweep(**json.loads(sys.argv[1]))
    main()
