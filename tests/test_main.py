"""The command line: what it prints, what it draws, and how it fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import vitgeom_nb as vg
from vitgeom_nb import __main__ as command
from vitgeom_nb import settings
from vitgeom_nb.core import stopping
from vitgeom_nb.data.registry import KNOWN
from vitgeom_nb.hub.transfer import fetch
from vitgeom_nb.networks import embedded as zoo
from vitgeom_nb.networks.wrapping import call

from .stand_in_hub import StandInHub


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = command.main(arguments)
    out, err = capsys.readouterr()
    return status, out, err


def test_models_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "models")
    assert (status, err) == (0, "")
    for name in vg.models().index:
        (row,) = (line for line in out.splitlines() if line.startswith(f"{name} "))
        assert f"{vg.models().parameters[name]:,}" in row


def test_models_of_the_papers_tier(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "models", "--tier", "paper")
    assert status == 0
    assert "timm/resnet50.tv_in1k" in out
    assert "nan" not in out


def test_figures_without_a_folder_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "figures")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[:-1]] == list(command.RECIPES)
    assert "--out DIR" in out


OWN = {"embed": call, "logits": call}  # the embedding of these networks is their logits


@pytest.fixture(scope="module")
def small() -> vg.VisionModel:
    """A smooth network of 16 x 16 pixels that goes by the name of one with recorded predictions."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(3 * 16**2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 6)
        )
    return vg.wrap(net, mean=[0.5] * 3, std=[0.2] * 3, size=16, name="resnet", **OWN)


@pytest.mark.parametrize("name", command.RECIPES)
def test_every_recipe_draws_a_figure(name: str, small: vg.VisionModel) -> None:
    model = small
    figure = command.RECIPES[name][1](model, vg.samples("imagenet", n=2, size=model.size))
    assert isinstance(figure, Figure)
    assert any(axes.lines or axes.images or axes.collections or axes.patches for axes in figure.axes)


def test_chosen_figures_are_drawn_to_the_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ("reliability", "--model", "resnet", "--format", "webp", "--images", "2")
    status, out, _ = run(capsys, "figures", *arguments, "--out", str(tmp_path / "new"))
    path = tmp_path / "new" / "resnet-reliability.webp"
    assert status == 0
    assert out.strip() == str(path)
    with Image.open(path) as picture:
        assert min(picture.size) > 100


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("figures", "nonsense", "--out", "x"), "There is no figure 'nonsense'; there are equivalent-images,"),
        (("figures", "--model", "restnet", "--out", "x"), "did you mean 'resnet'"),
        (("figures", "nonsense"), "There is no figure 'nonsense'"),
        (("figures", "--images", "1", "--out", "x"), "ask for 2 to 20, which is how many there are"),
        (("figures", "--images", "21", "--out", "x"), "--images is 21"),
        (("figures", "--out", "a" * 300), "cannot be a folder (File name too long)"),
        (("models", "--tier", "gigantic"), "choose one of embedded, pretrained, paper"),
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


