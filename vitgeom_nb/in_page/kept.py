"""Graphs of the embedded networks, exported once and kept without weights."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..core.whole_files import reading
from ..errors import WeightsError
from ..networks.embedded import REPAIR

if TYPE_CHECKING:
    import torch

    from ..networks.vision_model import VisionModel

GRAPHS = ("forward", "pull", "push")
CONSTANTS = "constants.bin"
CARD = "inputs.json"
GEOMETRY = ("kernel_size", "stride", "padding", "dilation", "groups", "eps", "num_heads", "window_size", "shift_size")


class Kept(NamedTuple):
    """ONNX models by name, the constants behind the weights in their file, and the digest of what was traced."""

    graphs: dict[str, bytes]
    constants: bytes
    inputs: str


def kept_file(name: str) -> Path:
    """Where the graphs of an embedded network are kept."""
    return Path(str(files("vitgeom_nb.in_page") / "graphs" / f"{name}.zip"))


def inputs_digest(model: VisionModel) -> str:
    """SHA-256 of what a trace depends on: layers and their geometry, names and shapes of tensors, and no values.

    How layers print themselves has no part in it, for that changes with the releases of timm and torch.
    """
    tensors = {k: [list(t.shape), str(t.dtype)] for k, t in model.module.state_dict().items()}
    layers = {
        name: [type(layer).__name__, {key: repr(getattr(layer, key)) for key in GEOMETRY if hasattr(layer, key)}]
        for name, layer in model.module.named_modules()
    }
    traced = [layers, model.preprocessing, model.layer, model.read, model.has_logits, tensors]
    return hashlib.sha256(json.dumps(traced).encode()).hexdigest()


def packed(kept: Kept) -> bytes:
    """As the bytes of a file: the same graphs give the same bytes."""
    out = io.BytesIO()
    entries = {CARD: json.dumps({"inputs": kept.inputs}).encode(), CONSTANTS: kept.constants}
    entries |= {f"{name}.onnx": graph for name, graph in kept.graphs.items()}
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in entries.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED, 9)
    return out.getvalue()


@cache
def kept_graphs(name: str) -> Kept | None:
    """The graphs kept for an embedded network; None where there are none.

    Raises
    ------
    WeightsError
        If their file is damaged.
    """
    path = kept_file(name)
    if not path.exists():
        return None
    with reading(path, WeightsError, REPAIR), zipfile.ZipFile(path) as archive:
        graphs = {graph: archive.read(f"{graph}.onnx") for graph in GRAPHS}
        return Kept(graphs, archive.read(CONSTANTS), json.loads(archive.read(CARD))["inputs"])


def flat_weights(tensors: Mapping[str, torch.Tensor], constants: bytes = b"") -> bytes:
    """The file of weights of kept graphs: floats of the network in its own order, row by row, then the constants."""
    own = [t.detach().cpu().float().contiguous().numpy().tobytes() for t in tensors.values() if t.is_floating_point()]
    return b"".join([*own, constants])
