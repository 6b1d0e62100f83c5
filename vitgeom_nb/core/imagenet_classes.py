"""The 1000 classes of ImageNet: their WordNet ids, their labels, their English names."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from ..settings import check_hub_address


@functools.cache
def _info() -> Any:
    check_hub_address()  # timm imports huggingface_hub
    from timm.data import ImageNetInfo

    return ImageNetInfo()


@functools.cache
def numbers() -> dict[str, int]:
    """WordNet id -> label: the place among the 1000 in alphabetical order."""
    return {wnid: i for i, wnid in enumerate(_info().label_names())}


def class_names() -> list[str]:
    """English names of the 1000 classes, in the order of their labels."""
    from torchvision.models import ResNet50_Weights

    return list(ResNet50_Weights.DEFAULT.meta["categories"])


def english(wnids: Sequence[str]) -> list[str]:
    """The first English name of each WordNet id; what is none stays as it is."""
    known = numbers()
    return [_info().label_name_to_description(w).split(",")[0] if w in known else w for w in wnids]