def test_doctor_finds_everything_in_order(capsys: pytest.CaptureFixture[str], monkeypatch, hub: StandInHub) -> None:
    monkeypatch.delenv("VITGEOM_DATA", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "/nowhere")
    hub.add("facebook/vit-mae-base", {"config.json": b"{}"})
    fetch("facebook/vit-mae-base", "config.json")
    status, out, _ = run(capsys, "doctor")
    assert status == 0
    assert f"vitgeom-nb    {vg.__version__}" in out
    assert out.count("SHA-256 as on the card") == 4
    assert out.count("export VITGEOM_DATA=") == sum(len(known.splits) for known in KNOWN.values())
    assert "tier          embedded" in out
    assert "hub           answers" in out
    (missing,) = (line for line in out.splitlines() if "vg.load(" in line)
    assert "clip, beit" in missing
    assert "vitmae" not in missing
    assert "googlenet" in missing
    assert "1 of 12 networks fetched" in out


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "OMP_WAIT_POLICY is not set: they spin"),
        ({"OMP_WAIT_POLICY": "active"}, "OMP_WAIT_POLICY=active"),
        ({"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}, "OMP_WAIT_POLICY=passive, GOMP_SPINCOUNT=0"),
    ],
)
def test_doctor_says_how_threads_wait_and_how_to_have_them_sleep(
    environment: dict[str, str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch, hub: StandInHub
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    _, out, _ = run(capsys, "doctor")  # torch is loaded here, so the command sets nothing any more
    assert f"waiting       {words}; " in out
    assert "%env OMP_WAIT_POLICY=passive" in out


def test_doctor_without_a_hub_says_what_is_wrong(capsys: pytest.CaptureFixture[str], hub: StandInHub) -> None:
    hub.stop()
    status, out, _ = run(capsys, "doctor")
    assert status == 0
    (line,) = (line for line in out.splitlines() if line.startswith("hub "))
    assert "cannot be reached" in line
    assert "check the network" in line


def test_doctor_names_the_files_that_a_data_folder_lacks(
    capsys: pytest.CaptureFixture[str], monkeypatch, tmp_path: Path
) -> None:
    (tmp_path / "cifar10" / "plain_text").mkdir(parents=True)
    (tmp_path / "cifar10" / "plain_text" / "test-0.parquet").write_bytes(b"")
    monkeypatch.setenv("VITGEOM_DATA", str(tmp_path))
    status, out, _ = run(capsys, "doctor")
    names = ("cifar10", "tiny-imagenet")
    missing = [line for line in out.splitlines() if line.startswith("  missing") and line.split()[1] in names]
    assert status == 0
    assert len(missing) == 3
    assert not any("cifar10 test" in line for line in missing)
    assert f"put cifar10/plain_text/train-*.parquet into {tmp_path}" in out


def test_doctor_reports_damaged_weights_and_how_to_repair_them(
    capsys: pytest.CaptureFixture[str], monkeypatch, tmp_path: Path
) -> None:
    for path in zoo.zoo_file(".").glob("*"):
        if path.suffix in (".json", ".safetensors"):
            shutil.copy(path, tmp_path)
    damaged = tmp_path / "swin.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    monkeypatch.setattr(zoo, "zoo_file", lambda name: tmp_path / name)
    status, out, _ = run(capsys, "doctor")
    assert status == 1
    assert out.count("SHA-256 as on the card") == 3
    assert "swin.safetensors is damaged" in out
    assert "reinstall" in out


def test_a_folder_that_is_none_is_one_sentence(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setenv("VITGEOM_DATA", "/nowhere/at/all")
    status, _, err = run(capsys, "doctor")
    assert status == 2
    assert "not a folder" in err


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


@pytest.mark.parametrize("name", ["banana", "meta"])
def test_doctor_tells_of_a_device_that_is_not_there(capsys, monkeypatch, hub: StandInHub, name: str) -> None:
    monkeypatch.setenv("VITGEOM_DEVICE", name)
    status, out, _ = run(capsys, "doctor")
    assert status == 1
    assert f"There is no device '{name}' that VITGEOM_DEVICE names here" in out


SLEEPING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}


def openmp(program: str, **environment: str) -> tuple[dict[str, str], str]:
    """The variables of waiting threads that a fresh process has at its end, and what it says on stderr."""
    rest = {name: value for name, value in os.environ.items() if name not in SLEEPING}
    ending = f"; import json, os; print(json.dumps({{k: v for k, v in os.environ.items() if k in {list(SLEEPING)}}}))"
    command = [sys.executable, "-c", f"from vitgeom_nb import settings, __main__ as command; {program}{ending}"]
    done = subprocess.run(command, env=rest | environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_a_command_asks_threads_to_sleep_while_they_wait() -> None:
    assert openmp("command.main(['figures'])") == (SLEEPING, "")


@pytest.mark.parametrize("chosen", [{"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "1000"}])
def test_what_the_user_says_of_waiting_threads_stays(chosen: dict[str, str]) -> None:
    assert openmp("assert not settings.sleeping_threads()", **chosen) == (chosen, "")


@pytest.mark.skipif(sys.platform != "linux", reason="torch brings GNU's OpenMP on Linux only")
def test_openmp_is_asked_before_torch_loads_it() -> None:
    _, said = openmp("assert settings.sleeping_threads(); import torch", OMP_DISPLAY_ENV="VERBOSE")
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in said
    assert "GOMP_SPINCOUNT = '0'" in said


def test_openmp_is_not_asked_once_torch_is_loaded(monkeypatch) -> None:
    for name in SLEEPING:
        monkeypatch.delenv(name, raising=False)
    assert not settings.sleeping_threads()
    assert not set(SLEEPING) & set(os.environ)


def test_a_folder_that_is_a_file_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in ("file", "file/below"):
        status, _, err = run(capsys, "figures", "--out", str(tmp_path / out))
        assert status == 2
        assert "cannot be a folder" in err
        assert err.count("\n") == 1


def test_a_full_disk_is_one_sentence_and_leaves_the_earlier_figure(capsys, tmp_path: Path, monkeypatch, small) -> None:
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(vg, "load", lambda name, device=None: small)
    monkeypatch.setattr(os, "fsync", full)
    earlier = tmp_path / "resnet-direction-change.png"
    earlier.write_bytes(b"earlier")
    status, _, err = run(capsys, "figures", "direction-change", "--out", str(tmp_path))
    assert status == 2
    assert "no space left for" in err
    assert list(tmp_path.iterdir()) == [earlier]
    assert earlier.read_bytes() == b"earlier"


def test_a_figure_that_is_stopped_while_it_is_drawn_leaves_the_earlier_one(
    capsys, tmp_path: Path, monkeypatch, small
) -> None:
    def stopped(figure: Figure, file: BinaryIO, **options: object) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(vg, "load", lambda name, device=None: small)
    monkeypatch.setattr(Figure, "savefig", stopped)
    earlier = tmp_path / "resnet-direction-change.png"
    earlier.write_bytes(b"earlier")
    assert run(capsys, "figures", "direction-change", "--out", str(tmp_path))[::2] == (130, f"{stopping.WORDS}\n")
    assert list(tmp_path.iterdir()) == [earlier]
    assert earlier.read_bytes() == b"earlier"


def test_a_name_with_a_slash_becomes_a_file_in_the_folder(capsys, tmp_path: Path, monkeypatch, small) -> None:
    other = vg.wrap(small.module, mean=[0.5] * 3, std=[0.2] * 3, size=16, name="timm/x.y", **OWN)
    monkeypatch.setattr(vg, "load", lambda name, device=None: other)
    status, out, _ = run(capsys, "figures", "direction-change", "--model", "timm/x.y", "--out", str(tmp_path))
    assert status == 0
    assert out.strip() == str(tmp_path / "timm-x.y-direction-change.png")
    assert (tmp_path / "timm-x.y-direction-change.png").exists()


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

    monkeypatch.setattr(command, "show_models", ended)
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
        monkeypatch.setattr(command, "show_models", stopped)
        assert run(capsys, "models") == (130, "", f"{stopping.WORDS}\n")
    finally:
        signal.signal(signal.SIGINT, before)
