"""The command line: what it prints, what it draws, and how it fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vitgeom_nb import __main__ as command
from vitgeom_nb import settings
from vitgeom_nb.commands import models
from vitgeom_nb.core import stopping

from .commands.running import run


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("figures", "nonsense", "--out", "x"), "There is no figure 'nonsense'; there are equivalent-images,"),
        (("figures", "--model", "restnet", "--out", "x"), "did you mean 'resnet'"),
        (("figures", "nonsense"), "There is no figure 'nonsense'"),
        (("figures", "--images", "1", "--out", "x"), "ask for 2 to 20, which is how many there are"),
        (("figures", "--images", "21", "--out", "x"), "--images is 21"),
        (("figures", "--out", "a" * 300), "cannot be a folder (File name too long)"),
        (("models", "--tier", "gigantic"), "choose one of embedded, controls, pretrained, paper"),
    ],
)
def test_mistakes_are_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("vitgeom-nb: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_help_and_unknown_commands_leave_by_argparse(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as helped:
        command.main(["--help"])
    assert helped.value.code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dance"], "vitgeom-nb: argument COMMAND: invalid choice: 'dance'"),
        ([], "vitgeom-nb: the following arguments are required: COMMAND"),
        (["figures", "--images", "x"], "vitgeom-nb figures: argument --images: invalid int value: 'x'"),
        (["doctor", "a\nb"], "vitgeom-nb: unrecognized arguments: a b; vitgeom-nb --help lists what there is."),
    ],
)
def test_what_is_no_command_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    with pytest.raises(SystemExit) as failed:
        command.main(arguments)
    assert failed.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith(words)
    assert err.count("\n") == 1


SLEEPING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "10000"}


def openmp(program: str, **environment: str) -> tuple[dict[str, str], str]:
    """The variables of waiting threads that a fresh process has at its end, and what it says on stderr."""
    rest = {name: value for name, value in os.environ.items() if name not in SLEEPING}
    ending = f"; import json, os; print(json.dumps({{k: v for k, v in os.environ.items() if k in {list(SLEEPING)}}}))"
    command = [sys.executable, "-c", f"from vitgeom_nb import settings, __main__ as command; {program}{ending}"]
    done = subprocess.run(command, env=rest | environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_a_command_asks_threads_that_wait_to_sleep_after_a_short_spin() -> None:
    assert openmp("command.main(['figures'])") == (SLEEPING, "")


@pytest.mark.parametrize("chosen", [{"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "1000"}])
def test_what_the_user_says_of_waiting_threads_stays(chosen: dict[str, str]) -> None:
    assert openmp("assert not settings.sleeping_threads()", **chosen) == (chosen, "")


@pytest.mark.skipif(sys.platform != "linux", reason="torch brings GNU's OpenMP on Linux only")
def test_openmp_is_asked_before_torch_loads_it() -> None:
    _, said = openmp("assert settings.sleeping_threads(); import torch", OMP_DISPLAY_ENV="VERBOSE")
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in said
    assert "GOMP_SPINCOUNT = '10000'" in said


def test_openmp_is_not_asked_once_torch_is_loaded(monkeypatch) -> None:
    for name in SLEEPING:
        monkeypatch.delenv(name, raising=False)
    assert not settings.sleeping_threads()
    assert not set(SLEEPING) & set(os.environ)


@pytest.mark.parametrize(
    ("raised", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "stopped; what was written before is whole."),
        (RuntimeError("shapes\ndo not match"), 1, "an error that nobody foresaw, RuntimeError: shapes ("),
    ],
)
def test_what_ends_a_command_is_one_line(capsys, monkeypatch, raised, status: int, words: str) -> None:
    def ended(options: object) -> int:
        raise raised

    monkeypatch.setattr(models, "show_models", ended)
    got, _, err = run(capsys, "models")
    assert got == status
    assert words in err
    assert err.count("\n") == 1
    if status == 1:
        with pytest.raises(RuntimeError):
            command.main(["--traceback", "models"])


def test_a_closed_pipe_is_silent() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command_line = [sys.executable, "-m", "vitgeom_nb", "models"]
    done = subprocess.run(command_line, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_full_stdout_is_one_line(buffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        command_line = [sys.executable, "-m", "vitgeom_nb", "figures"]
        here = os.environ | {"PYTHONUNBUFFERED": buffered}
        done = subprocess.run(command_line, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=here)
    words = "vitgeom-nb: stdout cannot be written (No space left on device); make room, or send it elsewhere.\n"
    assert (done.returncode, done.stderr) == (2, words)


def test_a_closed_stdout_is_one_line() -> None:
    command_line = ["sh", "-c", '"$0" -m vitgeom_nb figures >&-', sys.executable]
    done = subprocess.run(command_line, capture_output=True, text=True, check=False)
    words = "vitgeom-nb: stdout is closed; let it be a terminal, a file or a pipe.\n"
    assert (done.returncode, done.stderr) == (2, words)


# Runs the command line as `python -m` does, and sends itself Ctrl-C when a module is looked for, or at the end


STOPPED = """
import os, runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            sys.meta_path.remove(self)
            try:
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(1000): pass
            except BaseException:
                if how == "raised": raise
                if how == "another": raise ImportError("cannot load module more than once per process") from None
wanted, how, *sys.argv[1:] = sys.argv[1:]
import vitgeom_nb
sys.meta_path.insert(0, Finder())
if wanted == "end":
    import atexit
    atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
runpy.run_module("vitgeom_nb", run_name="__main__", alter_sys=True)
"""


def ended_by_ctrl_c(wanted: str, how: str, *arguments: str) -> tuple[int, str]:
    command_line = [sys.executable, "-c", STOPPED, wanted, how, *arguments]
    done = subprocess.run(command_line, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("module", "how"),
    [
        ("argparse", "raised"),
        ("torch", "raised"),
        ("torch", "another"),
        ("timm", "swallowed"),
        ("matplotlib", "another"),
    ],
)
def test_ctrl_c_is_one_line_whatever_becomes_of_it(module: str, how: str, tmp_path: Path) -> None:
    arguments = ("figures", "direction-change", "--model", "mobilenetv2", "--images", "2", "--out", str(tmp_path / "x"))
    assert ended_by_ctrl_c(module, how, *arguments) == (130, f"{stopping.WORDS}\n")
    assert not list(tmp_path.rglob("*.p*"))  # no figure, and no part of one


def test_ctrl_c_after_the_end_is_too_late() -> None:
    assert ended_by_ctrl_c("end", "raised", "figures") == (0, "")


def test_others_get_ctrl_c_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    run(capsys, "figures")
    assert signal.getsignal(signal.SIGINT) is before
    stopping.check()


@pytest.mark.parametrize("ends", ["returns", "raises", "exits"])
def test_ctrl_c_decides_the_ending_of_a_call_too(capsys, monkeypatch, ends: str) -> None:
    def stopped(options: object) -> int:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            if ends == "raises":
                raise RecursionError("maximum recursion depth exceeded") from None
            if ends == "exits":
                raise SystemExit(1) from None
        return 0

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        monkeypatch.setattr(models, "show_models", stopped)
        assert run(capsys, "models") == (130, "", f"{stopping.WORDS}\n")
    finally:
        signal.signal(signal.SIGINT, before)
