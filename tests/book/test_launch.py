"""Buttons that run a chapter elsewhere are on a page if, and only if, the build knows where its repository is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import nbclient
import nbformat
import pytest
from bs4 import BeautifulSoup
from IPython.core.interactiveshell import InteractiveShell
from sphinx.errors import ConfigError

import vitgeom_nb as vg
from tests.chapters import ROOT, extension

from .small_book import build

launch = extension("launch")

WHERE = "https://github.com/someone/somewhere"


def options(monkeypatch: pytest.MonkeyPatch, **variables: str) -> dict[str, Any]:
    """What the theme is told where the environment says this."""
    for name in ("VITGEOM_REPOSITORY", "VITGEOM_BRANCH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    config = SimpleNamespace(html_theme_options={"launch_buttons": {"notebook_interface": "jupyterlab"}})
    launch.offer(None, config)
    return config.html_theme_options


@pytest.mark.parametrize("said", [{}, {"VITGEOM_REPOSITORY": ""}, {"VITGEOM_BRANCH": "next"}])
def test_without_an_address_nothing_changes(monkeypatch: pytest.MonkeyPatch, said: dict[str, str]) -> None:
    assert options(monkeypatch, **said) == {"launch_buttons": {"notebook_interface": "jupyterlab"}}


def test_with_one_the_theme_knows_it_and_the_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    told = options(monkeypatch, VITGEOM_REPOSITORY=f"{WHERE}/", VITGEOM_BRANCH="next")
    assert (told["repository_url"], told["repository_branch"]) == (WHERE, "next")
    hosts = {"binderhub_url": "https://mybinder.org", "colab_url": "https://colab.research.google.com"}
    assert told["launch_buttons"] == {"notebook_interface": "jupyterlab"} | hosts
    elsewhere = options(monkeypatch, VITGEOM_REPOSITORY="https://gitlab.com/someone/somewhere")
    assert "colab_url" not in elsewhere["launch_buttons"]  # it opens notebooks of one host alone
    assert options(monkeypatch, VITGEOM_REPOSITORY=WHERE)["repository_branch"] == "main"


@pytest.mark.parametrize("address", ["somewhere", "https://github.com", 'https://github.com/a/b"><script>'])
def test_what_is_no_address_is_one_sentence(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    with pytest.raises(ConfigError, match=r"VITGEOM_REPOSITORY is .*; write https://HOST/OWNER/NAME"):
        options(monkeypatch, VITGEOM_REPOSITORY=address)


def test_a_page_has_buttons_to_binder_and_colab_and_one_to_its_source_and_asks_nobody(tmp_path: Path) -> None:
    cells = nbformat.v4.new_markdown_cell("# A page"), nbformat.v4.new_code_cell("1 + 1")
    done = build(tmp_path, *cells, VITGEOM_REPOSITORY=WHERE)
    assert done.returncode == 0, done.stdout + done.stderr
    page = BeautifulSoup((tmp_path / "_build" / "html" / "book" / "page.html").read_text(), "html.parser")
    buttons = page.select("header a[href], .bd-header-article a[href]")
    away = {button["href"] for button in buttons if urlsplit(button["href"]).netloc}
    assert away == {
        "https://mybinder.org/v2/gh/someone/somewhere/main?urlpath=lab/tree/book/page.ipynb",
        "https://colab.research.google.com/github/someone/somewhere/blob/notebooks/book/page.ipynb",
        f"{WHERE}/blob/main/book/page.ipynb?plain=1",
    }
    asked = [tag["src"] for tag in page.select("script[src], img[src], iframe[src]")]
    asked += [tag["href"] for tag in page.select("link[rel~=stylesheet], link[rel~=preload], link[rel~=icon]")]
    assert [address for address in asked if urlsplit(address).netloc] == []


def test_a_notebook_that_is_downloaded_installs_the_package_where_it_is_missing(tmp_path: Path) -> None:
    chapter = nbformat.v4.new_code_cell("import vitgeom_nb as vg\nvg.__version__")
    done = build(tmp_path, nbformat.v4.new_markdown_cell("# A page"), chapter, VITGEOM_REPOSITORY=WHERE)
    assert done.returncode == 0, done.stdout + done.stderr
    notebook = nbformat.read(tmp_path / "_build" / "html" / "_sources" / "book" / "page.ipynb", as_version=4)
    nbformat.validate(notebook)
    install, *others = notebook.cells
    assert [one.source for one in others] == ["# A page", chapter.source]
    assert f'%pip install --quiet "vitgeom_nb[all] @ git+{WHERE}@main"' in install.source
    nbclient.execute(notebook)  # here it is not missing, and a notebook without a network runs
    assert install.outputs == []
    assert others[1].outputs[0].data["text/plain"] == repr(vg.__version__)


def test_the_cell_asks_pip_only_where_the_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    shell = InteractiveShell()
    monkeypatch.setattr(shell, "run_line_magic", lambda name, line, **_: ran.append(f"{name} {line}"))
    cell = launch.INSTALL.format(address=WHERE, branch="next")
    assert shell.run_cell(cell).success
    assert ran == []
    assert shell.run_cell(cell.replace('find_spec("vitgeom_nb")', 'find_spec("no_such_package")')).success
    assert ran == [f'pip install --quiet "vitgeom_nb[all] @ git+{WHERE}@next"']


def test_the_notebooks_that_are_offered_are_a_branch_of_their_own(tmp_path: Path) -> None:
    def git(*words: str, at: Path = tmp_path / "copy") -> str:
        named = ["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "init.defaultBranch=main"]
        return subprocess.run(["git", *named, *words], cwd=at, check=True, capture_output=True, text=True).stdout

    offered = tmp_path / "copy" / "_build" / "html" / "_sources" / "book"
    offered.mkdir(parents=True)
    (offered / "page.ipynb").write_text("{}")
    (offered / "page.md").write_text("no notebook")
    shutil.copy(ROOT / "Makefile", tmp_path / "copy")
    (tmp_path / "copy" / ".gitignore").write_text("_build/\n")
    git("init", "-q", "--bare", str(tmp_path / "remote.git"), at=tmp_path)
    git("init", "-q")
    git("remote", "add", "origin", str(tmp_path / "remote.git"))
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    for _ in range(2):  # what was offered before is replaced
        done = subprocess.run(["make", "offer"], cwd=tmp_path / "copy", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert git("ls-tree", "-r", "--name-only", launch.BRANCH, at=tmp_path / "remote.git") == "book/page.ipynb\n"
        assert git("rev-list", "--count", launch.BRANCH, at=tmp_path / "remote.git") == "1\n"
    assert git("status", "--porcelain") == ""
    shutil.rmtree(tmp_path / "copy" / "_build")
    done = subprocess.run(["make", "offer"], cwd=tmp_path / "copy", capture_output=True, text=True, check=False)
    assert "There is no book yet: run make test first." in done.stdout
