"""Packs what the chapter on your own picture loads on a click, and puts a button to it beside every explorer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vitgeom_nb.in_page.beside import with_buttons
from vitgeom_nb.in_page.packing import available, write_page_files
from vitgeom_nb.in_page.page import SIZES


def finish(app: Any, exception: Exception | None) -> None:
    """Write the parts, and their sizes into the pages that offer them; lead to the first of these from explorers."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = [page for page in (out / "book").glob("*.html") if SIZES in page.read_text(encoding="utf-8")]
    if not pages:
        return
    sizes = write_page_files(out / "_static" / "in_page")
    sizes["runtime"] = (out / "_static" / "onnxruntime-web" / "runtime.js").stat().st_size
    for page in pages:
        text = page.read_text(encoding="utf-8").replace(SIZES, f"data-sizes='{json.dumps(sizes)}'")
        page.write_text(text, encoding="utf-8")
    for page in (out / "book").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(with_buttons(text, pages[0].name, available()), encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
