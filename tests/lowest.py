"""The oldest of what results depend on most that `pyproject.toml` allows, as constraints for pip.

`make versions` installs with them and runs the unit tests. It needs nothing that is not in Python itself.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

OLDEST = ("torch", "timm", "transformers", "numpy", "xarray")  # NumPy, since an old xarray warns with a new one
LOWER = re.compile(r"([A-Za-z0-9._-]+)\s*>=\s*([0-9.]+)$")


def constraints(project: dict) -> list[str]:
    """`name==version` of each, at the lower end of its range in the table `project`."""
    extras = project.get("optional-dependencies", {})
    lines = [*project["dependencies"], *(line for group in extras.values() for line in group)]
    lowest = dict(found.groups() for line in lines if (found := LOWER.match(line)))
    return [f"{name}=={lowest[name]}" for name in OLDEST]


if __name__ == "__main__":
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    print("\n".join(constraints(tomllib.loads(text)["project"])))
