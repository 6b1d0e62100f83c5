"""Chapters as a reader runs them who downloads one notebook: an installed package, an empty folder, no repository.

`python -m tests.alone [CHAPTER ...]` builds the wheel, installs it with all its extras into an empty environment, and
executes each notebook there; all of them unless named.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from .chapters import ROOT, chapters
from .wheel import built

ENDS_IN = {
    "published-network": "DataError: There is no folder evidence here; put that of a working copy",
    "speed": "DataError: There are no recorded speeds in ../benchmarks/results; `make bench`",
}
"""Chapters about recordings alone, which end in a sentence where there are none -> how it begins."""


def environment(folder: Path) -> Path:
    """Where the commands of an environment are that has the wheel, its extras, and what executes a notebook."""
    venv.create(folder / "venv", with_pip=True)
    commands = folder / "venv" / "bin"
    wheel = built(folder / "wheel")
    install = [commands / "python", "-m", "pip", "install", "--quiet", f"{wheel}[all]", "ipykernel", "nbclient"]
    subprocess.run(install, check=True)
    return commands


def wrong(name: str, status: int, said: str) -> str:
    """What is wrong with how a chapter ended; nothing if it ran to its end, or ended in the sentence that it should."""
    sentence, said = ENDS_IN.get(name), re.sub(r"\x1b\[[\d;]*m", "", said)  # a kernel writes in colours
    if sentence is None:
        return said[-3000:] if status else ""
    return "" if status and sentence in said else f"It should end in: {sentence} ...\n{said[-3000:]}"


def main(names: list[str]) -> int:
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        commands = environment(Path(folder))
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("VITGEOM", "PYTHON"))}
        path = {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}
        for name in names or chapters():
            place = Path(folder) / name
            place.mkdir()
            shutil.copy(ROOT / "book" / f"{name}.ipynb", place)
            execute = [commands / "jupyter-execute", "--timeout=1800", "--kernel_name=python3", f"{name}.ipynb"]
            begun = time.monotonic()
            done = subprocess.run(execute, cwd=place, env=kept | path, capture_output=True, text=True, check=False)
            said = wrong(name, done.returncode, done.stderr)
            print(f"{name}: {'failed' if said else 'passed'} in {time.monotonic() - begun:.0f} s\n{said}", flush=True)
            failed += [name] if said else []
    print(f"Failed: {', '.join(failed)}." if failed else "Every chapter runs on the installed package alone.")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
