"""Models by name: embedded ones, and published ones from the hub.

What a kind of model needs is imported when one of that kind is asked for.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import torch

from .. import settings
from ..core.arguments import checked
from ..errors import ArgumentError, ModelError
from .catalogue import CATALOGUE, PUBLISHED
from .embedded import CONTROLS, FAMILIES, architecture, card, weights, zoo_file
from .vision_model import VisionModel
from .wrapping import call, timm_embed


def embedded(name: str, state: dict[str, torch.Tensor], **options: Any) -> VisionModel:
    """An embedded model or a control with the weights `state`; `options` are those of `VisionModel`."""
    from .embedded.architectures import ARCHITECTURES, MEAN, SIZE, STD

    module = ARCHITECTURES[architecture(name)]()
    module.load_state_dict(state)
    fixed: dict[str, Any] = {"size": SIZE, "mean": MEAN, "std": STD, "embed": timm_embed, "logits": call}
    return VisionModel(module, name=name, family=FAMILIES[architecture(name)], **fixed, **options)


@checked
def load(
    name: str,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
    *,
    classes: Sequence[str] | None = None,
) -> VisionModel:
    """Load a model by name.

    Parameters
    ----------
    name
        An embedded model (`"vit"`, `"swin"`, `"resnet"`, `"mobilenetv2"`, `"convnext"`), a control (`"vit-b"`,
        `"resnet-b"`, `"convnext-b"`), a published one by its short name (`"clip"`, `"resnet50"`,
        `"efficientnet-lite0"`, ...; `models()` lists them), or any other by its address:
        `"timm/<architecture.tag>"`, `"hf/<org>/<repo>"`, either with `"@<revision>"` behind it, or
        `"torchvision/<name>.<tag>"`.
    device, dtype
        Where and in which precision it computes; float32, and where `VITGEOM_DEVICE` says, else the CPU, unless told.
    classes
        For a model that knows captions (CLIP, SigLIP): names of classes; ImageNet's 1000 unless told. Its logits are
        those of the captions "a photo of a NAME.", which are read when logits are first asked for.

    Raises
    ------
    ModelError
        If there is no model of that name, or its checkpoint lacks weights.
    WeightsError
        If its weights are missing or damaged, or the package that brings them is not installed.
    HubError
        If its files cannot be fetched.
    ArgumentError
        If `classes` are given for a model that knows no captions, or there is no such device.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> vg.load("vit").dim
    192
    """
    device = device or settings.device()
    settings.check_hub_address()  # all of what follows imports huggingface_hub
    if architecture(name) in FAMILIES:
        _no_captions(name, classes)
        info, file = card(name), zoo_file(f"{name}.safetensors")
        known = {"classes": info["classes"], "digest": info["sha256"]}
        source = {
            "repository": f"vitgeom_nb/networks/{file.parent.name}",
            "revision": info["date"],
            "file": file.name,
        }
        return embedded(name, weights(name), **known, source=source, device=device, dtype=dtype)
    entry = CATALOGUE.get(name) or PUBLISHED.get(name)
    kind, _, address = str(entry.source if entry else name).partition("/")
    if kind not in ("timm", "hf", "torchvision", "pip") or not address:
        known_names = [*FAMILIES, *CONTROLS, *CATALOGUE, *PUBLISHED]
        close = difflib.get_close_matches(str(name), known_names, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"there are {', '.join(known_names)};"
        raise ModelError(f"There is no model {name!r}: {hint} wrap(module, ...) takes any network of your own.")
    address, _, revision = address.partition("@")
    family = entry.family if entry else "custom"
    options: dict[str, Any] = {"name": name, "family": family, "device": device, "dtype": dtype}
    if kind == "hf":
        from .from_transformers import load_hf

        return load_hf(address, revision or "main", classes, **options)
    _no_captions(name, classes)
    if kind == "pip":
        from .from_pip import load_pip

        return load_pip(address, **options)
    if kind == "timm":
        from .from_timm import load_timm

        return load_timm(address, revision or "main", **options)
    from .from_torchvision import load_torchvision

    return load_torchvision(address, **options)


def _no_captions(name: str, classes: Sequence[str] | None) -> None:
    if classes is not None:
        raise ArgumentError(f"{name} knows no captions, so it takes no classes; clip and siglip do.")
