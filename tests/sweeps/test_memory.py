"""The memory of a sweep does not grow with the number of its images."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ..chapters import ROOT

PROGRAM = """
import json, resource, sys
import vitgeom_nb as vg
from tests.sweeps.simulated import here
peaks = {}
for count in (1_000, 20_000, 1_000_000):
    done = vg.sweep([here("small")], data=here(f"flat_{count}"), measures=[here("shade")], out=f"{sys.argv[1]}/{count}")
    assert done.complete and done.measured == count, str(done)
    peaks[count] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps(peaks))
"""


def test_memory_is_flat_from_a_thousand_to_a_million_images(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peaks = {int(count): kilobytes for count, kilobytes in json.loads(done.stdout).items()}
    assert len(list((tmp_path / "1000000").glob("networks/*/*/*.nc"))) == 500
    assert peaks[1_000_000] - peaks[20_000] < 8_000, peaks  # 8 bytes an image would be as much
