"""A button beside every explorer: the right panel and network of the chapter on a reader's own picture."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest
from bs4 import BeautifulSoup

from tests.explore.makers import MAKERS
from vitgeom_nb.explore import Display
from vitgeom_nb.in_page.beside import PANELS, with_buttons
from vitgeom_nb.in_page.packing import source

CHAPTER = "own.html"


def page_of(name: str) -> str:
    return f"<html><body><p>before</p>{MAKERS[name](live=False).to_html()}<p>after</p></body></html>"


def settings(page: str) -> list[list[dict[str, list[str]]]]:
    """Of every button, what each of its links asks for."""
    found = []
    for link in BeautifulSoup(page, "html.parser").select("figure.vg-explorer > a.vg-beside"):
        links = json.loads(link["data-links"])
        assert link["href"] == links[0]
        assert all(one.startswith(f"{CHAPTER}#setting:") for one in links)
        found.append([parse_qs(one.split("#setting:")[1]) for one in links])
    return found


@pytest.mark.parametrize("name", MAKERS)
def test_every_explorer_has_a_button_to_a_panel_that_there_is(name: str) -> None:
    explorer = MAKERS[name](live=False)
    (each,) = settings(with_buttons(page_of(name), CHAPTER, ["one"]))
    networks = explorer.networks
    assert networks
    panel = PANELS[explorer.subject]
    assert f'data-part="{panel}"' in source("page.html")
    assert each == [{"open": [panel]} | ({"network": ["one"]} if n == "one" else {}) for n in networks]
    choice = next((c for c in explorer.controls if c.name == "network"), None)
    assert choice is None or len(choice.values) == len(networks)


def test_what_is_no_explorer_stays_and_buttons_come_once() -> None:
    plain = "<html><body><figure><figcaption>x</figcaption></figure></body></html>"
    assert with_buttons(plain, CHAPTER, []) == plain
    once = with_buttons(page_of("trajectory"), CHAPTER, [])
    assert once.count("</body>") == 1
    assert with_buttons(once, CHAPTER, []) == once
    assert once.replace("</body>", "").startswith("<html><body><p>before</p>")


def test_two_explorers_and_one_without_a_subject() -> None:
    explorer = MAKERS["trajectory"](live=False)
    other = Display(**{k: getattr(explorer, k) for k in ("title", "caption", "controls", "frame")})
    page = page_of("lldlc").replace("<p>after</p>", other.to_html() + MAKERS["fgsm_path"](live=False).to_html())
    found = settings(with_buttons(page, CHAPTER, []))
    assert [one[0]["open"] for one in found] == [["blind"], ["fgsm"]]
