"""A page is printed as it is read: with its formulas drawn, its explorer at the first frame, and its solutions."""

from __future__ import annotations

import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.chapters import ROOT, extension

printed = extension("printed")

PAGE = """<!DOCTYPE html><html lang="en"><head><title>A small book</title><script>
window.MathJax = {startup: {promise: new Promise(done => setTimeout(() => {
  document.querySelector('.math').outerHTML = '<svg width="40" height="40"><rect width="37" height="31"/></svg>';
  document.querySelector('.vg-explorer').dataset.ready = '';
  done() }, 500))}};
</script></head><body><div class="bd-container"><h1>One</h1><p class="math">x</p><div class="vg-explorer">y</div>
<span id="document-book/b"></span><h1>Two</h1></div><p style="break-before: page">a skip link</p></body></html>"""


def test_each_chapter_begins_a_page_and_formulas_and_explorers_are_waited_for(tmp_path: Path) -> None:
    if printed.CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "intro.html").write_text(PAGE)
    pdf = tmp_path / "small.pdf"
    command = [
        sys.executable,
        ROOT / "book" / "_ext" / "printed.py",
        tmp_path,
        pdf,
    ]
    subprocess.run(command, check=True)
    content = pdf.read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b", content)) == 2
    assert b"A small book" in content
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL)
    drawn = [zlib.decompress(one) for one in streams if one[:1] == b"\x78"]
    assert any(re.search(rb"\b37 31 re\b|37 0 l|0 0 37 31 re", one) for one in drawn)  # what MathJax stands for here


def test_letters_of_a_table_shrink_where_it_is_wider_than_the_paper(browser: Browser) -> None:
    page = browser.new_context(viewport=printed.SHEET).new_page()
    rows = ["".join(f"<td>column_{k:02}</td>" for k in range(count)) for count in (3, 16)]
    page.set_content("".join(f'<div class="sideways"><table><tr>{row}</tr></table></div>' for row in rows))
    measure = "() => [...document.querySelectorAll('table')].map(t => [t.offsetWidth, t.parentElement.clientWidth])"
    (narrow, room), (wide, _) = page.evaluate(measure)
    assert narrow < room < wide
    page.evaluate(printed.SHRINK)
    (same, _), (fits, _) = page.evaluate(measure)
    assert narrow >= same
    assert fits <= room
    page.context.close()


def test_without_chromium_it_says_so_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printed, "CHROMIUM", None)
    assert printed.main([]) == (
        "The book is printed by Chromium, which is not on this machine (Debian: apt-get install chromium)."
    )
