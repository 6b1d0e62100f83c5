"""Free memory, to the byte, on a machine made of files: what it has available, and what groups leave of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from vitgeom_nb.core import memory
from vitgeom_nb.core.memory import free_memory

CPU = torch.device("cpu")
AVAILABLE = 8 * 2**30
UNLIMITED = 9223372036854771712  # what version 1 writes


class Machine:
    """A Linux machine with 8 GiB available; `own` are the groups of this process."""

    def __init__(self, root: Path) -> None:
        self.proc, self.groups = root / "proc", root / "cgroup"
        (self.proc / "self").mkdir(parents=True)
        self.groups.mkdir()
        entries = dict.fromkeys(["MemFree", "Buffers", "Cached", "Shmem", "Active", "Inactive"], 0)
        entries |= {"MemTotal": 16 * 2**20, "MemAvailable": AVAILABLE // 1024}
        (self.proc / "meminfo").write_text("".join(f"{name}: {kib} kB\n" for name, kib in entries.items()))

    def own(self, *lines: str) -> None:
        (self.proc / "self" / "cgroup").write_text("".join(f"{line}\n" for line in lines))

    def two(self, group: str, limit: int | str, use: int, inactive: int = 0) -> None:
        """A group of version 2."""
        self._write(group, {"memory.max": limit, "memory.current": use, "memory.stat": _stat(inactive_file=inactive)})

    def one(self, group: str, limit: int, use: int, inactive: int = 0) -> None:
        """A group of version 1, whose own `inactive_file` leaves out its children's."""
        stat = _stat(inactive_file=1, total_inactive_file=inactive)
        files = {"memory.limit_in_bytes": limit, "memory.usage_in_bytes": use, "memory.stat": stat}
        self._write(f"memory/{group}", files)

    def _write(self, group: str, files: dict[str, object]) -> None:
        folder = self.groups / group
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_text(f"{content}\n")


def _stat(**entries: int) -> str:
    return "\n".join(f"{name} {value}" for name, value in {"anon": 77, **entries, "slab": 5}.items())


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(made.proc))
    monkeypatch.setattr(memory, "OWN_GROUPS", made.proc / "self" / "cgroup")
    monkeypatch.setattr(memory, "GROUPS", made.groups)
    return made


def test_without_groups_it_is_what_the_machine_has_available(machine: Machine) -> None:
    assert free_memory(CPU) == AVAILABLE
    machine.own("0::/")
    assert free_memory(CPU) == AVAILABLE


def test_a_limit_less_use_plus_inactive_files(machine: Machine) -> None:
    machine.own("0::/job")
    machine.two("job", 10_000_000, 4_000_000, inactive=500_000)
    assert free_memory(CPU) == 6_500_000


def test_a_limit_above_what_the_machine_has_changes_nothing(machine: Machine) -> None:
    machine.own("0::/job")
    machine.two("job", 2 * AVAILABLE, 1000)
    assert free_memory(CPU) == AVAILABLE
    machine.two("job", "max", 10**15)
    assert free_memory(CPU) == AVAILABLE


def test_a_group_above_its_limit_leaves_nothing(machine: Machine) -> None:
    machine.own("0::/job")
    machine.two("job", 1000, 1001)
    assert free_memory(CPU) == 0


@pytest.mark.parametrize(("narrowest", "left"), [("a", 700), ("a/b", 800), ("a/b/c", 900)])
def test_the_narrowest_of_a_group_and_its_parents_counts(machine: Machine, narrowest: str, left: int) -> None:
    machine.own("0::/a/b/c")
    for group in ("a", "a/b", "a/b/c"):
        machine.two(group, "max", 50)
    machine.two(narrowest, left + 50, 50)
    machine.two("a/other", 10, 0)  # another's limit
    assert free_memory(CPU) == left


@pytest.mark.parametrize("own", ["/", "/system.slice/docker-0123.scope", "/../../elsewhere"])
def test_in_a_container_the_root_is_its_own_group(machine: Machine, own: str) -> None:
    machine.own(f"0::{own}")
    machine.two("", 3000, 1000, inactive=10)
    machine._write("../elsewhere", {"memory.max": 5, "memory.current": 0, "memory.stat": _stat()})
    assert free_memory(CPU) == 2010


def test_version_1(machine: Machine) -> None:
    machine.own("5:cpu,cpuacct:/other", "4:memory:/pods/pod", "1:name=systemd:/", "0::/")
    machine.one("", UNLIMITED, 6_000_000_000)
    machine.one("pods", UNLIMITED, 5_000_000_000)
    machine.one("pods/pod", UNLIMITED, 4_000_000_000)
    machine.one("other", 1, 0)  # of another controller
    assert free_memory(CPU) == AVAILABLE
    machine.one("pods/pod", 4_000_900_000, 4_000_000_000, inactive=30_000)
    assert free_memory(CPU) == 930_000
    machine.one("pods", 5_000_100_000, 5_000_000_000, inactive=2_000)
    assert free_memory(CPU) == 102_000


def test_memory_of_version_2_beside_controllers_of_version_1(machine: Machine) -> None:
    machine.own("5:cpu:/job", "0::/job")
    machine.two("unified/job", 4000, 1000)
    assert free_memory(CPU) == 3000


def test_a_group_that_ends_meanwhile_is_passed_over(machine: Machine) -> None:
    machine.own("0::/job")
    machine.two("job", 4000, 1000)
    (machine.groups / "job" / "memory.current").unlink()
    assert free_memory(CPU) == AVAILABLE


def test_cuda_counts_what_torch_keeps_for_reuse(monkeypatch: pytest.MonkeyPatch) -> None:
    of_cuda = SimpleNamespace(
        memory_reserved=lambda device: 700,
        memory_allocated=lambda device: 400,
        mem_get_info=lambda device: (5000, 9000),
    )
    monkeypatch.setattr(torch, "cuda", of_cuda)
    assert free_memory(torch.device("cuda")) == 5300


def test_this_machine_tells() -> None:
    assert 2**24 < free_memory(CPU) <= psutil.virtual_memory().total
