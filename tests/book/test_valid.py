"""What is mended in the HTML of others, on pages small enough to read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.chapters import extension
from tests.validator import VNU, errors

valid = extension("valid")

PAGE = """<!DOCTYPE html>
<html lang="en"><head><title>t</title><link rel="stylesheet" href="a.css"></head><body><h1>t</h1>
<details class="hide"><summary>
<p class="collapsed admonition-title">Show</p>
<p class="expanded admonition-title">Hide</p>
</summary>x</details>
<div><style scoped>
b {}
</style>
<style>i {}</style><p>y</p></div>
<style>
b {}
</style>
</body></html>
"""


def test_each_style_sheet_of_the_body_stands_once_at_the_end_of_the_head() -> None:
    page = valid.with_styles_in_head(PAGE)
    assert '<link rel="stylesheet" href="a.css"><style>b {}</style>\n<style>i {}</style>\n</head>' in page
    assert "<style" not in page.partition("</head>")[2]
    assert "<div><p>y</p></div>" in page
    assert valid.with_styles_in_head(page) == page


@pytest.mark.parametrize(
    "kept",
    [
        "<script>'<style>b {}</style>'</script>",
        "<noscript><style>b {}</style></noscript>",
        "<svg><style>b {}</style></svg>",
    ],
)
def test_others_stay_where_they_are(kept: str) -> None:
    page = f"<html><head></head><body>{kept}</body></html>"
    assert valid.with_styles_in_head(page) == page


@pytest.fixture
def mended(tmp_path: Path) -> Path:
    """A folder of pages that was gone over."""
    (tmp_path / "_static").mkdir()
    (tmp_path / "book").mkdir()
    (tmp_path / "_static" / "mystnb.1f.css").write_text("details.hide[open]>summary>p.collapsed{display:none}")
    (tmp_path / "book" / "a.html").write_text(PAGE)
    config = SimpleNamespace(html_title="T", project="P", root_doc="book/a")
    app = SimpleNamespace(builder=SimpleNamespace(format="html"), outdir=str(tmp_path), config=config)
    valid.finish(app, None)
    return tmp_path


def test_words_that_fold_are_phrases_to_pages_and_to_their_style_sheet(mended: Path) -> None:
    page = (mended / "book" / "a.html").read_text()
    assert '<b class="collapsed admonition-title">Show</b>\n<b class="expanded admonition-title">Hide' in page
    assert (mended / "_static" / "mystnb.1f.css").read_text() == (
        "details.hide[open]>summary>b.collapsed{display:none}"
    )


def test_the_front_page_leads_to_the_first_chapter_also_for_those_who_must_click(mended: Path) -> None:
    page = (mended / "index.html").read_text()
    assert 'content="0; url=book/a.html"' in page
    assert '<a href="book/a.html">T</a>' in page


@pytest.mark.skipif(VNU is None, reason="vnu, the Nu HTML checker, is not on this machine")
def test_the_checker_finds_errors_before_and_none_after(mended: Path) -> None:
    before = mended / "before.html"
    before.write_text(PAGE)
    assert len(errors([before])) > 2
    assert errors([mended / "book" / "a.html", mended / "index.html"]) == []
