"""Classifiers of torchvision: `torchvision/<name>.<weights tag>`."""

from __future__ import annotations

import errno
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import torch
import torchvision
from PIL import Image

from ..core.progress import is_silent
from ..errors import HubError, ModelError, WeightsError
from ..hub.cache import digest_of
from ..settings import origin, torchvision_site
from .vision_model import VisionModel
from .wrapping import Cut, call

TIMEOUT = 5.0  # seconds without a byte
_DOWNLOAD = threading.Lock()
HEADS = ("fc", "classifier", "head", "heads")


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """No socket that is opened inside waits longer for the next byte."""
    # torch.hub takes no timeout, so this is the default of the whole process: sockets that other threads open meanwhile
    # get it too. One download at a time, or one would restore the limit of another as if it were what was there before.
    with _DOWNLOAD:
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(seconds)
        try:
            yield
        finally:
            socket.setdefaulttimeout(before)


def _download(url: str, path: Path, prefix: str) -> bool:
    """Fetch a file to `path`; False, and nothing there, if its sha256 does not begin with `prefix`."""
    shown = f"{path.name} from {origin(url)}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # in a folder of its own, which goes whatever happens: on a full disk torch.hub leaves what it wrote
        with tempfile.TemporaryDirectory(dir=path.parent) as folder, _patience(TIMEOUT):
            part = Path(folder) / path.name
            torch.hub.download_url_to_file(url, str(part), hash_prefix=prefix, progress=not is_silent())
            part.replace(path)
        return True
    except RuntimeError:  # the digest, so torch.hub
        return False
    except HTTPError as error:
        error.close()
        wrong = f"{shown} answers {error.code} ({error.reason}); try again later"
    except (OSError, HTTPException, ValueError) as error:  # ValueError: no number where HTTP has one
        if isinstance(error, OSError) and (error.filename or error.errno in (errno.ENOSPC, errno.EDQUOT)):
            wrong = f"{path} cannot be written ({error.strerror}); free some space, set TORCH_HOME to another folder"
        else:
            reason = str(getattr(error, "reason", error)).strip() or type(error).__name__
            wrong = f"{shown} cannot be fetched ({reason}); check the connection and VITGEOM_TORCHVISION_URL"
    raise HubError(f"{wrong}, or put the file at {path}.")


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
    if path.exists():
        if digest_of(path).startswith(prefix):
            return path
        path.unlink()  # damaged
    url = f"{torchvision_site()}/{filename}"
    if _download(url, path, prefix) or _download(url, path, prefix):
        return path
    raise HubError(
        f"{filename} from {origin(url)} came cut off or changed, twice: its digest is not the {prefix}... of its name; "
        "try another network, or "
        f"later, or put the file at {path}."
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
        If the weights cannot be fetched, or come damaged twice.
    ModelError
        If torchvision has no such classifier or weights.
    WeightsError
        If the file does not fit the classifier.
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
        digest=digest_of(path),
        source={"repository": f"torchvision/{architecture}", "revision": tag, "file": path.name},
        preprocess=preprocess,
        **options,
    )
