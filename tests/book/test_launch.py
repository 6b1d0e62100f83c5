"""Buttons that run a chapter elsewhere are on a page if, and only if, the build knows where its repository is."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup
from sphinx.errors import ConfigError

from tests.chapters import ROOT

from .small_book import build

SPEC = importlib.util.spec_from_file_location("launch", ROOT / "book" / "_ext" / "launch.py")
assert SPEC is not None
assert SPEC.loader is not None
launch = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(launch)

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
    assert told["launch_buttons"] == {"notebook_interface": "jupyterlab", "binderhub_url": "https://mybinder.org"}
    assert options(monkeypatch, VITGEOM_REPOSITORY=WHERE)["repository_branch"] == "main"


@pytest.mark.parametrize("address", ["somewhere", "https://github.com", 'https://github.com/a/b"><script>'])
def test_what_is_no_address_is_one_sentence(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    with pytest.raises(ConfigError, match=r"VITGEOM_REPOSITORY is .*; write https://HOST/OWNER/NAME"):
        options(monkeypatch, VITGEOM_REPOSITORY=address)


def test_a_page_has_a_button_to_binder_and_one_to_its_source_and_asks_nobody(tmp_path: Path) -> None:
    cells = nbformat.v4.new_markdown_cell("# A page"), nbformat.v4.new_code_cell("1 + 1")
    done = build(tmp_path, *cells, VITGEOM_REPOSITORY=WHERE)
    assert done.returncode == 0, done.stdout + done.stderr
    page = BeautifulSoup((tmp_path / "_build" / "html" / "book" / "page.html").read_text(), "html.parser")
    buttons = page.select("header a[href], .bd-header-article a[href]")
    away = {button["href"] for button in buttons if urlsplit(button["href"]).netloc}
    assert away == {
        "https://mybinder.org/v2/gh/someone/somewhere/main?urlpath=lab/tree/book/page.ipynb",
        f"{WHERE}/blob/main/book/page.ipynb?plain=1",
    }
    asked = [tag["src"] for tag in page.select("script[src], img[src], iframe[src]")]
    asked += [tag["href"] for tag in page.select("link[rel~=stylesheet], link[rel~=preload], link[rel~=icon]")]
    assert [address for address in asked if urlsplit(address).netloc] == []
