"""Vision networks of transformers: `hf/<org>/<repo>[@revision]`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ..core import imagenet_classes
from ..core.whole_files import reading
from ..errors import ArgumentError, ModelError, WeightsError
from ..hub import transfer as hub
from .vision_model import Preprocess, VisionModel
from .wrapping import Cut

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
DELETE = "delete it, and it is fetched again; if it comes so, use another checkpoint"
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
TEXT = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "special_tokens_map.json",
)
HEADS = ("classifier", "head", "cls_classifier", "distillation_classifier")
PROMPT = "a photo of a {}."


class ZeroShot(torch.nn.Module):
    """Class scores from captions, which are read when first needed: scaled cosines of embedding and caption."""

    def __init__(
        self, text: torch.nn.Module, tokens: dict[str, torch.Tensor], log_scale: torch.Tensor, bias: torch.Tensor
    ) -> None:
        super().__init__()
        self.text: torch.nn.Module | None = text
        self._names = list(tokens)
        self.captions: torch.Tensor | None
        for name, value in {**tokens, "log_scale": log_scale, "bias": bias}.items():
            self.register_buffer(name, value.detach().clone())
        self.register_buffer("captions", None)

    @torch.no_grad()
    def _read(self) -> torch.Tensor:
        assert self.text is not None
        columns = [getattr(self, name).split(64) for name in self._names]
        parts = [self.text(**dict(zip(self._names, row, strict=True))) for row in zip(*columns, strict=True)]
        self.text = None  # read once, not needed again
        return torch.nn.functional.normalize(torch.cat(parts), dim=1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Scores `(B,C)` of embeddings `(B,D)`."""
        if self.captions is None:
            self.captions = self._read()
        return self.log_scale.exp() * torch.nn.functional.normalize(z, dim=1) @ self.captions.T + self.bias


class _Text(torch.nn.Module):
    """The part of a network that reads captions: tokens to `(B,D)`."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.model, self.projection = body.text_model, getattr(body, "text_projection", torch.nn.Identity())

    def forward(self, **tokens: torch.Tensor) -> torch.Tensor:
        return self.projection(self.model(**tokens).pooler_output)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' notes and bars, which a page would show; what is wrong is raised anyway."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _config(path: Path) -> dict[str, Any]:
    with reading(path, WeightsError, DELETE):
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise TypeError("it is no table of settings")
        return config


def _files(repo: str, revision: str) -> tuple[Path, Path]:
    """Fetch what a model needs; its folder, and the file of its weights."""
    config = hub.fetch(repo, "config.json", revision=revision)
    revision = hub.provenance(config)["revision"]  # all of one commit
    weights = hub.fetch_first(repo, WEIGHTS, revision=revision)
    if weights.suffix == ".json":
        with reading(weights, WeightsError, DELETE):
            shards = sorted(set(json.loads(weights.read_text(encoding="utf-8"))["weight_map"].values()))
        for shard in shards:
            hub.fetch(repo, shard, revision=revision)
    hub.fetch_first(repo, PROCESSORS, revision=revision)
    if "text_config" in _config(config):
        there = hub.listing(repo, revision=revision)
        for name in (name for name in TEXT if name in there):
            hub.fetch(repo, name, revision=revision)
    return config.parent, weights


def _read(maker: Any, folder: Path, repo: str, **options: Any) -> tuple[torch.nn.Module, set[str]]:
    """A module with its weights, and the names of the weights that the file lacks."""
    try:
        with _quiet():
            module, info = maker.from_pretrained(
                folder,
                dtype=torch.float32,
                local_files_only=True,
                weights_only=True,
                output_loading_info=True,
                **options,
            )
    except Exception as error:  # whatever transformers, safetensors or torch raise on a file that is not theirs
        reason = str(error).split("\n")[0].rstrip(".")
        raise WeightsError(f"The weights of hf/{repo} in {folder} cannot be loaded: {reason}.") from error
    return module, set(info["missing_keys"])


def _classifier(folder: Path, architecture: str, repo: str) -> Cut | None:
    """The network with its classifier cut off and kept; None where the checkpoint has none."""
    import transformers

    if "ForImageClassification" not in architecture or not hasattr(transformers, architecture):
        return None
    module, missing = _read(getattr(transformers, architecture), folder, repo)
    heads = {name: head for name in HEADS if isinstance(head := getattr(module, name, None), torch.nn.Module)}
    lost = {name for name in heads if any(key.startswith(f"{name}.") for key in missing)}
    if not heads or lost:
        return None  # a head that the checkpoint does not hold would be random
    _complete(missing, repo)
    for name in heads:
        setattr(module, name, torch.nn.Identity())
    return Cut(module, heads, _headless)


def _headless(module: Any, x: torch.Tensor) -> torch.Tensor:
    out = module(pixel_values=x)
    return (out.cls_logits if "cls_logits" in out else out.logits).flatten(1)


def _complete(missing: set[str], repo: str) -> None:
    if missing:
        raise ModelError(
            f"The checkpoint hf/{repo} lacks {len(missing)} weights of its network ({min(missing)}, ...), which would "
            "be random; use a checkpoint that holds them."
        )


def _class_token(module: Any, x: torch.Tensor) -> torch.Tensor:
    return module(pixel_values=x).last_hidden_state[:, 0]


def _pooled(module: Any, x: torch.Tensor) -> torch.Tensor:
    return module(pixel_values=x).pooler_output.flatten(1)


def _image_features(module: Any, x: torch.Tensor) -> torch.Tensor:
    return module.get_image_features(pixel_values=x).pooler_output


def _unmasked(module: Any, x: torch.Tensor) -> torch.Tensor:
    """ViTMAE with every patch seen, in order: growing noise is a permutation that moves nothing."""
    patches = module.embeddings.patch_embeddings.num_patches
    noise = torch.arange(patches, device=x.device, dtype=x.dtype).expand(len(x), patches)
    return module(pixel_values=x, noise=noise).last_hidden_state[:, 0]


def _encoder(folder: Path, config: dict[str, Any], repo: str) -> Cut:
    """A network without a classifier: its own image features, else its class token, else its pooled output."""
    from transformers import AutoModel

    options = {"mask_ratio": 0.0} if config.get("model_type") == "vit_mae" else {}
    module, missing = _read(AutoModel, folder, repo, **options)
    pooler = {key for key in missing if key.startswith("pooler.")}
    _complete(missing - pooler, repo)
    if hasattr(module, "get_image_features"):
        return Cut(module, {}, _image_features)
    if options:
        return Cut(module, {}, _unmasked)
    if any(name.endswith(("cls_token", "class_embedding")) for name, _ in module.named_parameters()):
        return Cut(module, {}, _class_token)
    _complete(pooler, repo)
    return Cut(module, {}, _pooled)


def _captioned(network: Cut, folder: Path, classes: Sequence[str]) -> None:
    """Give a network that knows captions a head of `classes`; what reads them leaves the body."""
    from transformers import AutoTokenizer

    body: Any = network.body
    with _quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        length = body.config.text_config.max_position_embeddings
        told = [PROMPT.format(name) for name in classes]
        tokens = tokenizer(told, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    bias = getattr(body, "logit_bias", torch.zeros(1))
    network.heads["zero_shot"] = ZeroShot(_Text(body), dict(tokens), body.logit_scale, bias)
    for part in ("text_model", "text_projection"):
        if hasattr(body, part):
            delattr(body, part)


def _processing(folder: Path, repo: str) -> tuple[Preprocess, tuple[int, int], list[float], list[float]]:
    """The checkpoint's own preprocessing up to normalisation, its size, and the normalisation."""
    from transformers import AutoImageProcessor

    with reading(folder / PROCESSORS[0], WeightsError, DELETE), _quiet():
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)

    def preprocess(image: Image.Image) -> torch.Tensor:
        return torch.as_tensor(processor(image, do_normalize=False, return_tensors="pt")["pixel_values"][0]).float()

    size, other = (tuple(preprocess(Image.new("RGB", sides)).shape[1:]) for sides in ((320, 240), (240, 320)))
    if size != other:
        raise ModelError(f"hf/{repo} keeps the proportions of pictures; only networks of one input size are supported.")
    if not processor.do_normalize:
        return preprocess, size, [0.0] * 3, [1.0] * 3
    return preprocess, size, list(processor.image_mean), list(processor.image_std)


