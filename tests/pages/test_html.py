"""The built book as a reader gets it: complete pages, pictures that exist and speak, links that lead somewhere."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup, Tag
from PIL import Image

from tests.chapters import PAGES, ROOT, chapters
from vitgeom_nb.figures.downloads import DOTS

WITHOUT_CHECKS = {"intro", "glossary", "api", "references"}
BROKEN = re.compile(r"\b(nan|inf|None|NaT)\b|\$[^$]+\$|\{(numref|cite|ref|doc|eq)[:}]|\[\?\]")


@cache
def page(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(), "html.parser")


def article(name: str) -> Tag:
    found = page(PAGES / f"{name}.html").find("article")
    assert isinstance(found, Tag)
    return found


def local_target(base: Path, reference: str) -> tuple[Path, str] | None:
    """File and fragment that a reference names, or None when it leads out of the book."""
    parts = urlsplit(reference)
    if parts.scheme or parts.netloc:
        return None
    path = (base.parent / unquote(parts.path)).resolve() if parts.path else base
    return path / "index.html" if path.is_dir() else path, unquote(parts.fragment)


@pytest.mark.parametrize("name", chapters())
def test_no_cell_failed_or_wrote_to_stderr(name: str) -> None:
    body = article(name)
    assert "Traceback (most recent call last)" not in body.text
    assert not body.select(".output.traceback, .output.stderr")
    assert "Warning:" not in " ".join(block.text for block in body.select(".cell_output"))


@pytest.mark.parametrize("name", chapters())
def test_every_figure_of_the_notebook_is_on_the_page_with_a_picture_and_a_caption(name: str) -> None:
    notebook = nbformat.read(ROOT / "book" / f"{name}.ipynb", as_version=4)
    drawn = [cell.metadata.mystnb.figure.name for cell in notebook.cells if "figure" in cell.metadata.get("mystnb", {})]
    figures = article(name).select("figure")
    assert len(figures) >= len(drawn)
    for figure in figures:
        assert figure.select("img, object, svg"), f"{figure.get('id')} shows nothing"
        assert len(figure.select_one("figcaption").text.split()) >= 5
    captions = " ".join(str(figure) for figure in figures)
    assert [label for label in drawn if label not in captions] == []


@pytest.mark.parametrize("name", chapters())
def test_every_picture_exists_and_is_described_by_a_sentence(name: str) -> None:
    base = PAGES / f"{name}.html"
    for image in article(name).select("img"):
        target = local_target(base, image["src"]) if not image["src"].startswith("data:") else None
        assert target is None or (target[0].is_file() and target[0].stat().st_size > 0), image["src"]
        alt = image.get("alt", "").strip()
        assert len(alt.split()) >= 5, f"{image['src'][:60]} has the alt text {alt!r}"
        assert alt.endswith("."), alt


@pytest.mark.parametrize(("drawn", "phone"), [pytest.param(688, False, id="wide"), pytest.param(340, True, id="phone")])
@pytest.mark.parametrize("name", chapters())
def test_letters_of_figures_are_not_shrunk_away(name: str, drawn: int, phone: bool) -> None:
    """Small ones have 7 CSS pixels at least where an article leaves so many for a picture."""
    for image in article(name).select("figure img"):
        other = image.parent.find("source") if phone else None
        target = local_target(PAGES / f"{name}.html", other["srcset"] if other else image["src"])
        if target is not None and target[0].suffix in (".png", ".webp"):
            dots = DOTS if other else 110  # an inch
            with Image.open(target[0]) as picture:
                assert 9 / 72 * dots * min(1, drawn / picture.width) >= 7, (image["alt"], picture.width)


# the reference rightly speaks of None
@pytest.mark.parametrize("name", [name for name in chapters() if name != "api"])
def test_no_sentence_is_broken(name: str) -> None:
    for block in article(name).select("p, figcaption, li"):
        if block.find_parent(class_="xr-wrap"):  # a measurement that prints itself, attributes and all
            continue
        text = " ".join(
            str(piece) for piece in block.find_all(string=True) if not piece.find_parent(["code", "pre", "script"])
        )
        assert not BROKEN.search(text), text


@cache
def ids(path: Path) -> frozenset[str]:
    """Of everything on a page that a link may lead to."""
    return frozenset(str(tag["id"]) for tag in page(path).select("[id]"))


@pytest.mark.parametrize("name", chapters())
def test_every_internal_link_leads_somewhere(name: str) -> None:
    base = PAGES / f"{name}.html"
    for link in page(base).select("a[href]"):
        target = local_target(base, link["href"])
        if target is None:
            continue
        path, fragment = target
        assert path.is_file(), link["href"]
        if fragment.startswith("setting:"):  # which a script of that page reads
            assert path.stem == "your-own-picture", link["href"]
        elif fragment and path.suffix == ".html":
            assert fragment in ids(path), link["href"]


@pytest.mark.parametrize("name", [name for name in chapters() if name not in WITHOUT_CHECKS])
def test_chapter_says_what_it_checked(name: str) -> None:
    assert any("What we checked" in heading.text for heading in article(name).select("h2"))


@pytest.mark.parametrize("name", chapters())
def test_tables_and_formulas_are_tab_stops_with_a_name_and_nothing_else_is(name: str) -> None:
    body = article(name)
    stops = body.select('[tabindex="0"]')
    wide = [table.parent for table in body.select("table")] + body.select("div.math, .xr-wrap")
    assert {id(stop) for stop in stops} == {id(one) for one in wide}
    for stop in stops:
        kind, _, above = stop["aria-label"].partition(": ")
        assert stop["role"] == "group"
        assert kind == ("Table" if stop.table else "Formula" if "math" in stop["class"] else "Measurement")
        heading = stop.find_previous(re.compile("^h[1-6]$"))
        assert above == " ".join(heading.text.split()).removesuffix("#")
    assert len(stops) < 40  # a reader's Tab key


@pytest.mark.parametrize("name", chapters())
def test_page_asks_no_other_site_for_anything(name: str) -> None:
    whole = page(PAGES / f"{name}.html")
    asked = [tag["src"] for tag in whole.select("script[src], img[src], iframe[src]")]
    asked += [tag["href"] for tag in whole.select("link[rel~=stylesheet], link[rel~=preload], link[rel~=icon]")]
    assert [address for address in asked if urlsplit(address).netloc] == []
    base = PAGES / f"{name}.html"
    local = [address for address in asked if not address.startswith("data:")]
    assert [address for address in local if not local_target(base, address)[0].is_file()] == []


def said_of(chapter: str, /, **which: str) -> list[str]:
    """What the head of a page says of it, tag by tag."""
    return [tag["content"] for tag in page(PAGES / f"{chapter}.html").find("head").find_all("meta", attrs=which)]  # type: ignore[union-attr]


def test_every_page_is_described_once_and_unlike_all_others() -> None:
    said = {name: said_of(name, name="description") for name in chapters()}
    assert [name for name, found in said.items() if len(found) != 1 or len(found[0].split()) < 8] == []
    assert len({found[0] for found in said.values()}) == len(said)
    assert [name for name, (found,) in said.items() if len(found) > 200] == []  # what a page of results shows


@pytest.mark.parametrize("name", chapters())
def test_a_preview_of_a_page_has_its_title_its_description_and_a_picture_of_the_book(name: str) -> None:
    heading = " ".join(article(name).find("h1").text.split()).removesuffix("#")  # type: ignore[union-attr]
    assert said_of(name, property="og:title") == [heading]
    assert said_of(name, property="og:description") == said_of(name, name="description")
    (picture,) = said_of(name, property="og:image")
    target = local_target(PAGES / f"{name}.html", picture)
    assert target is None or target[0].is_file()
    assert len(said_of(name, property="og:image:alt")[0].split()) >= 5


@pytest.mark.parametrize("page_made", ["genindex", "search"])
def test_pages_that_the_builder_makes_are_described_too(page_made: str) -> None:
    head = page(PAGES.parent / f"{page_made}.html").find("head")
    assert len(head.find("meta", attrs={"name": "description"})["content"].split()) >= 5  # type: ignore[union-attr,index]


def test_run_times_are_those_of_this_build() -> None:
    block = article("status").select_one(".vg-run-times")
    rows = {row.th.text: float(row.td.text.replace(",", "")) for row in block.select("tbody tr")}  # type: ignore[union-attr]
    whole = rows.pop("together")
    assert len(rows) > len(chapters()) / 2
    assert abs(sum(rows.values()) - whole) <= len(rows)
    assert all(took >= 0 for took in rows.values())


def test_front_page_leads_to_the_book() -> None:
    assert "book/intro.html" in (PAGES.parent / "index.html").read_text()


MAPPING = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]["intersphinx_mapping"]


@pytest.mark.parametrize("package", MAPPING)
def test_every_name_of_an_inventory_is_a_link_of_the_book_to_its_own_site(package: str) -> None:
    address, inventory = MAPPING[package]
    listed = [line.split() for line in (ROOT / inventory).read_text().splitlines()[3:]]
    linked = {link["href"] for name in chapters() for link in article(name).select("a.reference.external")}
    assert {f"{address}/{where}#{name}" for name, _, where in listed} <= linked


def test_what_an_entry_of_the_reference_may_raise_leads_to_its_own_entry() -> None:
    raised = [one for one in article("api").select("dd.field-odd strong, dd.field-even strong") if raises(one)]
    assert len(raised) > 100
    leads = {one.text: (one.parent.get("href") or "") for one in raised}  # type: ignore[union-attr]
    assert {name: where.rpartition("#")[2].rpartition(".")[2] for name, where in leads.items()} == {n: n for n in leads}


def raises(name: Tag) -> bool:
    """Whether a name stands in a list of exceptions."""
    return name.find_parent("dd").find_previous_sibling("dt").text.startswith("Raises")  # type: ignore[union-attr]
