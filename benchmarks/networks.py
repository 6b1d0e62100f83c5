"""The networks that are timed: four embedded ones, and four published architectures at 224 with random weights."""

from __future__ import annotations

from functools import cache

import torch

import vitgeom_nb as vg

SMALL = ("vit", "swin", "resnet", "mobilenetv2")
LARGE = ("ViT-B/16", "Swin-T", "ResNet-50", "CLIP ViT-B/32")
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
TIMM = {
    "ViT-B/16": "vit_base_patch16_224",
    "ViT-Ti/16": "vit_tiny_patch16_224",
    "Swin-T": "swin_tiny_patch4_window7_224",
    "ResNet-50": "resnet50",
}


def of_size(size: str) -> tuple[str, ...]:
    """Names of the networks of a size: `"small"`, `"large"` or `"all"`."""
    return {"small": SMALL, "large": LARGE, "all": SMALL + LARGE}[size]


@cache
def network(name: str, device: torch.device) -> vg.VisionModel:
    """A network by name; weights at 224 are random from seed 0, for speed does not depend on them."""
    if name in SMALL:
        return vg.load(name, device=device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if name in TIMM:
            import timm

            return vg.wrap(timm.create_model(TIMM[name]), size=224, name=name, device=device, **IMAGENET)
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        config = CLIPVisionConfig(patch_size=32, hidden_size=768, intermediate_size=3072, num_attention_heads=12)
        config.num_hidden_layers = 12
        clip = CLIPVisionModelWithProjection(config)

    def embed(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        return module(pixel_values=x).image_embeds

    return vg.wrap(clip, size=224, name=name, embed=embed, device=device, **IMAGENET)


def pictures(model: vg.VisionModel, count: int) -> torch.Tensor:
    """Photographs at the size of the network, `(count,3,H,W)` on its device."""
    return model.pixels(vg.samples("imagenet", count, size=model.size))
