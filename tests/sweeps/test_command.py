"""`vitgeom-nb sweep`: its options, its summary, its exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import vitgeom_nb as vg
from vitgeom_nb.__main__ import main
from vitgeom_nb.sweeps import progress

from ..chapters import ROOT
from .simulated import here


def command(out: Path, *more: str) -> list[str]:
    words = ["sweep", "--models", here("small"), "--data", here("images"), "--measure", here("told"), "--out", str(out)]
    return [*words, *more]


def test_a_sweep_and_its_pack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(command(out, "--images", "8", "--block", "4", "--seed", "3", "--part", "2/2")) == 0
    assert capsys.readouterr().out.startswith("done     4 measured in 0:0")
    assert main(command(out, "--images", "8", "--seed", "3")) == 0
    assert capsys.readouterr().out.endswith("4 were there before\n")
    assert main(["sweep", "--pack", str(out)]) == 0
    packed = Path(capsys.readouterr().out.strip())
    assert packed == tmp_path / "run.zarr"
    assert vg.open_run(packed)["small"]["told"].sizes["image"] == 8
    assert vg.open_run(packed).attrs["seed"] == 3


def test_what_is_left_is_an_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--models", "nothing", *command(tmp_path, "--images", "4")[3:]]) == 1
    assert "skipped  nothing: There is no model" in capsys.readouterr().out
    assert main(command(tmp_path, "--images", "99")) == 2
    assert "has 40 images, not 99" in capsys.readouterr().err
    assert main(["sweep", "--models", "vit"]) == 2
    assert "needs --data" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "a/b", "1/0"])
def test_parts_that_are_none(tmp_path: Path, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(command(tmp_path, "--part", part))
    assert "is no part" in capsys.readouterr().err


def test_a_full_disk(tmp_path: Path) -> None:
    """A real one: no file may grow beyond a few kilobytes, which the kernel says as a full disk does."""
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000));"
    program = f"{limit} from vitgeom_nb.__main__ import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", program, *command(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "stopped  There is no space left for" in done.stdout
    assert not list(tmp_path.rglob("*.part"))
    assert main(command(tmp_path)) == 0


@pytest.mark.parametrize(
    ("units", "said"), [(["image"], " images"), (["pair"], " pairs"), (["image", "pair"], " images and pairs")]
)
def test_the_line_of_a_network_says_what_it_counts(
    units: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[dict[str, object]] = []

    def bar(**options: object) -> Any:
        made.append(options)
        return SimpleNamespace(n=0, total=options["total"], close=lambda: None)

    monkeypatch.setattr(progress, "tqdm", bar)
    with progress.Log(tmp_path, (1, 1)) as log:
        log.begin("small", 0, 4, units)
    assert [(options["desc"], options["unit"]) for options in made] == [("small", said)]
