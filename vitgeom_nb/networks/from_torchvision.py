"""Classifiers of torchvision: `torchvision/<name>.<weights tag>`."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import torch
import torchvision
from PIL import Image

from .errors import HubError, ModelError, WeightsError
from .progress import tqdm
from .vision_model import Cut, VisionModel, call

SITE = "https://download.pytorch.org/models"
TIMEOUT = 5.0  # seconds without a byte
HEADS = ("fc", "classifier", "head", "heads")


def _site() -> str:
    """Where weights are fetched from: torchvision's own site, or the mirror that `VITGEOM_TORCHVISION_URL` names."""
    return os.environ.get("VITGEOM_TORCHVISION_URL", SITE).rstrip("/")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(url: str, path: Path) -> None:
    """Fetch a file; what an interrupted download left is continued."""
    part = path.with_suffix(".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            continued = answer.status == 206
            total = int(answer.headers.get("Content-Length", 0)) + (start if continued else 0)
            got = start if continued else 0
            with (
                part.open("ab" if continued else "wb") as file,
                tqdm(total=total, initial=got, unit="B", unit_scale=True, desc=path.name) as bar,
            ):
                while chunk := answer.read(1 << 20):
                    file.write(chunk)
                    got += len(chunk)
                    bar.update(len(chunk))
            if got < total:
                raise HubError(
                    f"The download of {url} broke off after {got:,} of {total:,} bytes; ask again to continue."
                )
    except urllib.error.HTTPError as error:
        if error.code == 416:  # what was left is no beginning of this file
            part.unlink(missing_ok=True)
        raise HubError(
            f"{url} answers {error.code} ({error.reason}); try again later, or put the file at {path}."
        ) from None
    except HubError:
        raise
    except OSError as error:
        reason = getattr(error, "reason", error) or type(error).__name__
        raise HubError(
            f"{url} cannot be fetched ({reason}); check the connection, or put the file at {path}."
        ) from None
    part.replace(path)


def _cached(filename: str) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / filename


def is_cached(address: str) -> bool:
    """Whether the weights of `"<name>.<weights tag>"` are here."""
    architecture, _, tag = address.partition(".")
    return _cached(torchvision.models.get_model_weights(architecture)[tag].url.rsplit("/", 1)[1]).exists()


def _weights(known: Any) -> Path:
    """The file of some weights, from torch's cache or the site, its digest checked against its name."""
    filename = known.url.rsplit("/", 1)[1]
    prefix = filename.removesuffix(".pth").rsplit("-", 1)[1]
    path = _cached(filename)
    for _ in range(2):
        if not path.exists():
            _download(f"{_site()}/{filename}", path)
        if _digest(path).startswith(prefix):
            return path
        path.unlink()  # wrong bytes: fetched once more
    raise WeightsError(
        f"{_site()}/{filename} does not have the digest {prefix}... of its name, twice; try another mirror."
    )


def _built(architecture: str, known: Any, state: dict[str, torch.Tensor]) -> torch.nn.Module:
    options: dict[str, Any] = {"num_classes": len(known.meta["categories"])}
    if architecture in ("googlenet", "inception_v3"):  # what torchvision itself sets when it loads weights
        options |= {"transform_input": True, "aux_logits": True, "init_weights": False}
    module = torchvision.models.get_model(architecture, weights=None, **options)
    module.load_state_dict(state)
    return module


def _cut(module: torch.nn.Module, name: str) -> Cut:
    """The network with its last linear layer cut off and kept."""
    linear = [path for path, part in module.named_modules() if isinstance(part, torch.nn.Linear)]
    last = [path for path in linear if path.split(".")[0] in HEADS][-1:]
    if not last:
        raise ModelError(f"torchvision/{name} has no linear head to cut at; wrap(module, embed=..., ...) takes it.")
    parent, _, leaf = last[0].rpartition(".")
    head = module.get_submodule(last[0])
    setattr(module.get_submodule(parent), leaf, torch.nn.Identity())
    return Cut(module, {"head": head}, call)


def load_torchvision(address: str, **options: Any) -> VisionModel:
    """A classifier of torchvision; `options` are those of `VisionModel`.

    The embedding is what the last linear layer reads.

    Raises
    ------
    HubError
        If the weights cannot be fetched.
    ModelError
        If torchvision has no such classifier or weights.
    WeightsError
        If the file is damaged.
    """
    architecture, _, tag = address.partition(".")
    if architecture not in torchvision.models.list_models(module=torchvision.models):
        raise ModelError(
            f"torchvision has no classifier {architecture!r}; torchvision.models.list_models() names them."
        )
    tags = {known.name: known for known in torchvision.models.get_model_weights(architecture)}
    if tag not in tags:
        raise ModelError(f"Name the weights of torchvision/{architecture} too: there are {', '.join(tags)}.")
    known = tags[tag]
    path = _weights(known)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        module = _built(architecture, known, state)
    except Exception as error:  # whatever torch raises on a file that is not its own
        reason = str(error).split("\n")[0].rstrip(".")
        raise WeightsError(f"The weights in {path} cannot be loaded: {reason}.") from error
    preset = known.transforms()
    size = preset.crop_size[0]

    def preprocess(image: Image.Image) -> torch.Tensor:
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (preset.mean, preset.std))
        return (preset(image) * std + mean).clamp(0, 1)

    return VisionModel(
        _cut(module, architecture),
        size=size,
        mean=preset.mean,
        std=preset.std,
        embed=lambda module, x: module.embed(x),
        logits=lambda module, x: module.logits(x),
        classes=known.meta["categories"],
        digest=_digest(path),
        source={"repository": f"torchvision/{architecture}", "revision": tag, "file": path.name},
        preprocess=preprocess,
        **options,
    )
