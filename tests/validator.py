"""What the Nu HTML checker says of pages; `npm install --global vnu-jar` brings it, and Java runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

VNU = shutil.which("vnu")


def errors(pages: Iterable[Path]) -> list[str]:
    """Errors in the HTML of pages; style sheets are others', and newer than what the checker knows of CSS."""
    assert VNU is not None
    command = [VNU, "--errors-only", "--format", "json", *map(str, pages)]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stderr)["messages"]
    return [
        f"{one['url']}, line {one.get('lastLine')}: {one['message']}"
        for one in said
        if not one["message"].startswith("CSS:")
    ]
