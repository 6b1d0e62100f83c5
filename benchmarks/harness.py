"""A contest: contenders for one task timed in turn, in one run, so that a noisy machine is noisy for all of them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

PACKAGES = ("vitgeom-nb", "torch", "timm", "transformers", "numpy", "scipy", "captum")


class Contender(NamedTuple):
    """One way to do the task.

    `run` does all of it and returns what `describe` turns into numbers: accuracy, evaluations, products. `share` is
    the part of the task that `run` does (1 is all): seconds are divided by it, and the record says so.
    """

    name: str
    role: str
    run: Callable[[], Any]
    describe: Callable[[Any], dict[str, float]] | None = None
    share: float = 1.0


def synchronise(device: torch.device) -> None:
    """Wait for the accelerator, where there is one."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def contest(
    engine: str,
    network: str,
    contenders: Iterable[Contender],
    device: torch.device,
    repeats: int = 5,
    memory: bool = True,
    **settings: Any,
) -> list[dict[str, Any]]:
    """Time the contenders alternately, `repeats` rounds after a first one that is not counted; one record each.

    A record holds every time in `seconds`, their `median`, and `ratio`, the median over rounds of this contender's
    time over the time of ours in the same round, with `ratio_lower_quartile` and `ratio_upper_quartile`. A contender
    that fails (no memory, say) has the reason in `error` instead, and where ours fails there are no ratios.
    """
    each = list(contenders)
    records = [
        {"engine": engine, "network": network, "contender": c.name, "role": c.role, "share": c.share, **settings}
        for c in each
    ]
    times: list[list[float]] = [[] for _ in each]
    failed: set[int] = set()
    for turn in range(repeats + 1):
        for i, contender in enumerate(each):
            if i in failed:
                continue
            print(f"{engine} · {network} · {contender.name} · {turn} of {repeats}", file=sys.stderr, flush=True)
            synchronise(device)
            start = time.perf_counter()
            try:
                out = contender.run()
            except (RuntimeError, MemoryError) as error:
                records[i]["error"] = f"{type(error).__name__}: {(str(error).splitlines() or ['no reason'])[0][:200]}"
                failed.add(i)
                continue
            synchronise(device)
            if turn:
                times[i].append((time.perf_counter() - start) / contender.share)
            elif contender.describe is not None:
                records[i] |= contender.describe(out)
            del out
    ours = next(i for i, c in enumerate(each) if c.role == "ours")
    for i, (record, spent) in enumerate(zip(records, times, strict=True)):
        if i in failed:
            continue
        record |= {"seconds": [round(s, 5) for s in spent], "median": float(np.median(spent))}
        if ours not in failed:
            ratio = np.array(spent) / np.array(times[ours])
            first, middle, third = (float(q) for q in np.quantile(ratio, [0.25, 0.5, 0.75]))
            record |= {"ratio": middle, "ratio_lower_quartile": first, "ratio_upper_quartile": third}
        if memory and "peak_memory_mb" not in record:  # a process of its own has told it
            record["peak_memory_mb"] = peak_memory(engine, network, record["contender"], device)
    return records


def peak_memory(engine: str, network: str, contender: str, device: torch.device) -> float | None:
    """Most memory that one run takes above the loaded network after a forward pass, in MB, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks", "--peak", engine, network, contender]
    # what is freed goes back to the system at once, or the run could use again what its preparation took
    settings = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    whole = [*command, "--device", str(device)]
    done = subprocess.run(whole, capture_output=True, text=True, check=False, env=settings)
    return float(done.stdout.split()[-1]) if done.returncode == 0 else None


def inherited(name: str, find: Callable[[], str]) -> str:
    """A setting that is searched for once: the processes that measure memory inherit it."""
    key = f"BENCHMARK_{name}"
    if key not in os.environ:
        os.environ[key] = find()
    return os.environ[key]


def measure_peak(contender: Contender, device: torch.device) -> float:
    """What `peak_memory` asks of its process."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        contender.run()
        return (torch.cuda.max_memory_allocated(device) - before) / 1e6
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak back to what is held now
    before = _peak_resident()
    contender.run()
    return (_peak_resident() - before) / 1e6


def _peak_resident() -> int:
    """The most bytes that this process held. Not `ru_maxrss`, which begins with the peak of the parent process."""
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


def hardware(device: torch.device) -> dict[str, Any]:
    """What the numbers were taken on."""
    info = Path("/proc/cpuinfo")
    names = [x.split(":")[1].strip() for x in info.read_text().splitlines() if x.startswith("model name")]
    cores = len(os.sched_getaffinity(0))
    out = {"processor": names[0] if names else platform.processor(), "cores": cores, "threads": torch.get_num_threads()}
    if device.type == "cuda":
        out["accelerator"] = torch.cuda.get_device_name(device)
    return out


def write(records: list[dict[str, Any]], path: Path, device: torch.device, **about: Any) -> None:
    """Records of one engine with hardware and versions, as JSON; records of networks not measured now are kept."""
    kept = json.loads(path.read_text())["records"] if path.exists() else []
    fresh = {(r["engine"], r["network"]) for r in records}
    now = datetime.now(UTC).strftime("%Y-%m-%d")
    where = hardware(device) | {"date": now, "versions": {p: version(p) for p in PACKAGES if _installed(p)}} | about
    stamped = [r | {"machine": where} for r in records]
    records = [r for r in kept if (r["engine"], r["network"]) not in fresh] + stamped
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"records": records}, indent=1) + "\n")


def _installed(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec({"vitgeom-nb": "vitgeom_nb"}.get(package, package)) is not None
