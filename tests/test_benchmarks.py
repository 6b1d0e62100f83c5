"""The contest times its contenders as it says, on a clock that the test turns; every engine's contenders run."""

from __future__ import annotations

import json
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import benchmarks.__main__ as command
import vitgeom_nb as vg
from benchmarks import busy, harness, imports
from benchmarks.harness import Contender, contest
from vitgeom_nb.benchmark_records import ROLES

from .chapters import ROOT

CPU = torch.device("cpu")
ENGINES = sorted(
    path.stem for path in (ROOT / "benchmarks").glob("*.py") if "def contenders(" in path.read_text(encoding="utf-8")
)


class Clock:
    """Stands in for `time.perf_counter`: only a contender moves it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns: list[str] = []

    def contender(self, name: str, *seconds: float, role: str = "peer", **options) -> Contender:
        """Takes these times one after the other, then again."""

        def run() -> int:
            self.now += seconds[self.turns.count(name) % len(seconds)]
            self.turns.append(name)
            return len(name)

        return Contender(name, role, run, **options)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(harness.time, "perf_counter", lambda: clock.now)
    return clock


def fails(error: Exception) -> Contender:
    def run() -> None:
        raise error

    return Contender("fails", "peer", run)


def test_contenders_take_turns_and_the_first_round_does_not_count(clock: Clock) -> None:
    each = [clock.contender("a", 9.0, 1.0, 2.0, 4.0, role="ours"), clock.contender("b", 7.0, 3.0, 2.0, 2.0)]
    ours, peer = contest("engine", "net", each, CPU, repeats=3, memory=False)
    assert clock.turns == ["a", "b"] * 4
    assert ours["seconds"] == [1.0, 2.0, 4.0]
    assert (ours["median"], peer["median"]) == (2.0, 2.0)
    assert [ours[key] for key in ("ratio", "ratio_lower_quartile", "ratio_upper_quartile")] == [1.0, 1.0, 1.0]
    # ratios of the rounds are 3, 1 and 1/2: the median is of ratios, not the ratio of medians
    np.testing.assert_allclose(
        [peer["ratio_lower_quartile"], peer["ratio"], peer["ratio_upper_quartile"]], [0.75, 1.0, 2.0]
    )


def test_seconds_are_for_the_whole_task_where_a_share_was_done(clock: Clock) -> None:
    each = [clock.contender("a", 2.0, role="ours"), clock.contender("b", 1.0, share=0.1)]
    _, peer = contest("engine", "net", each, CPU, repeats=2, memory=False)
    assert peer["share"] == 0.1
    np.testing.assert_allclose(peer["seconds"], [10.0, 10.0])
    assert peer["ratio"] == pytest.approx(5.0)


def test_a_record_says_what_was_measured(clock: Clock) -> None:
    each = [clock.contender("a", 1.0, role="ours", describe=lambda out: {"evaluations": 10.0 * out, "error": 1e-9})]
    (ours,) = contest("engine", "net", each, CPU, repeats=2, memory=False, rows=5)
    assert [ours[key] for key in ("engine", "network", "contender", "role")] == ["engine", "net", "a", "ours"]
    assert (ours["rows"], ours["evaluations"]) == (5, 10.0)
    # an accuracy may be called an error; that is no failure
    assert (ours["error"], ours["seconds"]) == (1e-9, [1.0, 1.0])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("out of memory\nmore"), "RuntimeError: out of memory"),
        (MemoryError(), "MemoryError: no reason"),
        (NotImplementedError("jvp"), "NotImplementedError: jvp"),
    ],
)
def test_a_contender_that_fails_says_why_and_stops_nobody(clock: Clock, error: Exception, said: str) -> None:
    each = [clock.contender("a", 1.0, role="ours"), fails(error), clock.contender("b", 3.0)]
    _, failed, peer = contest("engine", "net", each, CPU, repeats=2, memory=False)
    assert failed["error"] == said
    assert not {"seconds", "median", "ratio"} & set(failed)
    assert peer["ratio"] == 3.0


def test_without_a_time_of_ours_there_are_no_ratios(clock: Clock) -> None:
    each = [fails(RuntimeError("no"))._replace(role="ours"), clock.contender("b", 3.0)]
    ours, peer = contest("engine", "net", each, CPU, repeats=2, memory=False)
    assert "error" in ours
    assert peer["median"] == 3.0
    assert "ratio" not in peer


def test_a_contender_that_fails_late_keeps_no_times(clock: Clock) -> None:
    def run() -> None:
        clock.turns.append("late")
        if clock.turns.count("late") == 3:
            raise RuntimeError("late")

    late, _ = contest(
        "engine", "net", [Contender("late", "peer", run), clock.contender("a", 1.0, role="ours")], CPU, 3, False
    )
    assert late["error"] == "RuntimeError: late"
    assert "seconds" not in late


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        contest("engine", "net", [Contender("a", "ours", lambda: 1 / 0)], CPU, 1, False)


def test_writing_replaces_a_network_measured_again_and_keeps_the_others(tmp_path: Path) -> None:
    path = tmp_path / "new" / "engine-cpu.json"
    old = [{"engine": "engine", "network": n, "contender": c, "median": 1.0} for n in ("a", "b") for c in "xy"]
    harness.write(old, path, CPU)
    harness.write([{"engine": "engine", "network": "a", "contender": "x", "median": 2.0}], path, CPU)
    records = json.loads(path.read_text())["records"]
    assert [(r["network"], r["contender"], r["median"]) for r in records] == [
        ("b", "x", 1.0),
        ("b", "y", 1.0),
        ("a", "x", 2.0),
    ]
    machine = records[0]["machine"]
    assert {"processor", "cores", "threads", "date", "versions"} <= set(machine)
    assert (
        machine["versions"]["torch"] == torch.__version__.split("+")[0]
        or machine["versions"]["torch"] == torch.__version__
    )
    assert "accelerator" not in machine


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is measured on Linux only")
def test_peak_memory_is_what_one_run_takes_above_what_was_held() -> None:
    held = np.ones(8_000_000)  # 64 MB that are not the contender's
    allocating = Contender("a", "ours", lambda: float(np.ones(12_500_000).sum()))  # 100 MB
    assert 95 < harness.measure_peak(allocating, CPU) < 130
    assert harness.measure_peak(Contender("b", "peer", lambda: None), CPU) < 10
    assert held.sum() == 8_000_000


def test_memory_that_a_contender_tells_itself_is_recorded(clock: Clock) -> None:
    told = clock.contender("a", 1.0, role="ours", describe=lambda out: {"peak_memory_mb": 5.0 * out})
    (ours,) = contest("engine", "net", [told], CPU, repeats=1, memory=True)
    assert ours["peak_memory_mb"] == 5.0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is measured on Linux only")
def test_a_fresh_process_tells_its_own_memory() -> None:
    small, large = (
        imports.held(imports.in_fresh_process(imports.PEAK + work))["peak_memory_mb"]
        for work in ("pass", "b'1' * 100_000_000")
    )
    assert 95 < large - small < 105


def test_a_fresh_process_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="ModuleNotFoundError: No module named 'nonsense'"):
        imports.in_fresh_process("import nonsense")


ECHO = f"""
import os, sys
print("ready", flush=True)
for word in sys.stdin:
    print(*(os.environ.get(name) for name in {busy.OPENMP}), flush=True)
