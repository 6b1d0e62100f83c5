"""Run a command in the tier of the papers, with small random checkpoints of the real architectures on a stand-in hub.

`python -m tests.paper_tier make notebooks` executes every chapter as `VITGEOM_TIER=paper` does, real clients included.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from vitgeom_nb.networks.catalogue import CATALOGUE

from .stand_in_hub import StandInHub
from .tiny_checkpoints import HF, TIMM, hf_checkpoint, timm_checkpoint

CLASSES = 1000
WIDTH = 144  # the chapters look at up to a hundred singular values
WIDER = {"swin-t": {"embed_dim": 64}, "vit-b16": {"embed_dim": 128}, "resnet50": {"channels": [8, 16, 32, 32]}}


def checkpoints(folder: Path) -> None:
    """Write a checkpoint for every name of the catalogue that a chapter loads, under its published address."""
    for name, entry in CATALOGUE.items():
        kind, _, repo = entry.source.partition("/")
        if kind == "hf" and name in HF:
            hf_checkpoint(name, folder / repo, size=224, classes=CLASSES, width=WIDTH)
        elif kind == "timm" and name in TIMM:
            timm_checkpoint(name, folder / entry.source, classes=CLASSES, **WIDER.get(name, {}))


def main(command: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        checkpoints(Path(folder) / "hub" / "models")
        with StandInHub(Path(folder) / "hub") as hub:
            here = {"HF_ENDPOINT": hub.url, "HF_HOME": f"{folder}/cache", "HF_HUB_DISABLE_XET": "1"}
            done = subprocess.run(command, env={**os.environ, **here, "VITGEOM_TIER": "paper"}, check=False)
        asked = sorted({request.split("/resolve/")[0] for request in hub.requests if "/resolve/" in request})
        print(f"{len(hub.requests)} requests to the stand-in hub, for {len(asked)} repositories")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
