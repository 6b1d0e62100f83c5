"""Random checkpoints of every family in the hub's layout: the published architectures, a few thousand weights each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
import transformers
from safetensors.torch import save_file

from vitgeom_nb.networks.catalogue import CATALOGUE

CLASSES = 7
WORDS = ["<unk>", "<pad>", "<s>", "</s>", "a", "photo", "of", ".", "cat", "dog", "boat", "tree"]
TEXT = {
    "vocab_size": len(WORDS),
    "max_position_embeddings": 16,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "pad_token_id": 1,
}


def vit(width: int) -> dict[str, int]:
    """Sizes of a small transformer."""
    return {"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 2 * width}


def _settle(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Random weights everywhere, also where a fresh module has zeros or ones: a mix-up then shows."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=draw)
            if name == "logit_scale":
                parameter.fill_(1.5)
            elif parameter.ndim < 2:
                parameter.add_(0.1 * noise)
            elif "position" in name or "token" in name or "pos_embed" in name:
                parameter.copy_(0.2 * noise)
            else:
                parameter.copy_(noise * (1.5 / parameter[0].numel()) ** 0.5)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(0.1 * torch.randn(buffer.shape, generator=draw))
            elif name.endswith("running_var"):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=draw))
    return module.eval()


def _tokenizer(folder: Path, length: int) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {word: i for i, word in enumerate(WORDS)}
    base = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    base.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace()])
    base.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=base, unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    fast.model_max_length = length
    fast.save_pretrained(folder)


def _labels(classes: int) -> dict[int, str]:
    return {i: f"class {i}" for i in range(classes)}


def _clip(size: int, classes: int, width: int) -> torch.nn.Module:
    config = transformers.CLIPConfig(
        text_config={**vit(width), **TEXT},
        vision_config={**vit(width), "image_size": size, "patch_size": size // 4},
        projection_dim=3 * width // 4,
    )
    return transformers.CLIPModel(config)


def _siglip(size: int, classes: int, width: int) -> torch.nn.Module:
    config = transformers.SiglipConfig(
        text_config={**vit(width), **TEXT, "projection_size": width},
        vision_config={**vit(width), "image_size": size, "patch_size": size // 4},
    )
    return transformers.SiglipModel(config)


def _plain(config: str, model: str, **more: Any) -> Callable[[int, int, int], torch.nn.Module]:
    def build(size: int, classes: int, width: int) -> torch.nn.Module:
        options: dict[str, Any] = {**vit(width), "image_size": size, "patch_size": size // 4, **more}
        if "ForImageClassification" in model:
            options["id2label"] = _labels(classes)
        return getattr(transformers, model)(getattr(transformers, config)(**options))

    return build


def _swin(size: int, classes: int, width: int) -> torch.nn.Module:
    config = transformers.SwinConfig(
        image_size=size,
        patch_size=4,
        embed_dim=width // 2,
        depths=[1, 1],
        num_heads=[2, 4],
        window_size=4,
        id2label=_labels(classes),
    )
    return transformers.SwinForImageClassification(config)


def _resnet(size: int, classes: int, width: int) -> torch.nn.Module:
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, width // 2], depths=[1, 1], layer_type="basic", id2label=_labels(classes)
    )
    return transformers.ResNetForImageClassification(config)


# name -> network, image processor, whether it reads text too
HF: dict[str, tuple[Callable[[int, int, int], torch.nn.Module], str, bool]] = {
    "clip": (_clip, "CLIPImageProcessor", True),
    "beit": (
        _plain("BeitConfig", "BeitForImageClassification", use_relative_position_bias=True),
        "BeitImageProcessor",
        False,
    ),
    "deit": (_plain("DeiTConfig", "DeiTForImageClassificationWithTeacher"), "DeiTImageProcessor", False),
    "vitmae": (
        _plain(
            "ViTMAEConfig",
            "ViTMAEForPreTraining",
            decoder_hidden_size=16,
            decoder_num_hidden_layers=1,
            decoder_num_attention_heads=2,
            decoder_intermediate_size=16,
        ),
        "ViTImageProcessor",
        False,
    ),
    "vitmsn": (_plain("ViTMSNConfig", "ViTMSNModel"), "ViTImageProcessor", False),
    "dinov2": (_plain("Dinov2Config", "Dinov2Model"), "BitImageProcessor", False),
    "siglip": (_siglip, "SiglipImageProcessor", True),
    "vit": (_plain("ViTConfig", "ViTForImageClassification"), "ViTImageProcessor", False),
    "vit-headless": (_plain("ViTConfig", "ViTModel"), "ViTImageProcessor", False),
    "swin": (_swin, "ViTImageProcessor", False),
    "resnet": (_resnet, "ConvNextImageProcessor", False),
}
# name -> architecture, and arguments that make it small
TIMM: dict[str, tuple[str, dict[str, Any]]] = {
    "swin-t": ("swin_tiny_patch4_window7_224", {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 4]}),
    "vit-b16": ("vit_base_patch16_224", {"embed_dim": 32, "depth": 2, "num_heads": 2}),
    "resnet50": ("resnet50", {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}),
    "mobilenetv2_100": ("mobilenetv2_035", {}),
}


def hf_checkpoint(
    name: str, folder: Path, size: int = 32, classes: int = CLASSES, width: int = 32, pickled: bool = False
) -> torch.nn.Module:
    """Write the files of a transformers repository; returns the network whose weights they hold."""
    build, processor, text = HF[name]
    torch.manual_seed(0)
    network = _settle(build(size, classes, width))
    network.save_pretrained(folder)
    if pickled:
        torch.save(network.state_dict(), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    crop = {"height": size, "width": size}
    getattr(transformers, processor)(
        size={"shortest_edge": size + 4}
        if name in ("clip", "dinov2")
        else {"shortest_edge": size}
        if name == "resnet"
        else crop,
        crop_size=crop,
        do_normalize=True,
    ).save_pretrained(folder)
    if text:
        _tokenizer(folder, 16)
    return network


def timm_checkpoint(name: str, folder: Path, classes: int = CLASSES, **more: Any) -> torch.nn.Module:
    """Write the files of a timm repository; returns the network whose weights they hold."""
    architecture, arguments = TIMM[name]
    arguments = arguments | more
    known = timm.models.get_pretrained_cfg(CATALOGUE[name].source.removeprefix("timm/")).to_dict()
    keep = (
        "tag",
        "input_size",
        "interpolation",
        "crop_pct",
        "crop_mode",
        "mean",
        "std",
        "pool_size",
        "first_conv",
        "classifier",
    )
    network = _settle(timm.create_model(architecture, num_classes=classes, **arguments))
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(
        json.dumps(
            {
                "architecture": architecture,
                "num_classes": classes,
                "model_args": arguments,
                "pretrained_cfg": {**{k: known[k] for k in keep if k in known}, "num_classes": classes},
            }
        )
    )
    return network
