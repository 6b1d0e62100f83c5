"""What a computation runs on, in words."""

from __future__ import annotations

import platform
from pathlib import Path


def processor() -> str:
    """The processor by name with its cores, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if names:
            return f"{names[0]}, {len(names)} cores"
    return platform.processor() or platform.machine()
