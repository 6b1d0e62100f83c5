"""The embedded models: architectures, weights with their digests, cards, recorded predictions."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_safetensors

from ..errors import WeightsError


def zoo_file(filename: str) -> Path:
    """Path of a file that ships in `vitgeom_nb/zoo`."""
    return Path(str(files("vitgeom_nb.zoo") / filename))


@cache
def card(name: str) -> dict[str, Any]:
    """The card of an embedded model: architecture, recipe, scores, digest of its weights.

    Raises
    ------
    WeightsError
        If the card is missing.
    """
    path = zoo_file(f"{name}.json")
    if not path.exists():
        raise WeightsError(f"The embedded model {name!r} is not in this installation: `make zoo` trains it.")
    return json.loads(path.read_text())


def read_weights(path: Path, digest: str) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file, as float32, after its SHA-256 was compared with `digest`.

    Raises
    ------
    WeightsError
        If the file is missing, is not the one meant, or cannot be read.
    """
    repair = "reinstall vitgeom-nb, or `git checkout` the file."
    if not path.exists():
        raise WeightsError(f"The weights file {path} is missing: {repair}")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise WeightsError(f"The weights file {path} is damaged (its SHA-256 is not the one on its card): {repair}")
    try:
        tensors = read_safetensors(data)
    except SafetensorError:
        raise WeightsError(f"The weights file {path} is not a safetensors file: {repair}") from None
    return {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}


def weights(name: str) -> dict[str, torch.Tensor]:
    """The tensors of an embedded model, checked against the digest on its card."""
    return read_weights(zoo_file(f"{name}.safetensors"), card(name)["sha256"])