"""


@pytest.mark.parametrize(
    ("waiting", "told"),
    [
        ("a short spin", "passive 10000 None"),
        ("sleep at once", "passive None None"),
        ("torch's own waiting", "None None None"),
        ("one thread", "None None 1"),
    ],
)
def test_a_fresh_process_waits_as_it_is_told_and_not_as_its_parent(
    monkeypatch: pytest.MonkeyPatch, waiting: str, told: str
) -> None:
    for name in busy.OPENMP:
        monkeypatch.setenv(name, "2")
    helper = busy.Helper(ECHO, busy.WAITING[waiting])
    helper.tell("go")
    assert helper.hear() == told


def test_a_fresh_process_computes_the_spectrum() -> None:
    helper = busy.Helper(busy.TASK.format(device="cpu"), busy.WAITING["one thread"])
    helper.tell("go")
    assert helper.hear() == "done"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the time that a process took is read on Linux only")
def test_busy_processes_work_from_word_to_word_and_end_with_who_started_them() -> None:
    def spent() -> int:
        return sum(map(int, Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))

    helper = busy.Helper(busy.CROWD, {})
    process = helper.process
    before = spent()
    helper.tell("work")
    while spent() < before + 5:  # hundredths of a second
        time.sleep(0.01)
    helper.tell("rest")
    for _ in range(100):
        before = spent()
        time.sleep(0.3)
        if spent() == before:
            break
    else:
        pytest.fail("it works on after it was told to rest")
    del helper
    assert process.poll() is not None


def test_a_helper_that_ends_says_so() -> None:
    with pytest.raises(RuntimeError, match="the process ended with exit status 3"):
        busy.Helper("raise SystemExit(3)", {})


def test_every_engine_of_the_command_has_its_contenders() -> None:
    assert set(command.ENGINES) >= set(ENGINES)


@pytest.mark.parametrize("engine", ENGINES)
def test_contenders_of_every_engine_run(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busy, "TASK", ECHO)  # a spectrum, in three processes, takes long beside four busy ones
    module, model = import_module(f"benchmarks.{engine}"), tiny()
    each = module.contenders(model)
    assert [c.role for c in each].count("ours") == 1
    assert {c.role for c in each} <= set(ROLES)
    assert len({c.name for c in each}) == len(each)
    assert all(0 < c.share <= 1 for c in each)
    records = contest(engine, "tiny", each, CPU, repeats=1, memory=False, **module.settings(model))
    assert [r.get("error") for r in records if "seconds" not in r] == []
    harness.write(records, tmp_path / f"{engine}-cpu.json", CPU)
    table = vg.speed(tmp_path)
    assert list(table.contender) == [c.name for c in each]
    assert vg.figures.speed(table, engine).axes


def tiny() -> vg.VisionModel:
    """A smooth network of 16 x 16 images with an embedding of 24 components and 10 classes."""
    draw = torch.Generator().manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 4, 4),
        torch.nn.GELU(),
        torch.nn.Flatten(),
        torch.nn.Linear(128, 24),
        torch.nn.Linear(24, 10),
    )
    for p in net.parameters():
        p.data = torch.randn(p.shape, generator=draw) / max(1, p[0].numel()) ** 0.5
    options = {"embed": lambda m, x: m[:4](x), "logits": lambda m, x: m(x)}
    return vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=16, name="tiny", **options)


def test_an_unknown_engine_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", "nonsense"])
    with pytest.raises(SystemExit):
        command.main()
    assert "there is no engine nonsense; there are jacobian" in capsys.readouterr().err


def test_a_setting_is_searched_for_once_and_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.os, "environ", {})
    searches = iter(["first", "second"])
    assert [harness.inherited("RATE", lambda: next(searches)) for _ in range(2)] == ["first", "first"]
    assert harness.inherited("CHUNK", lambda: next(searches)) == "second"
    assert harness.os.environ == {"BENCHMARK_RATE": "first", "BENCHMARK_CHUNK": "second"}


def test_records_of_embedded_networks_name_their_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: list[dict] = []
    monkeypatch.setattr(command, "contest", lambda *contest, **settings: given.append(settings) or [])
    options = ["--networks", "swin", "--device", "cpu", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["benchmarks", "forward", *options])
    command.main()
    assert [settings["weights"] for settings in given] == [vg.load("swin").digest]
