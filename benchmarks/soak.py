"""`python -m benchmarks.soak`: sweeps for half an hour, killed at random, and a summary of what was lost: nothing.

Drivers, and workers of Dask, die by SIGKILL at random moments; a reader looks at the run all the while. At the end the
results are held against those of a sweep that nobody disturbed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

import vitgeom_nb as vg
from vitgeom_nb.errors import DataError

MEASURES = [
    "predictions:block=32",
    "singular_spectrum:block=2",
    "travel_distance:block=4,grid=20",
    "match:block=8,max_evaluations=10",
]
SIMULATED = Path(__file__).parents[1] / "tests" / "sweeps" / "simulated.py"
IMAGES = 200


def command(out: Path, seed: int, *more: str) -> list[str]:
    words = [sys.executable, "-m", "vitgeom_nb", "sweep", "--models", f"{SIMULATED}:small", f"{SIMULATED}:other"]
    words += ["--data", f"{SIMULATED}:many", "--images", str(IMAGES), "--measure", *MEASURES]
    return [*words, "--out", str(out), "--seed", str(seed), *more]


def shards(out: Path) -> dict[str, tuple[int, int]]:
    found = out.glob("networks/*/*/*.nc")
    return {str(path.relative_to(out)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def values(out: Path) -> dict[tuple[str, str], Any]:
    run = vg.open_run(out)
    return {(name, label): run[name][label].load() for name in run for label in run[name]}


def disturb(process: subprocess.Popen[bytes], chance: random.Random, counts: Counter[str], pause: float) -> None:
    """Kill the driver, or one of its workers, after a random time."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(chance.uniform(0, pause))
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        children = [one for one in psutil.Process(process.pid).children() if "spawn_main" in " ".join(one.cmdline())]
        if children and chance.random() < 0.5:
            chance.choice(children).kill()
            counts["workers killed"] += 1
            return
        process.send_signal(signal.SIGKILL)
        process.wait()
        counts["drivers killed"] += 1


def soak(minutes: float, seed: int, pause: float) -> dict[str, Any]:
    chance, counts = random.Random(seed), Counter[str]()
    environment = os.environ | {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    quiet: dict[str, Any] = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    start, number = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() - start < 60 * minutes:
            out, number = Path(folder) / f"run{number}", number + 1
            before: dict[str, tuple[int, int]] = {}
            while True:
                more = ["--workers", "2"] if chance.random() < 0.4 else []
                with subprocess.Popen(command(out, number, *more), **quiet) as process:
                    counts["commands"] += 1
                    while process.poll() is None:
                        disturb(process, chance, counts, pause)
                        with contextlib.suppress(DataError, KeyError):
                            values(out)
                            counts["looks of a reader"] += 1
                after = shards(out)
                counts["shards written again"] += sum(after.get(name) != state for name, state in before.items())
                before = after
                if process.returncode == 0:
                    break
                if process.returncode == 2:
                    counts["stopped with a sentence"] += 1  # workers of a killed driver still let go of its lock
                    time.sleep(1)
                if time.monotonic() - start > 60 * minutes + 900:
                    raise SystemExit("it does not come to an end")
            counts["runs completed"] += 1
            counts["shards"] += len(after)
            reference = Path(folder) / f"reference{number}"
            subprocess.run(command(reference, number), check=True, **quiet)
            one, other = values(out), values(reference)
            counts["results that differ"] += sum(not one[key].identical(other[key]) for key in other)
            counts["results"] += len(other)
            counts["parts left over"] += len(list(out.rglob("*.part")))
    return {"minutes": round((time.monotonic() - start) / 60, 1), "seed": seed, **dict(sorted(counts.items()))}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pause", type=float, default=40, help="seconds between two kills at the most")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results") / "sweeps" / "soak.json")
    options = parser.parse_args()
    known = json.loads(options.out.read_text()) if options.out.exists() else []
    found = soak(options.minutes, options.seed, options.pause)
    print(json.dumps(found, indent=1))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps([*known, found], indent=1) + "\n")


if __name__ == "__main__":
    main()
