"""What is done to the HTML of a page once it is written, on pages small enough to read."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.chapters import ROOT, extension

lighter = extension("lighter")


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


@pytest.mark.parametrize(("said", "found"), [({}, "passive 10000"), ({"OMP_WAIT_POLICY": "active"}, "active None")])
def test_kernels_that_build_the_book_spin_briefly_unless_told(said: dict[str, str], found: str) -> None:
    program = (
        "import os, types, lighter; lighter.setup(types.SimpleNamespace(connect=lambda *given: None));"
        "print(os.environ['OMP_WAIT_POLICY'], os.environ.get('GOMP_SPINCOUNT'))"
    )
    kept = {key: value for key, value in os.environ.items() if key not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    where = os.pathsep.join(map(str, (ROOT, ROOT / "book" / "_ext")))
    done = subprocess.run(
        [sys.executable, "-c", program], env=kept | {"PYTHONPATH": where} | said, capture_output=True, text=True
    )
    assert done.stdout.strip() == found, done.stderr
