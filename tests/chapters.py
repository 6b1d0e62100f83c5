"""The chapters as the table of contents lists them: texts, notebooks and built pages."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "_build" / "html" / "book"


def chapters() -> list[str]:
    """Names of all chapters, in reading order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]
    return [Path(file).stem for file in files]
