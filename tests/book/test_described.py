"""What is said of a page to those who see only a link to it, and how long its cells took."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jupytext
import pytest

from tests.chapters import ROOT, chapters, extension

described, run_times = extension("described"), extension("run_times")


def app(baseurl: str = "") -> Any:
    config = SimpleNamespace(html_title="vitgeom", project="vitgeom", html_baseurl=baseurl)
    return SimpleNamespace(builder=SimpleNamespace(format="html"), config=config)


def context(metatags: str) -> dict[str, Any]:
    return {"metatags": metatags, "title": "A <em>b</em> &amp; c", "pathto": lambda path, kind: f"../{path}"}


def test_every_chapter_describes_itself_unlike_the_others() -> None:
    headers = {name: jupytext.read(ROOT / "book" / f"{name}.md", fmt="md:myst").metadata for name in chapters()}
    said = {name: header["myst"]["html_meta"]["description"] for name, header in headers.items()}
    assert len(set(said.values())) == len(said)
    assert [name for name, words in said.items() if not 60 <= len(words) <= 200 or not words.endswith(".")] == []


def test_a_page_with_a_description_keeps_it_and_a_preview_repeats_it() -> None:
    given = context('<meta content="About &quot;it&quot;." name="description" />\n')
    described.describe(app(), "book/a", "page.html", given, None)
    assert given["metatags"].count('name="description"') == 1
    assert '<meta property="og:description" content="About &quot;it&quot;." />' in given["metatags"]
    assert '<meta property="og:title" content="A b &amp; c" />' in given["metatags"]
    assert '<meta property="og:image" content="../_static/swin-equivalent-images.jpg" />' in given["metatags"]


def test_a_page_without_one_is_described_by_what_it_is_and_a_known_site_gives_whole_addresses() -> None:
    given = context("") | {"title": ""}
    described.describe(app("https://example.org/book/"), "search", "search.html", given, None)
    assert '<meta name="description" content="Search: a page of the book vitgeom." />' in given["metatags"]
    assert 'content="https://example.org/book/_static/swin-equivalent-images.jpg"' in given["metatags"]


@pytest.mark.parametrize(
    ("cells", "took"),
    [
        ([{"metadata": {}}], None),
        (
            [
                {"metadata": {"execution": {"iopub.status.busy": f"2026-01-01T00:00:0{a}.000000+00:00",
                                            "iopub.status.idle": f"2026-01-01T00:00:0{b}.500000+00:00"}}}
                for a, b in ((1, 2), (4, 4))
            ],
            2.0,
        ),
    ],
)  # fmt: skip
def test_run_times_are_the_sum_over_cells(cells: list[dict[str, Any]], took: float | None) -> None:
    assert run_times.of_cells({"cells": cells}) == took


def test_the_table_of_run_times_has_a_row_a_page_and_their_sum() -> None:
    found = run_times.table({"a.html": ("A", 61.4), "b.html": ("B", 1000.0)})
    assert '<a href="a.html">A</a></th><td>61</td>' in found
    assert "together</th><td>1,061</td>" in found
