"""How much memory a computation may still take: on its device, on the machine, in its container."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import psutil
import torch

OWN_GROUPS = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")


class _Version(NamedTuple):
    """How one version of Linux's control groups names things."""

    trees: tuple[str, ...]  # where below GROUPS its tree of groups may be
    limit: str
    use: str
    cached: str  # entry of memory.stat: cached files that give way


_ONE = _Version(("memory",), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_TWO = _Version(("", "unified"), "memory.max", "memory.current", "inactive_file")


def free_memory(device: torch.device) -> int:
    """Bytes that a computation on `device` may still take, as far as the system tells.

    On a CUDA device, what the driver has free and what torch keeps for reuse. Elsewhere the least of what the machine
    has available and what each control group around this process (a container, a job, a service) leaves of its limit,
    `limit - use + inactive cached files`; never less than 0.

    Examples
    --------
    >>> free_memory(torch.device("cpu")) > 2**20
    True
    """
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    return max(0, min([psutil.virtual_memory().available, *_left_in_groups()]))


def _left_in_groups() -> Iterator[int]:
    """Bytes left in each group that limits this process: its own, and those around it."""
    try:
        lines = OWN_GROUPS.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        number, controllers, name = line.split(":", 2)
        if number != "0" and "memory" not in controllers.split(","):
            continue
        version = _TWO if number == "0" else _ONE
        own = PurePosixPath(name.lstrip("/"))
        # A container may show its own group as the root of the tree, and name it as it is called outside: groups that
        # are not there are passed over, and the root is among them.
        groups = [PurePosixPath()] if ".." in own.parts else [own, *own.parents]
        for tree in version.trees:
            for group in groups:
                yield from _left(GROUPS / tree / group, version)


def _left(group: Path, version: _Version) -> Iterator[int]:
    """Bytes left in one group; nothing where it has no limit, for which version 1 writes a huge number."""
    try:
        limit, use, stat = ((group / name).read_text() for name in (version.limit, version.use, "memory.stat"))
    except OSError:
        return
    if limit.strip() != "max":
        cached = dict(entry.split() for entry in stat.splitlines()).get(version.cached, 0)
        yield int(limit) - int(use) + int(cached)
