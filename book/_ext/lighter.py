"""Makes the built pages lighter, and mends what they say to assistive technology.

- The theme draws its icons twice, by a web font of 1,400 signs and by a script of 1.5 MB. The font is enough, and of it
  the signs that the pages use.
- Pictures become WebP.
- A list of references is announced as a list whose children are not list items.
- Tables, formulas and printed measurements, which scroll sideways where they are wider than the page, are tab
  stops with a name. All of them are: how wide a reader's fonts are is not known when the page is written. Code wraps.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from fontTools import subset
from PIL import Image

from vitgeom_nb import settings

ICON_SCRIPT = re.compile(r"\s*<(script|link)\b[^>]*fontawesome\.js[^>]*>(</script>)?")
ICON_RULE = re.compile(r'((?:\.fa-[\w-]+:before,?)+)\{content:"\\([0-9a-f]+) ?"\}')
HEADING = r"<h[1-6]\b[^>]*>(?P<heading>.*?)(?:<a class=\"headerlink\"|</h[1-6]>)"
SCRIPT = r"<script\b.*?</script>"
TABLE = r"(?P<table><table\b.*?</table>)"
FORMULA = r"<div (?=class=\"math\b)(?P<formula>)"
MEASUREMENT = r"<div (?=class=['\"]xr-wrap\b)(?P<measurement>)"
SIDEWAYS = re.compile("|".join((HEADING, SCRIPT, TABLE, FORMULA, MEASUREMENT)), re.DOTALL)
ICON_FONT = re.compile(r"url\([^)]*fa-solid-900\.woff2[^)]*\)\s*format\(\"?woff2\"?\)")


def lighter_picture(path: Path) -> str:
    """Name of the picture to show: a WebP in its place if that is smaller, else itself."""
    small = path.with_suffix(".webp")
    with Image.open(path) as image:
        image.save(small, "WEBP", quality=76, method=6)
    worse, better = sorted((path, small), key=lambda p: -p.stat().st_size)
    worse.unlink()
    return better.name


def lighter_icons(static: Path, used: set[str]) -> None:
    """Keep only the rules and the signs of the icons in use."""
    sheet = static / "styles" / "pydata-sphinx-theme.css"
    text, signs = sheet.read_text(encoding="utf-8"), {0x20}

    def kept(rule: re.Match[str]) -> str:
        if not used & set(re.findall(r"fa-[\w-]+", rule[1])):
            return ""
        signs.add(int(rule[2], 16))
        return rule[0]

    text = ICON_RULE.sub(kept, text)
    sheets = [text, *(p.read_text(encoding="utf-8") for p in static.rglob("*.css") if p != sheet)]
    signs |= {int(sign, 16) for one in sheets for sign in re.findall(r"\\([ef][0-9a-f]{3})\b", one)}
    fonts = static / "vendor" / "fontawesome" / "webfonts"
    font = subset.load_font(str(fonts / "fa-solid-900.ttf"), subset.Options())
    maker = subset.Subsetter()
    maker.populate(unicodes=signs)
    maker.subset(font)
    font.flavor = "woff"
    font.save(fonts / "fa-solid-900.woff")
    sheet.write_text(ICON_FONT.sub('url(../vendor/fontawesome/webfonts/fa-solid-900.woff) format("woff")', text))


def reachable(page: str) -> str:
    """Make a tab stop with a name of everything that may scroll sideways: what it is, and the heading above it."""
    above = ""

    def named(found: re.Match[str]) -> str:
        nonlocal above
        what = found.lastgroup
        if what is None:
            return found[0]
        if what == "heading":
            above = " ".join(html.unescape(re.sub(r"<[^>]*>", "", found["heading"])).split())
            return found[0]
        name = html.escape(f"{what.capitalize()}: {above}" if above else what.capitalize())
        frame = f'<div tabindex="0" role="group" aria-label="{name}" '
        return f'{frame}class="sideways">{found["table"]}</div>' if what == "table" else frame

    return SIDEWAYS.sub(named, page)


def finish(app: Any, exception: Exception | None) -> None:
    """Go over the pages once they are written."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    names = {path.name: lighter_picture(path) for path in sorted((out / "_images").glob("*.png"))}
    used: set[str] = set()
    for page in out.rglob("*.html"):
        text = ICON_SCRIPT.sub("", page.read_text(encoding="utf-8"))
        text = text.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
        text = re.sub(r"(_images/)([\w.-]+\.png)", lambda m: m[1] + names.get(m[2], m[2]), text)
        text = reachable(text)
        used |= set(re.findall(r"\bfa-[\w-]+", text))
        page.write_text(text, encoding="utf-8")
    lighter_icons(out / "_static", used)


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx, before it starts the kernels that inherit what the environment says."""
    settings.sleeping_threads()
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
