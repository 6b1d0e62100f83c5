"""Sweeps on workers of Dask: lost workers, lost schedulers, no memory, and two hosts for real."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import distributed
import pytest
from distributed import LocalCluster

import vitgeom_nb as vg
from vitgeom_nb.sweeps import engines

from ..chapters import ROOT
from .simulated import here
from .test_sweep import files, same, swept

LATE = 120  # seconds for a process to come up on a busy machine


@pytest.fixture(autouse=True)
def no_cache_of_warnings() -> Iterator[None]:
    """Dask and its event loop warn of sockets that tests of lost schedulers leave behind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield


@contextlib.contextmanager
def dask(kind: str, *options: str, prefix: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """A scheduler or a worker in a process of its own."""
    command = [*prefix, sys.executable, "-m", "distributed.cli.dask_" + kind, "--no-dashboard", *options]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def scheduler(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler on this host, and its address."""
    told = folder / "scheduler.json"
    with dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(told)) as process:
        yield address(told), process


def address(told: Path) -> str:
    end = time.monotonic() + LATE
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError):
            return str(json.loads(told.read_text())["address"])
        time.sleep(0.05)
    raise AssertionError("the scheduler does not come up")


def test_workers_that_die_and_that_eat_all_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_workers = functools.partial(LocalCluster, memory_limit="1.5GB")
    monkeypatch.setattr(distributed, "LocalCluster", small_workers)
    monkeypatch.setenv("SIMULATED_DIES", "5")
    monkeypatch.setenv("SIMULATED_EATS", "21")
    done = swept(tmp_path / "run", measures=[here("troubled")], block=4, workers=2)
    assert done.measured == 32, str(done)
    assert set(done.failed["small troubled"]) == {*range(4, 8), *range(20, 24)}
    assert "out of memory, or killed" in str(done)
    before = files(tmp_path / "run")
    monkeypatch.delenv("SIMULATED_DIES")
    monkeypatch.delenv("SIMULATED_EATS")
    again = swept(tmp_path / "run", measures=[here("troubled")])
    assert (again.measured, again.complete) == (8, True)
    assert before.items() <= files(tmp_path / "run").items()
    swept(tmp_path / "alone", measures=[here("troubled")])
    same(tmp_path / "run", tmp_path / "alone")


def test_a_lost_scheduler_ends_a_sweep_with_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATED_SECONDS", "0.05")
    out = tmp_path / "run"
    with scheduler(tmp_path) as (where, process), dask("worker", where, "--nthreads", "1", "--no-nanny"):
        kill = [sys.executable, "-c", KILL, str(out), str(process.pid)]
        with subprocess.Popen(kill):
            done = swept(out, data=here("many"), block=4, scheduler=where)
    assert "The scheduler is gone; the same command goes on" in str(done)
    assert "\n" not in str(done.stopped)
    before = files(out)
    assert before
    monkeypatch.delenv("SIMULATED_SECONDS")
    assert swept(out, data=here("many")).complete
    assert before.items() <= files(out).items()


KILL = """
import os, pathlib, sys, time
while not list(pathlib.Path(sys.argv[1]).glob("networks/*/*/*.nc")):
    time.sleep(0.05)
os.kill(int(sys.argv[2]), 9)
"""


def test_without_a_worker_a_sweep_ends_with_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines.OnDask.__init__, "__defaults__", (2.0,))
    with scheduler(tmp_path) as (where, _):
        done = swept(tmp_path / "run", scheduler=where)
    assert "There has been no worker for 2 seconds; the same command" in str(done.stopped)


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "PATIENCE", 1.0)
    with pytest.raises(vg.errors.ArgumentError, match=r"No scheduler answers at tcp://127\.0\.0\.1:1"):
        swept(tmp_path, scheduler="tcp://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(vg.errors.ArgumentError, match=r"pip install 'vitgeom-nb\[sweep\]'"):
        swept(tmp_path, workers=2)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[tuple[str, str]]:
    """Two hosts on a wire: network namespaces with an address each."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and the command ip")
    names = [f"vg{os.getpid()}{letter}" for letter in "ab"]
    try:
        ip("netns", "add", names[0])
    except subprocess.CalledProcessError:
        pytest.skip("this system allows no network namespaces")
    try:
        ip("netns", "add", names[1])
        ip("link", "add", "wire", "netns", names[0], "type", "veth", "peer", "name", "wire", "netns", names[1])
        for number, name in enumerate(names, start=1):
            ip("-n", name, "address", "add", f"10.77.0.{number}/24", "dev", "wire")
            ip("-n", name, "link", "set", "wire", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names[0], names[1]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def test_two_hosts(hosts: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts, out, told = tmp_path / "counts", tmp_path / "run", tmp_path / "scheduler.json"
    counts.mkdir()
    monkeypatch.setenv("SIMULATED_COUNTS", str(counts))
    monkeypatch.setenv("SIMULATED_SECONDS", "0.05")
    here_it_is, there = (["ip", "netns", "exec", name] for name in hosts)
    listens = ("--host", "10.77.0.1", "--port", "0", "--scheduler-file", str(told))
    with dask("scheduler", *listens, prefix=here_it_is), contextlib.ExitStack() as stack:
        where = address(told)
        assert where.startswith("tcp://10.77.0.1:")
        for prefix in (here_it_is, there):
            stack.enter_context(dask("worker", where, "--nthreads", "1", "--no-nanny", prefix=prefix))
        wait = f"from distributed import Client; Client('{where}', timeout=100).wait_for_workers(2, timeout=100)"
        subprocess.run([*here_it_is, sys.executable, "-c", wait], check=True, capture_output=True)
        command = [*here_it_is, sys.executable, "-m", "vitgeom_nb", "sweep", "--models", here("small"), here("other")]
        command += ["--data", here("many"), "--images", "60", "--measure", here("told"), "--block", "4"]
        command += ["--out", str(out), "--scheduler", where]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "done     120 measured" in done.stdout
    workers = {line for path in counts.iterdir() for line in path.read_text().split()}
    assert len(workers) == 2
    monkeypatch.delenv("SIMULATED_SECONDS")
    swept(tmp_path / "alone", models=[here("small"), here("other")], data=here("many"), n=60, block=7)
    same(out, tmp_path / "alone")
