"""The wheel of what a copy of the repository holds, not of what lies about.

`python -m tests.wheel FOLDER` unpacks it there: with this folder on PYTHONPATH the package is the one that installs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from .chapters import ROOT

OUTSIDE = ("pyproject.toml", "README.md", "LICENSE")


def built(folder: Path) -> Path:
    """The wheel, made in a folder of the tracked files as they are now."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in files.split("\0"):
        if (name.startswith("vitgeom_nb/") or name in OUTSIDE) and (ROOT / name).exists():
            (folder / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "copy" / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, folder / "copy"], check=True, stdout=subprocess.PIPE)
    return next(folder.glob("*.whl"))


def unpacked(wheel: Path, place: Path) -> Path:
    """The folder with what is in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    return place


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        unpacked(built(Path(folder)), Path(sys.argv[1]))
