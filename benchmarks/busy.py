"""Three measurements beside four busy processes, and alone, by how the threads of torch wait for each other."""

from __future__ import annotations

import os
import subprocess
import sys
import weakref
from functools import cache
from typing import Any

import vitgeom_nb as vg
from vitgeom_nb.settings import BRIEF_SPIN

from .harness import Contender

BUSY = 4
OPENMP = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")
# what each process is told before it loads torch: later is too late
WAITING: dict[str, dict[str, str]] = {
    "a short spin": BRIEF_SPIN,
    "sleep at once": {"OMP_WAIT_POLICY": "passive"},
    "torch's own waiting": {},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
TASK = """
import sys
import vitgeom_nb as vg
model = vg.load("vit", device={device!r})
images = vg.samples("imagenet", 2, size=model.size)
labels = model.labels(images)
print("ready", flush=True)
for word in sys.stdin:
    vg.singular_spectrum(model, images[:1])
    vg.match(model, images[:1], images[1:], max_evaluations=40)
    vg.travel_distance(model, images, labels)
    print("done", flush=True)
"""
# busy from "work" to the next word; ends with whoever started it
CROWD = """
import os, sys, threading
working = threading.Event()
def listen():
    for word in sys.stdin:
        working.set() if word == "work\\n" else working.clear()
    os._exit(0)
threading.Thread(target=listen, daemon=True).start()
print("ready", flush=True)
while working.wait():
    sum(range(10_000))
"""


def networks(size: str) -> tuple[str, ...]:
    """One network: how threads wait does not depend on it."""
    return ("vit",) if size in ("small", "all") else ()


def settings(model: vg.VisionModel) -> dict[str, Any]:
    return {"peak_memory_mb": None}  # the task runs in other processes


class Helper:
    """A fresh process that hears words, a line each, and ends with this object."""

    def __init__(self, program: str, settings: dict[str, str]) -> None:
        kept = {name: value for name, value in os.environ.items() if name not in OPENMP}
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            env=kept | {"TQDM_DISABLE": "1"} | settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        weakref.finalize(self, end, self.process)
        self.hear()

    def tell(self, word: str) -> None:
        print(word, file=self.process.stdin, flush=True)

    def hear(self) -> str:
        """Wait for its next line."""
        assert self.process.stdout is not None
        if line := self.process.stdout.readline():
            return line.strip()
        raise RuntimeError(f"the process ended with exit status {self.process.wait()}")


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def contenders(model: vg.VisionModel) -> list[Contender]:
    @cache
    def worker(name: str) -> Helper:
        return Helper(TASK.format(device=str(model.device)), WAITING[name])

    @cache
    def crowd() -> list[Helper]:
        return [Helper(CROWD, {}) for _ in range(BUSY)]

    def alone(name: str) -> None:
        worker(name).tell("go")
        worker(name).hear()

    def beside(name: str) -> None:
        for one in crowd():
            one.tell("work")
        try:
            alone(name)
        finally:
            for one in crowd():
                one.tell("rest")

    quiet = [Contender(name, "variant", lambda n=name: alone(n)) for name in WAITING]
    quiet[0] = quiet[0]._replace(role="ours")
    return quiet + [
        Contender(f"{name}, beside {BUSY} busy processes", "variant", lambda n=name: beside(n)) for name in WAITING
    ]
