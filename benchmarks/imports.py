"""From a fresh process to a loaded network, beside timm's own constructor and torch alone."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import vitgeom_nb as vg
from vitgeom_nb.networks.embedded import zoo_file

from .harness import Contender

LOADED = "import vitgeom_nb as vg; vg.load('vit', device={device!r})"
HELP = "import sys, runpy; sys.argv = ['vitgeom-nb', '--help']; runpy.run_module('vitgeom_nb', run_name='__main__')"
# what one would write without this package: the architecture of the card, and its weights
BY_TIMM = """
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer
net = VisionTransformer(img_size=64, patch_size=8, num_classes=200, embed_dim=192, depth=4, num_heads=3)
net.load_state_dict(load_file({path!r}))
net.to({device!r}).eval()
"""
# at its end the process says what it held at most, which its parent cannot know
PEAK = """
import atexit, pathlib
status = pathlib.Path("/proc/self/status")
if status.exists():
    atexit.register(lambda: print(*(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))))
"""


def networks(size: str) -> tuple[str, ...]:
    """One network: what is loaded before it takes far longer than its weights."""
    return ("vit",) if size in ("small", "all") else ()


def settings(model: vg.VisionModel) -> dict[str, Any]:
    return {}


def in_fresh_process(program: str) -> str:
    """What a program says in a process of its own."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return done.stdout


def held(said: str) -> dict[str, float]:
    """The most memory that the process held [MB], where the system tells."""
    peak = said.partition("VmHWM:")[2].split()
    return {"peak_memory_mb": 1024 * int(peak[0]) / 1e6} if peak else {}


def contenders(model: vg.VisionModel) -> list[Contender]:
    about = {"device": str(model.device), "path": str(zoo_file("vit.safetensors"))}
    programs = [
        ('load("vit")', "ours", LOADED.format(**about)),
        ("import vitgeom_nb", "variant", "import vitgeom_nb"),
        ("vitgeom-nb --help", "variant", HELP),
        ("timm's constructor", "peer", BY_TIMM.format(**about)),
        ("import torch", "floor", "import torch"),
    ]
    return [Contender(name, role, lambda p=PEAK + p: in_fresh_process(p), held) for name, role, p in programs]
