"""The embedded architectures, built by timm's own constructors for 64 x 64 pixels and 200 classes.

`dynamic=True` gives the same network ready for inputs of other sizes, and `drop_path` is the rate of stochastic depth;
both are for training.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from timm.models.convnext import ConvNeXt
from timm.models.efficientnet import mobilenetv2_100
from timm.models.resnet import BasicBlock, ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer

from . import MEAN as MEAN
from . import STD as STD
from . import architecture

SIZE = 64
CLASSES = 200


def vit(dynamic: bool = False, drop_path: float = 0.0) -> torch.nn.Module:
    """Vision transformer: 64 patches of 8 x 8, class token, GELU, 4 blocks of width 192."""
    return VisionTransformer(
        img_size=SIZE,
        patch_size=8,
        num_classes=CLASSES,
        embed_dim=192,
        depth=4,
        num_heads=3,
        dynamic_img_size=dynamic,
        drop_path_rate=drop_path,
    )


def swin(dynamic: bool = False, drop_path: float = 0.0) -> torch.nn.Module:
    """Shifted-window transformer: patches of 4 x 4, windows of 4 x 4, three stages, GELU."""
    return SwinTransformer(
        img_size=SIZE,
        patch_size=4,
        window_size=4,
        num_classes=CLASSES,
        embed_dim=48,
        depths=(2, 2, 4),
        num_heads=(2, 4, 8),
        strict_img_size=not dynamic,
        drop_path_rate=drop_path,
    )


def resnet(dynamic: bool = False, drop_path: float = 0.0) -> torch.nn.Module:
    """ResNet-18 at half width: BasicBlock, ReLU, 32 to 256 channels."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes=CLASSES, channels=(32, 64, 128, 256), drop_path_rate=drop_path)


def mobilenetv2(dynamic: bool = False, drop_path: float = 0.0) -> torch.nn.Module:
    """MobileNetV2 at full width, its third stage without stride: inverted residuals, depthwise convolutions, ReLU6."""
    module = mobilenetv2_100(num_classes=CLASSES, drop_path_rate=drop_path)
    # at 64 pixels the published strides leave 2 x 2 places for the deepest layers, and these 4 x 4
    module.blocks[2][0].conv_dw.stride = (1, 1)
    return module


def convnext(dynamic: bool = False, drop_path: float = 0.0) -> torch.nn.Module:
    """ConvNeXt: patches of 2 x 2, depthwise 7 x 7 convolutions, LayerNorm, GELU, four stages of 32 to 256 channels."""
    return ConvNeXt(
        num_classes=CLASSES, patch_size=2, depths=(2, 2, 4, 2), dims=(32, 64, 128, 256), drop_path_rate=drop_path
    )


ARCHITECTURES: dict[str, Callable[..., torch.nn.Module]] = {
    "vit": vit,
    "swin": swin,
    "resnet": resnet,
    "mobilenetv2": mobilenetv2,
    "convnext": convnext,
}


def untrained(name: str, seed: int, drop_path: float = 0.0) -> torch.nn.Module:
    """A network as its training begins, ready for inputs of other sizes; the global generator is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ARCHITECTURES[architecture(name)](dynamic=True, drop_path=drop_path)
