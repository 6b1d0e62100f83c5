"""Makes the built pages lighter, and mends what they say to assistive technology.

- The theme draws its icons twice, by a web font and by a script of 1.5 MB; the font is enough.
- Large pictures become WebP.
- A list of references is announced as a list whose children are not list items.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from PIL import Image

ICON_SCRIPT = re.compile(r"\s*<(script|link)\b[^>]*fontawesome\.js[^>]*>(</script>)?")
LARGE = 60_000  # bytes


def lighter_picture(path: Path) -> str:
    """Name of the picture to show: a WebP beside it if that is smaller, else itself."""
    if path.stat().st_size < LARGE:
        return path.name
    small = path.with_suffix(".webp")
    with Image.open(path) as image:
        image.save(small, "WEBP", quality=88, method=6)
    if small.stat().st_size >= path.stat().st_size:
        small.unlink()
        return path.name
    path.unlink()
    return small.name


def finish(app: Any, exception: Exception | None) -> None:
    """Go over the pages once they are written."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    names = {path.name: lighter_picture(path) for path in sorted((out / "_images").glob("*.png"))}
    for page in out.rglob("*.html"):
        text = ICON_SCRIPT.sub("", page.read_text(encoding="utf-8"))
        text = text.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
        text = re.sub(r"(_images/)([\w.-]+\.png)", lambda m: m[1] + names.get(m[2], m[2]), text)
        page.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
