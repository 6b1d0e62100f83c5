"""What the Makefile sets reaches the kernels that it starts, and the threads of torch in them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from .chapters import ROOT

OF_MAKE = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "WORKERS", "TESTED", "VENV")
# what libgomp says that it has read; where torch has another OpenMP, it says nothing of a spin count
PROBE = """import os, subprocess, sys
import vitgeom_nb
print("IMPORTED", vitgeom_nb.__file__)
print("OMP_WAIT_POLICY", os.environ.get("OMP_WAIT_POLICY"))
asked = os.environ | {"OMP_DISPLAY_ENV": "verbose"}
print(subprocess.run([sys.executable, "-c", "import torch"], env=asked, capture_output=True, text=True).stderr)"""


def make(*arguments: str | Path, text: str | None = None, **variables: str) -> str:
    """What make prints, called by a user who has set these variables and none of the Makefile's."""
    kept = {k: v for k, v in os.environ.items() if k not in OF_MAKE and not k.startswith("PYTEST")}
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT, env=kept | variables, input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("set_by_user", "seen"),
    [
        ({}, "passive, 10000"),
        ({"OMP_WAIT_POLICY": "active"}, "active,"),
        ({"GOMP_SPINCOUNT": "300000"}, "passive, 300000"),
    ],
)
def test_every_command_waits_with_a_short_spin_unless_told(set_by_user: dict[str, str], seen: str) -> None:
    rules = 'include Makefile\nprobe:\n\t@echo "$$OMP_WAIT_POLICY, $$GOMP_SPINCOUNT"\n'
    # a spin count of ours would overrule what the user says of waiting
    assert make("-f", "-", "probe", text=rules, **set_by_user).strip() == seen


def test_a_kernel_of_make_has_threads_that_spin_briefly_and_the_package_of_the_wheel(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PROBE)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "probe.ipynb")
    # the very target of `make test`, with one notebook; what is installed here stays as it is
    make(
        "-o", f"{sys.prefix}/.test", "notebooks", f"VENV={sys.prefix}",
        "WORKERS=0", f"TESTED={tmp_path / 'executed'}", "NOTEBOOKS=../probe.ipynb",
    )  # fmt: skip
    said = "".join(out.text for out in nbformat.read(tmp_path / "probe.ipynb", as_version=4).cells[0].outputs)
    assert "OMP_WAIT_POLICY passive\n" in said
    assert f"IMPORTED {tmp_path / 'executed' / '_wheel' / 'vitgeom_nb' / '__init__.py'}\n" in said
    if "GOMP_SPINCOUNT" in said:
        assert "GOMP_SPINCOUNT = '10000'" in said


def refused(*arguments: str, **variables: str) -> str:
    done = subprocess.run(
        ["make", *arguments], cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    return done.stdout + done.stderr


def test_help_has_a_line_for_every_command_and_their_words_begin_in_one_column() -> None:
    lines = make("help").splitlines()
    assert {line.split()[1] for line in lines} >= {"book", "pdf", "test", "serve", "evidence", "zoo"}
    assert all(line[17] == " " != line[18] for line in lines)


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    (ROOT / "_build" / "html").mkdir(parents=True, exist_ok=True)
    page = ROOT / "_build" / "html" / "index.html"
    made = not page.exists()
    page.touch()
    try:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            said = refused("serve", f"PORT={taken.getsockname()[1]}")
    finally:
        if made:
            page.unlink()
    assert "cannot be had; choose another: make serve PORT=8001" in said
    assert "Traceback" not in said


def test_a_folder_with_a_space_is_refused_in_a_sentence() -> None:
    assert 'VENV is "my venv"; make takes no name with a space in it' in refused("help", "VENV=my venv")


def test_a_book_that_cannot_be_printed_is_one_sentence(tmp_path: Path) -> None:
    stay = ("-o", f"{sys.prefix}/.test", f"VENV={sys.prefix}")  # what is installed here stays as it is
    said = refused("pdf", *stay, f"TESTED={tmp_path}")
    assert "No chapter is executed yet: run make test first." in said
    (tmp_path / "_config.yml").touch()
    (tmp_path / "bin").mkdir()
    tools = {name: shutil.which(name) for name in ("sh", "test", "make", "rm")}
    for name, found in tools.items():
        (tmp_path / "bin" / name).symlink_to(found or "")
    said = refused("pdf", *stay, f"TESTED={tmp_path}", PATH=str(tmp_path / "bin"))
    assert "The book is printed by Chromium, which is not on this machine" in said
    assert "Traceback" not in said
