"""What the page loads on a click, as scripts that set globals: pages opened as files may not fetch."""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..core.imagenet_classes import class_names
from ..core.whole_files import write_whole
from ..errors import WeightsError
from ..networks.embedded import FAMILIES, REPAIR, card
from .kept import flat_weights, kept_graphs

SCRIPTS = ("engine.js", "lbfgs.js", "methods.js", "worker.js")  # what runs in the worker, in this order
# what runs in the page once a reader asks for it
PAGE = ("picture.js", "drawing.js", "asking.js", "running.js", "page.js")
PHOTOGRAPHS = ("imagenet", "photographs")


def squeezed(data: bytes) -> str:
    """Bytes as base64 of gzip, the same for the same bytes."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


def as_script(name: str, parts: Mapping[str, Any]) -> bytes:
    """A script that hands `parts` to the page under a name."""
    return f"vitgeomPart({json.dumps(name)}, {json.dumps(dict(parts), ensure_ascii=False)});\n".encode()


def byte_planes(values: np.ndarray) -> bytes:
    """Values with their first bytes together, then their second ones, and so on: that compresses better."""
    return values.view(np.uint8).reshape(-1, values.itemsize).T.tobytes()


def network_script(name: str) -> bytes:
    """Graphs, weights and class names of an embedded network; weights in half precision where that is enough.

    Raises
    ------
    WeightsError
        If its graphs are not kept, or its weights are damaged.
    """
    from ..data.samples import samples  # these three bring torch, and timm
    from ..networks.loading import load
    from .precision import ENOUGH, rounding_error

    kept, about = kept_graphs(name), card(name)
    if kept is None:
        raise WeightsError(f"The graphs of {name} are not in this installation: {REPAIR}.")
    model = load(name, device="cpu")
    weights = np.frombuffer(flat_weights(model.module.state_dict()), "<f4")
    half = rounding_error(model, samples("photographs", size=about["input_size"]).pixels) <= ENOUGH
    parts = {
        "graphs": {graph: squeezed(data) for graph, data in kept.graphs.items()},
        "precision": "half" if half else "single",
        "weights": squeezed(byte_planes(weights.astype("<f2") if half else weights)),
        "constants": squeezed(byte_planes(np.frombuffer(kept.constants, "<f4"))),
        "dim": about["embedding_dim"],
        "size": about["input_size"],
        "classes": about["classes"],
        "digest": about["sha256"],
        "family": FAMILIES[name],
    }
    return as_script(name, parts)


def samples_script() -> bytes:
    """The recorded samples as 64 x 64 PNGs, each with its name."""
    from ..data.samples import samples  # brings torch

    shown = []
    for name in PHOTOGRAPHS:
        images = samples(name, size=64)
        titles = images.names
        if images.labels is not None:
            titles = [f"{class_names()[label]} (ImageNet)" for label in images.labels]
        for pixels, title in zip(images.pixels, titles, strict=True):
            picture = io.BytesIO()
            Image.fromarray((pixels.permute(1, 2, 0) * 255).round().byte().numpy()).save(picture, "PNG", optimize=True)
            shown.append({"name": title, "png": base64.b64encode(picture.getvalue()).decode()})
    return as_script("samples", {"samples": shown})


def source(*names: str) -> str:
    """Scripts of this package, one behind the other."""
    return "\n".join((files("vitgeom_nb.in_page") / name).read_text(encoding="utf-8") for name in names)


def write_page_files(folder: Path) -> dict[str, int]:
    """Write everything that the page loads on a click, but the runtime, and say how many bytes each file has."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {"page": source(*PAGE).encode(), "worker": as_script("worker", {"source": source(*SCRIPTS)})}
    made |= {"samples": samples_script()} | {name: network_script(name) for name in available()}
    for name, data in made.items():
        write_whole(folder / f"{name}.js", data)
    return {name: len(data) for name, data in made.items()}


def available() -> list[str]:
    """Embedded networks whose graphs are kept, in the order of the zoo."""
    return [name for name in FAMILIES if kept_graphs(name) is not None]
