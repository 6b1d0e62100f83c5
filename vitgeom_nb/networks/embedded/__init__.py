"""The embedded models and their controls: architectures, weights with their digests, cards, recorded predictions.

Cards are read without torch, which only weights need.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.whole_files import reading
from ...errors import WeightsError

if TYPE_CHECKING:
    import torch

FAMILIES = {"vit": "transformer", "swin": "transformer", "resnet": "CNN", "mobilenetv2": "CNN", "convnext": "CNN"}
"""Name -> family of every embedded model."""


CONTROLS = {f"{name}-b": name for name in ("vit", "resnet", "convnext")}
"""Networks of the same architectures, trained by the second recipe, as transformers usually are."""


def architecture(name: str) -> str:
    """The architecture of an embedded model or of a control."""
    return CONTROLS.get(name, name)


ABSENT = (
    "`make zoo` trains it, in hours; so do `python -m vitgeom_nb.recipes.train {0}` and then "
    "`python -m vitgeom_nb.recipes.ship {0}` alone"
)
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
REPAIR = "reinstall vitgeom-nb, or `git checkout` the file"
_ON_A_CARD: dict[str, type | tuple[type, ...]] = dict.fromkeys(("sha256", "date", "data", "licence"), str)
_ON_A_CARD |= dict.fromkeys(("input_size", "embedding_dim", "parameters", "epochs", "top1"), (int, float))
_ON_A_CARD |= {"classes": list}


def zoo_file(filename: str) -> Path:
    """Path of a file in `vitgeom_nb/networks/embedded`, or of a control in `vitgeom_nb/networks/controls`.

    Of the controls the package brings the cards alone, a working copy of the repository the weights as well.
    """
    folder = "controls" if filename.partition(".")[0] in CONTROLS else "embedded"
    return Path(str(files("vitgeom_nb.networks") / folder / filename))


@cache
def card(name: str) -> dict[str, Any]:
    """The card of an embedded model or a control: architecture, recipe, scores, digest of its weights.

    Raises
    ------
    WeightsError
        If the card is missing or damaged.
    """
    path = zoo_file(f"{name}.json")
    if not path.exists():
        raise WeightsError(f"The model {name!r} is not in this installation: {ABSENT.format(name)}.")
    with reading(path, WeightsError, REPAIR):
        info = json.loads(path.read_text(encoding="utf-8"))
        for key, kind in _ON_A_CARD.items():
            if not isinstance(info[key], kind):
                raise TypeError(f"{key} is {info[key]!r:.40}")
        return info


def read_weights(path: Path, digest: str) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file, as float32, after its SHA-256 was compared with `digest`.

    Raises
    ------
    WeightsError
        If the file is missing, is not the one meant, or cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as read_safetensors

    if not path.exists():
        raise WeightsError(f"The weights file {path} is missing: {REPAIR}.")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise WeightsError(f"The weights file {path} is damaged (its SHA-256 is not the one on its card): {REPAIR}.")
    try:
        tensors = read_safetensors(data)
    except SafetensorError:
        raise WeightsError(f"The weights file {path} is not a safetensors file: {REPAIR}.") from None
    return {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}


def weights(name: str) -> dict[str, torch.Tensor]:
    """The tensors of an embedded model or a control, checked against the digest on its card."""
    path, digest = zoo_file(f"{name}.safetensors"), card(name)["sha256"]
    if name in CONTROLS and not path.exists():
        raise WeightsError(
            f"The weights of {name} come with a working copy of the repository and not with the package, where they "
            f"would take too much room; use a working copy, or train it: {ABSENT.format(name)}."
        )
    return read_weights(path, digest)