def load_hf(repo: str, revision: str, classes: Sequence[str] | None, **options: Any) -> VisionModel:
    """A network of transformers from a repository of the hub; `options` are those of `VisionModel`.

    The embedding is what the checkpoint's classifier reads. Without a classifier it is the model's image features
    (CLIP, SigLIP), else the class token, else the pooled output. A network that knows captions gets logits from those
    of `classes`, by default the 1000 of ImageNet.

    Raises
    ------
    HubError
        If a file cannot be fetched.
    ModelError
        If weights are missing from the checkpoint, or it is not a vision network.
    ArgumentError
        If `classes` are given for a network that knows no captions.
    """
    folder, weights = _files(repo, revision)
    config = _config(folder / "config.json")
    architecture = (config.get("architectures") or [""])[0]
    network = _classifier(folder, architecture, repo) or _encoder(folder, config, repo)
    names = None
    if network.heads:
        with reading(folder / "config.json", WeightsError, DELETE):
            names = [str(name) for _, name in sorted(config["id2label"].items(), key=lambda item: int(item[0]))]
    if hasattr(network.body, "get_text_features"):
        names = list(imagenet_classes.class_names() if classes is None else classes)
        _captioned(network, folder, names)
    elif classes is not None:
        raise ArgumentError(f"hf/{repo} knows no captions; classes=... is for CLIP and its like.")
    preprocess, size, mean, std = _processing(folder, repo)
    known = hub.provenance(weights)
    return VisionModel(
        network,
        size=size,
        mean=mean,
        std=std,
        embed=lambda module, x: module.embed(x),
        logits=(lambda module, x: module.logits(x)) if network.heads else None,
        classes=names,
        digest=known["sha256"],
        source={"repository": f"hf/{repo}", "revision": known["revision"], "file": weights.name},
        preprocess=preprocess,
        **options,
    )
