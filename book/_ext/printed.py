"""Prints the book, built as one page, into a PDF: `python book/_ext/printed.py FOLDER PDF`.

A headless Chromium prints what it shows, so formulas wait for MathJax and explorers show the frame they begin with. It
is no extension of the builder; `make pdf` calls it.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MARGIN, SCALE = 15, 0.7  # of a page, in millimetres; of what stands on it
SHEET = {"width": round((210 - 2 * MARGIN) / 25.4 * 96 / SCALE), "height": 1400}  # what A4 leaves, in CSS pixels
PAPER = """
body > :not(.bd-container), .bd-header-article, .bd-sidebar-primary, .bd-sidebar-secondary, .prev-next-footer,
.bd-footer, .headerlink, details.hide { display: none !important }
span[id^=document-] { display: block; break-before: page }
h1, h2, h3, dt { break-after: avoid }
figure, .vg-explorer, mjx-container[display=true] { break-inside: avoid }
.bd-article { padding: 0 !important }
table { font-size: 0.8em }
"""
# solutions are folded in; code that is folded in stays out
UNFOLD = """document.querySelectorAll('.toggle-hidden').forEach(one => one.classList.remove('toggle-hidden'));
document.querySelectorAll('details:not(.hide)').forEach(one => { one.open = true })"""
# paper does not scroll: what is wider than it gets smaller letters
SHRINK = """document.querySelectorAll('.sideways > table').forEach(table => {
  for (let size = 0.8; size > 0.4 && table.offsetWidth > table.parentElement.clientWidth; size *= 0.95)
    table.style.fontSize = `${size}em` })"""
NUMBER = '<p style="width: 100%; font: 8px sans-serif; text-align: center"><span class="pageNumber"></span></p>'


def whole(folder: Path) -> Path:
    """The page of the book where its pictures and style sheets lie: the builder names them as seen from there."""
    (page,) = folder.glob("book/*.html")
    return page.replace(folder / "whole.html")


def to_pdf(page: Path, pdf: Path) -> None:
    """Print a page once everything on it is drawn."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # the sandbox needs privileges that containers lack; only our own page is opened
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        shown = browser.new_page()
        shown.set_default_timeout(0)  # a busy machine takes its time
        shown.goto(page.resolve().as_uri())
        shown.add_style_tag(content=PAPER)
        shown.emulate_media(media="print")
        shown.set_viewport_size(SHEET)
        shown.evaluate(UNFOLD)
        shown.evaluate(SHRINK)
        shown.evaluate("window.MathJax?.startup?.promise")
        shown.wait_for_function("document.querySelector('.vg-explorer:not([data-ready])') === null")
        margin = dict.fromkeys(("top", "bottom", "left", "right"), f"{MARGIN}mm")
        shown.pdf(
            path=pdf, format="A4", margin=margin, scale=SCALE, print_background=True, tagged=True, outline=True,
            display_header_footer=True, header_template="<span></span>", footer_template=NUMBER,
        )  # fmt: skip
        browser.close()


def main(arguments: list[str]) -> str | None:
    """Print, or say in a sentence why not; without arguments only say whether it could."""
    if CHROMIUM is None:
        return "The book is printed by Chromium, which is not on this machine (Debian: apt-get install chromium)."
    if arguments:
        folder, pdf = map(Path, arguments)
        to_pdf(whole(folder), pdf)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
