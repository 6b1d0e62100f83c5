"""Writes how long each chapter took into the page that asks for it.

The times are those of this very build: of the execution by the builder, or, where the chapters had been executed
before, those that their cells carry. A page asks by a block with the class `vg-run-times`; where no time is known it
stays.
"""

from __future__ import annotations

import html
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

BLOCK = re.compile(r'(<div class="vg-run-times">).*?(</div>)', re.DOTALL)


def of_cells(notebook: dict[str, Any]) -> float | None:
    """Seconds that the cells of an executed notebook took together, by what each carries; None if none does."""
    times = [cell.get("metadata", {}).get("execution", {}) for cell in notebook["cells"]]
    ends = [(t["iopub.status.busy"], t["iopub.status.idle"]) for t in times if "iopub.status.idle" in t]
    took = [datetime.fromisoformat(idle) - datetime.fromisoformat(busy) for busy, idle in ends]
    return sum(one.total_seconds() for one in took) if took else None


def seconds(app: Any, docname: str) -> float | None:
    """Seconds that a page took when it was executed; None for a page without code, or where nobody wrote it down."""
    executed = getattr(app.env, "nb_metadata", {}).get(docname, {}).get("exec_data", {})
    if executed.get("runtime") is not None:
        return float(executed["runtime"])
    path = Path(app.env.doc2path(docname))
    if path.suffix != ".ipynb":
        return None
    return of_cells(json.loads(path.read_text(encoding="utf-8")))


def table(times: dict[str, tuple[str, float]]) -> str:
    """Title, address and seconds of each page as HTML, with their sum."""
    rows = "".join(
        f'<tr><th scope="row"><a href="{address}">{title}</a></th><td>{took:,.0f}</td></tr>'
        for address, (title, took) in times.items()
    )
    whole = f'<tr><th scope="row">together</th><td>{sum(took for _, took in times.values()):,.0f}</td></tr>'
    head = '<tr><th scope="col">page</th><th scope="col">seconds</th></tr>'
    caption = "<caption>How long the cells of each page took</caption>"
    return f'<table class="dataframe">{caption}<thead>{head}</thead><tbody>{rows}{whole}</tbody></table>'


def finish(app: Any, exception: Exception | None) -> None:
    """Fill the block once the pages are written."""
    if exception or app.builder.format != "html":
        return
    names = [app.config.root_doc, *app.env.toctree_includes.get(app.config.root_doc, [])]
    found = {name: took for name in names if (took := seconds(app, name)) is not None}
    times = {
        f"{Path(name).name}.html": (html.escape(app.env.titles[name].astext()), took) for name, took in found.items()
    }
    for page in Path(app.outdir).glob("book/*.html") if times else ():
        text = page.read_text(encoding="utf-8")
        if BLOCK.search(text):
            page.write_text(BLOCK.sub(rf"\g<1>{table(times)}\g<2>", text), encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
