"""Networks of timm: `timm/<architecture.tag>[@revision]`."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image

from ..core import imagenet_classes
from ..core.whole_files import reading
from ..errors import ModelError, WeightsError
from ..hub import transfer as hub
from .vision_model import VisionModel
from .wrapping import call, timm_embed

WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def _check_tag(name: str) -> None:
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        close = timm.list_models(f"*{architecture}*")[:3]
        hint = f"did you mean {' or '.join(close)}?" if close else "timm.list_models() names those there are."
        raise ModelError(f"timm {timm.__version__} has no architecture {architecture!r}: {hint}")
    if not tag:
        tags = [known for known in timm.list_pretrained(f"{architecture}.*") if known.startswith(f"{architecture}.")]
        there = f"there are {', '.join(tags)}." if tags else "timm knows none for it; wrap(module, ...) takes yours."
        raise ModelError(f"Name the weights of timm/{name} too: {there}")


def _class_names(config: dict[str, Any], classes: int) -> list[str] | None:
    """Names of the classes: those in the checkpoint's config, else ImageNet's where there are a thousand."""
    names = config.get("label_names")
    if names and len(names) == classes:
        descriptions = config.get("label_descriptions") or {}
        return [descriptions.get(name, name).split(",")[0] for name in names]
    return imagenet_classes.class_names() if classes == 1000 else None


def timm_input(module: torch.nn.Module) -> dict[str, Any]:
    """What timm says of the pictures that its module takes, as options of `VisionModel`."""
    data = timm.data.resolve_data_config({}, model=module)
    transform = timm.data.create_transform(**data, normalize=False)

    def preprocess(image: Image.Image) -> torch.Tensor:
        return torch.as_tensor(np.asarray(transform(image))).float() / 255

    return {"size": data["input_size"][1:], "mean": data["mean"], "std": data["std"], "preprocess": preprocess}


def load_timm(address: str, revision: str, **options: Any) -> VisionModel:
    """A network of timm from its repository on the hub; `options` are those of `VisionModel`.

    Raises
    ------
    HubError
        If a file cannot be fetched.
    ModelError
        If timm has no such architecture, or no weights are named.
    WeightsError
        If the weights are not those of the architecture.
    """
    _check_tag(address)
    repo = f"timm/{address}"
    path = hub.fetch(repo, "config.json", revision=revision)
    weights = hub.fetch_first(repo, WEIGHTS, revision=hub.provenance(path)["revision"])
    try:
        module = timm.create_model(f"local-dir:{path.parent}", pretrained=True)
    except Exception as error:  # whatever timm, safetensors or torch raise on a file that is not theirs
        reason = str(error).split("\n")[0].rstrip(".")
        raise WeightsError(f"The weights of {repo} in {path.parent} cannot be loaded: {reason}.") from error
    with reading(path, WeightsError, "delete it, and it is fetched again"):
        classes = _class_names(json.loads(path.read_text(encoding="utf-8")), module.num_classes)
    known = hub.provenance(weights)
    return VisionModel(
        module,
        embed=timm_embed,
        logits=call if module.num_classes > 0 else None,
        classes=classes,
        digest=known["sha256"],
        source={"repository": repo, "revision": known["revision"], "file": weights.name},
        **timm_input(module),
        **options,
    )
