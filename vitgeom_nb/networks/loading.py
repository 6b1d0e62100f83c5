"""Models by name: embedded ones, published ones from the hub, and the table of both."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch

from .catalogue import BOTH, CATALOGUE
from .errors import ArgumentError, ModelError
from .hf_models import load_hf
from .timm_models import load_timm
from .torchvision_models import load_torchvision
from .vision_model import VisionModel, call, timm_embed
from .zoo import card, weights
from .zoo.architectures import ARCHITECTURES, FAMILIES, MEAN, SIZE, STD

TIERS = {"embedded": 64, "paper": 224}


def tier() -> str:
    """The tier that `VITGEOM_TIER` names: `"embedded"` (the default) or `"paper"`.

    Raises
    ------
    ArgumentError
        If the variable names another tier.
    """
    name = os.environ.get("VITGEOM_TIER", "embedded")
    if name not in TIERS:
        raise ArgumentError(f"VITGEOM_TIER is {name!r}; set it to one of {', '.join(TIERS)}, or unset it.")
    return name


def embedded(name: str, state: dict[str, torch.Tensor], **options: Any) -> VisionModel:
    """An embedded architecture with the weights `state`; `options` are those of `VisionModel`."""
    module = ARCHITECTURES[name]()
    module.load_state_dict(state)
    fixed: dict[str, Any] = {"size": SIZE, "mean": MEAN, "std": STD, "embed": timm_embed, "logits": call}
    return VisionModel(module, name=name, family=FAMILIES[name], **fixed, **options)


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
        An embedded model (`"vit"`, `"swin"`, `"resnet"`, `"mobilenetv2"`), a published one by its short name
        (`"clip"`, `"beit"`, `"resnet50"`, ...; `models()` lists them), or any other checkpoint by its address:
        `"timm/<architecture.tag>"`, `"hf/<org>/<repo>"`, either with `"@<revision>"` behind it, or
        `"torchvision/<name>.<tag>"`.
    device, dtype
        Where and in which precision it computes; the CPU and float32 unless told. A published model computes where
        `VITGEOM_DEVICE` says, if that is set.
    classes
        For a model that knows captions (CLIP, SigLIP): names of classes; ImageNet's 1000 unless told. Its logits are
        those of the captions "a photo of a NAME.", which are read when logits are first asked for.

    Raises
    ------
    ModelError
        If there is no model of that name, or its checkpoint lacks weights.
    WeightsError
        If its weights are missing or damaged.
    HubError
        If its files cannot be fetched.
    ArgumentError
        If `classes` are given for a model that knows no captions.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> vg.load("vit").dim
    192
    """
    if name in ARCHITECTURES:
        _no_captions(name, classes)
        info = card(name)
        known = {"classes": info["classes"], "digest": info["sha256"]}
        source = {"repository": "vitgeom_nb/zoo", "revision": info["date"], "file": f"{name}.safetensors"}
        return embedded(name, weights(name), **known, source=source, device=device, dtype=dtype)
    entry = CATALOGUE.get(name)
    kind, _, address = str(entry.source if entry else name).partition("/")
    if kind not in ("timm", "hf", "torchvision") or not address:
        known_names = [*ARCHITECTURES, *CATALOGUE]
        close = difflib.get_close_matches(str(name), known_names, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"there are {', '.join(known_names)};"
        raise ModelError(f"There is no model {name!r}: {hint} wrap(module, ...) takes any network of your own.")
    address, _, revision = address.partition("@")
    family = entry.family if entry else "custom"
    device = device or os.environ.get("VITGEOM_DEVICE")
    options: dict[str, Any] = {"name": name, "family": family, "device": device, "dtype": dtype}
    if kind == "hf":
        return load_hf(address, revision or "main", classes, **options)
    _no_captions(name, classes)
    if kind == "timm":
        return load_timm(address, revision or "main", **options)
    return load_torchvision(address, **options)


def _no_captions(name: str, classes: Sequence[str] | None) -> None:
    if classes is not None:
        raise ArgumentError(f"{name} knows no captions, so it takes no classes; clip and siglip do.")


def models(tier: str | None = None, paper: str | None = None) -> pd.DataFrame:
    """A table of the models that `load` knows by a short name, one row each.

    Parameters
    ----------
    tier
        `"embedded"` or `"paper"`; both unless told.
    paper
        `"salman2024"` or `"kim2024"`: of the tier of the papers, only the networks that this one measured.

    Columns: `family`, `tier`, `input_size`, `embedding_dim`, `parameters`, `classes` (of the classifier; 0 without
    one), `top1` (as measured when an embedded model was trained), `source`, `licence`.
    """
    if tier is not None and tier not in TIERS:
        raise ArgumentError(f"There is no tier {tier!r}; choose one of {', '.join(TIERS)}.")
    if paper is not None and paper not in BOTH:
        raise ArgumentError(f"There is no paper {paper!r}; choose one of {', '.join(BOTH)}.")
    rows = []
    for name in ARCHITECTURES if tier in (None, "embedded") else ():
        info = card(name)
        rows.append(
            {
                "name": name,
                "family": FAMILIES[name],
                "tier": "embedded",
                "input_size": SIZE,
                "embedding_dim": info["embedding_dim"],
                "parameters": info["parameters"],
                "classes": len(info["classes"]),
                "top1": info["top1"],
                "source": f"{info['data']}, {info['epochs']:g} epochs",
                "licence": info["licence"],
            }
        )
    for name, entry in CATALOGUE.items() if tier in (None, "paper") else ():
        if paper is None or paper in entry.papers:
            rows.append(
                {
                    "name": name,
                    "family": entry.family,
                    "tier": "paper",
                    "input_size": TIERS["paper"],
                    "embedding_dim": entry.dim,
                    "parameters": entry.parameters,
                    "classes": entry.classes,
                    "top1": float("nan"),
                    "source": entry.source,
                    "licence": entry.licence,
                }
            )
    return pd.DataFrame(rows).set_index("name")
