"""SIGKILL at any moment, and the same command again: nothing is lost, nothing is half, nothing is measured twice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vitgeom_nb as vg

from ..chapters import ROOT
from .simulated import here
from .test_sweep import files, swept

KILLS = 100
IMAGES, BLOCK = 24, 4


class Stable:
    """Children that sweep, one at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def begin(self, options: dict[str, Any]) -> int:
        """Number of a child that has begun."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(options) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def ended(self) -> int:
        """Exit status of the child, once it has ended."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


@pytest.fixture
def stable(tmp_path: Path) -> Iterator[Stable]:
    counts = tmp_path / "counts"
    counts.mkdir()
    first = arguments(tmp_path / "first") | {"n": 4}
    environment = os.environ | {"SIMULATED_COUNTS": str(counts)}
    command = [sys.executable, "-m", "tests.sweeps.stable", json.dumps(first)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as process:
        yield Stable(process)
        process.kill()


def arguments(out: Path) -> dict[str, Any]:
    return {
        "models": [here("small")],
        "data": here("many"),
        "measures": [here("told")],
        "out": str(out),
        "block": BLOCK,
        "n": IMAGES,
    }


def measured(counts: Path, shards: set[str]) -> dict[int, str]:
    """Who measured each image of some shards."""
    starts = [int(Path(name).name[:10]) for name in shards]
    numbers = [i for start in starts for i in range(start, start + BLOCK)]
    return {i: (counts / str(i)).read_text() for i in numbers}


def test_a_hundred_kills_at_random_moments(tmp_path: Path, stable: Stable) -> None:
    truth = tmp_path / "truth"
    began = time.monotonic()
    stable.begin(arguments(truth))
    assert stable.ended() == 0
    span = time.monotonic() - began  # of a whole sweep here and now
    expected = vg.open_run(truth)["small"]["told"].load()
    chance, counts = random.Random(0), tmp_path / "counts"
    for path in counts.iterdir():
        path.unlink()
    out, runs, lost, kept = tmp_path / "run0", 0, 0, 0

    def look() -> None:
        """What a reader sees at any time is right as far as it goes."""
        with contextlib.suppress(KeyError, vg.errors.DataError if not (out / "run.json").exists() else ()):
            found = vg.open_run(out)["small"]["told"].load()
            np.testing.assert_array_equal(found["told"], expected["told"].sel(image=found["image"]))
            np.testing.assert_array_equal(found["twice"], expected["twice"].sel(image=found["image"]))

    before: dict[str, tuple[int, int]] = {}
    by: dict[int, str] = {}
    while lost < KILLS:
        process = stable.begin(arguments(out))
        if lost % 10 == 5:
            look()  # while it is written
        time.sleep(chance.random() * span)
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.kill(process, signal.SIGKILL)
        status = stable.ended()
        after = files(out)
        assert before.items() <= after.items(), "a finished shard was written again"
        assert measured(counts, set(before)) == by, "an image of a finished shard was measured again"
        if lost % 10 == 0:
            look()
        kept += len(after) > len(before)
        lost += status == signal.SIGKILL
        # a machine is now busier, now less: most moments lie before the end, and many behind the first shard
        span *= 0.9 if status != signal.SIGKILL else 1.1 if len(after) == len(before) else 1.0
        before, by = after, measured(counts, set(after))
        if len(after) == IMAGES // BLOCK:
            runs += 1
            out, before, by = tmp_path / f"run{runs}", {}, {}  # and the next one from the beginning
            for path in counts.iterdir():
                path.unlink()
    assert kept > KILLS // 4
    stable.begin(arguments(out))
    assert stable.ended() == 0
    assert before.items() <= files(out).items()
    for one in [tmp_path / f"run{i}" for i in range(runs + 1)]:
        assert vg.open_run(one)["small"]["told"].load().identical(expected)
        assert not list(one.rglob("*.part"))
    assert swept(out, data=here("many"), n=IMAGES).measured == 0


def test_one_of_two_is_stopped_with_one_sentence(tmp_path: Path, stable: Stable) -> None:
    out = tmp_path / "run"
    process = stable.begin(arguments(out))
    while len(files(out)) < 3:
        time.sleep(0.005)
    os.kill(process, signal.SIGSTOP)
    with pytest.raises(vg.errors.DataError, match=f"is being written by process {process} on"):
        swept(out, data=here("many"), block=BLOCK)
    os.kill(process, signal.SIGKILL)
    assert stable.ended() == signal.SIGKILL
    assert swept(out, data=here("many"), block=BLOCK, n=IMAGES).complete  # a lock ends with its process
