"""What continuous integration runs, a person can run: workflows call targets of the Makefile and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from .chapters import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))


def steps(path: Path) -> list[dict]:
    jobs = yaml.safe_load(path.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_make_targets_that_exist(path: Path) -> None:
    for command in [step["run"] for step in steps(path) if "run" in step]:
        make, target, *settings = command.split()
        assert make == "make"
        assert target in TARGETS
        assert all(re.fullmatch(r"[A-Z]+=\w+", setting) for setting in settings)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_to_a_release_and_jobs_end(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    for step in steps(path):
        assert "run" in step or re.fullmatch(r"[\w/-]+@(v\d+|release/v\d+)", step["uses"])
    assert all(job["timeout-minutes"] for job in workflow["jobs"].values())
    assert "permissions" in workflow


def test_what_is_published_passed_the_tests() -> None:
    pages = yaml.safe_load((ROOT / ".github/workflows/pages.yml").read_text())
    assert pages[True]["workflow_run"]["workflows"] == ["test"]  # YAML reads the key `on` as a truth value
    assert "conclusion == 'success'" in pages["jobs"]["publish"]["if"]
    tested = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]["test"]["strategy"]["matrix"]
    (name,) = [
        step["with"]["name"] for step in steps(ROOT / ".github/workflows/pages.yml") if "name" in step.get("with", {})
    ]
    assert name.removeprefix("book-") in tested["python"]


def test_what_is_published_knows_its_repository() -> None:
    tested = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]["test"]
    assert tested["env"]["VITGEOM_REPOSITORY"] == "${{ github.server_url }}/${{ github.repository }}"


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not on this machine")
def test_actionlint_has_nothing_to_say() -> None:
    done = subprocess.run(["actionlint", "-no-color"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
