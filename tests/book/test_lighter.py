"""What is done to the HTML of a page once it is written, on pages small enough to read."""

from __future__ import annotations

import importlib.util

import pytest

from tests.chapters import ROOT

SPEC = importlib.util.spec_from_file_location("lighter", ROOT / "book" / "_ext" / "lighter.py")
assert SPEC is not None
assert SPEC.loader is not None
lighter = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(lighter)


@pytest.mark.parametrize(
    ("page", "mended"),
    [
        (
            '<div>\n<table class="dataframe"><tr><td>1</td></tr>\n</table></div>',
            '<div>\n<div tabindex="0" role="group" aria-label="Table" class="sideways">'
            '<table class="dataframe"><tr><td>1</td></tr>\n</table></div></div>',
        ),
        (
            '<h2 id="a">Rows &amp; <em>"columns"</em><a class="headerlink" href="#a">#</a></h2>'
            '<div class="math no">x</div>',
            '<h2 id="a">Rows &amp; <em>"columns"</em><a class="headerlink" href="#a">#</a></h2>'
            '<div tabindex="0" role="group" aria-label="Formula: Rows &amp; &quot;columns&quot;" '
            'class="math no">x</div>',
        ),
        (
            "<h1>One</h1><h2>\n Two </h2><div class='xr-wrap' style='display:none'></div>",
            "<h1>One</h1><h2>\n Two </h2>"
            '<div tabindex="0" role="group" aria-label="Measurement: Two" '
            "class='xr-wrap' style='display:none'></div>",
        ),
    ],
)
def test_what_may_scroll_sideways_becomes_a_tab_stop_named_by_its_heading(page: str, mended: str) -> None:
    assert lighter.reachable(page) == mended


@pytest.mark.parametrize(
    "page",
    [
        "<script>'<table></table>'</script>",
        '<pre>long</pre><span class="math">x</span><div class="mathematics">x</div>',
    ],
)
def test_nothing_else_does(page: str) -> None:
    assert lighter.reachable(page) == page
