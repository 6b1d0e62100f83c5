"""Any network as ONNX graphs of itself and of its derivatives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from .. import settings
from ..core.arguments import checked
from ..core.progress import tqdm
from ..core.whole_files import write_whole
from ..errors import ArgumentError, ModelError, VitgeomError
from ..networks.embedded import FAMILIES
from ..networks.vision_model import VisionModel
from .kept import Kept, flat_weights, inputs_digest, kept_graphs
from .onnx_graphs import OPSET, WEIGHTS, Layout, onnx_model
from .traces import traces


def exported(model: VisionModel, progress: bool = False) -> tuple[dict[str, bytes], bytes, int]:
    """Graphs by name, the file of weights they share, and how much of that is the network's own tensors."""
    layout = Layout(model.module.state_dict())
    own = layout.length
    graphs: dict[str, bytes] = {}
    try:
        traced = traces(model)
    except VitgeomError:
        raise
    except Exception as error:  # whatever the network does that is no fixed sequence of operations
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        raise ModelError(f"{model.name} cannot be traced as a graph: {reason}.") from error
    with tqdm(traced.items(), desc=f"graphs of {model.name}", disable=not progress, leave=False) as bar:
        for name, trace in bar:
            graphs[name] = onnx_model(name, model.name, trace, layout)
    return graphs, b"".join(layout.parts), own


def _kept(model: VisionModel) -> Kept | None:
    """The graphs kept for this very architecture, whatever its weights."""
    kept = kept_graphs(model.name) if model.name in FAMILIES else None
    return kept if kept is not None and kept.inputs == inputs_digest(model) else None


def _card(model: VisionModel, graphs: dict[str, bytes], weights: bytes) -> dict[str, Any]:
    classes = model.classes
    logits = ["logits"] if model.has_logits else []
    about: dict[str, Any] = {
        "model": model.name,
        "digest": model.digest,
        "made_by": f"vitgeom-nb {settings.package_version()}",
        "opset": OPSET,
        "size": list(model.size),
        "dim": model.dim,
        "weights": {"file": WEIGHTS, "bytes": len(weights)},
        "graphs": {
            "forward": {"in": ["x"], "out": ["embedding", *logits]},
            "pull": {"in": ["x", "u", *(["v"] if logits else [])], "out": ["embedding", *logits, "gradient"]},
            "push": {"in": ["x", "d"], "out": ["change"]},
        },
    }
    assert set(about["graphs"]) == set(graphs)
    return about | ({"classes": list(classes)} if classes is not None else {})


@checked
def export_onnx(model: VisionModel, folder: Path | str) -> Path:
    r"""Write a network and its derivatives as ONNX graphs, for any runtime of that format, a web page included.

    Three graphs for one image, pixels in [0,1] with normalisation inside, opset 18, share one file of weights:

    .. math:: \mathtt{forward}(x) = (f(x), z(x)), \quad
              \mathtt{pull}(x, u, v) = (f(x), z(x), J_f^\top u + J_z^\top v), \quad
              \mathtt{push}(x, d) = J_f d

    with J_f and J_z the Jacobians of embedding and logits at x. With v = softmax(z) - onehot(y) and u = 0, `pull` gives
    the gradient of cross-entropy; with v = 0 and u = f(x) - t, that of half the squared distance to an embedding t.

    Parameters
    ----------
    model
        Any model, at the layer at which it is read; in float32, unless it computes in float64.
    folder
        Where to write; it is made, with the folders above it. Files of the same names are replaced.

    Returns
    -------
    pathlib.Path
        The folder, with `forward.onnx`, `pull.onnx`, `push.onnx`, `weights.bin`, which the three refer to by that name,
        and `model.json`: digest of the weights, size, dimension of the embedding, classes, and what goes in and comes
        out. Inputs are `x` and `d` `(1,3,H,W)`, `u` `(1,D)`, `v` `(1,C)`; outputs `embedding` `(1,D)`, `logits`
        `(1,C)`, `gradient` `(1,3,H,W)`, in embedding or logits per pixel value, `change` `(1,D)`. Without a classifier
        head there are no `v` and `logits`.

    Raises
    ------
    ModelError
        If an operator of the network has no translation, or `onnx` and `onnxscript` are not installed; embedded
        networks, whose graphs ship with this package, need neither.
    ArgumentError, DataError
        If there cannot be such a folder, or a file in it cannot be written.

    Examples
    --------
    >>> import tempfile, vitgeom_nb as vg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sorted(path.name for path in vg.export_onnx(vg.load("vit"), folder).iterdir())
    ['forward.onnx', 'model.json', 'pull.onnx', 'push.onnx', 'weights.bin']
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(f"{folder!s:.200} cannot be a folder ({error.strerror}); name another.") from None
    if model.dtype != torch.float64:
        model = model.in_dtype(torch.float32)
    kept = _kept(model) if model.dtype == torch.float32 else None
    if kept is not None:
        graphs, weights = kept.graphs, flat_weights(model.module.state_dict(), kept.constants)
    else:
        graphs, weights, _ = exported(model, progress=True)
    write_whole(folder / WEIGHTS, weights)
    for name, data in graphs.items():
        write_whole(folder / f"{name}.onnx", data)
    about = json.dumps(_card(model, graphs, weights), indent=1, ensure_ascii=False)
    write_whole(folder / "model.json", about.encode())
    return folder
