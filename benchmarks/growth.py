"""How cost grows with pixels, components, rows and images at a time, images and threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer

import vitgeom_nb as vg
from vitgeom_nb.jacobians.gram import spectrum
from vitgeom_nb.jacobians.rows import jacobian_rows

from .forward import raw
from .harness import Contender, contest
from .networks import IMAGENET, network

NETWORK = "transformers"  # but where a contender is named after another one
SIDES = (32, 64, 96, 128, 192)
WIDTHS = (96, 192, 384, 768)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
IMAGES = (1, 2, 4, 8)
AT_A_TIME = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def transformer(side: int, width: int, device: torch.device) -> vg.VisionModel:
    """The embedded vision transformer at another size or width, with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = VisionTransformer(img_size=side, patch_size=8, embed_dim=width, depth=4, num_heads=width // 32)
    return vg.wrap(net, size=side, name=f"{side} pixels, width {width}", device=device, **IMAGENET)


def image(side: int, count: int, device: torch.device) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)


def records(device: torch.device, repeats: int) -> list[dict[str, Any]]:
    """One record for each point of each curve."""
    out: list[dict[str, Any]] = []

    def point(axis: str, at: int, task: str, run: Callable[[], Any]) -> None:
        each = contest(
            "growth", NETWORK, [Contender(task, "ours", run)], device, repeats, memory=False, axis=axis, at=at
        )
        out.extend(each)

    for side in SIDES:
        model, x = transformer(side, 192, device), image(side, 1, device)[0]
        u = torch.eye(model.dim, device=device)[:32]
        J = torch.rand(192, 3 * side**2, device=device)
        point("pixels", 3 * side**2, "32 rows of J", lambda m=model, x=x, u=u: jacobian_rows(m, x, u))
        point("pixels", 3 * side**2, "spectrum of J", lambda J=J: spectrum(J))
    for width in WIDTHS:
        model, x = transformer(64, width, device), image(64, 1, device)
        J = torch.rand(width, 3 * 64**2, device=device)
        point("components", width, "all of J", lambda m=model, x=x: jacobian_rows(m, x[0]))
        point("components", width, "spectrum of J", lambda J=J: spectrum(J))
        top = lambda m=model, x=x: vg.leading_singular_values(m, x, k=20)  # noqa: E731
        point("components", width, "20 leading values", top)
    model, x = transformer(64, 192, device), image(64, 1, device)[0]
    for chunk in BATCHES:
        point("batch", chunk, "all of J", lambda c=chunk: jacobian_rows(model, x, chunk=c))
    for name in ("vit", "mobilenetv2"):
        whole = network(name, device)
        for batch in AT_A_TIME:
            task = f"256 embeddings of {vg.figures.style.look(name)[0]}"
            point("at a time", batch, task, lambda m=whole, b=batch: raw(m.embed, image(64, 1, device), 256, b))
    for count in IMAGES:
        some = image(64, count, device)
        point("images", count, "20 leading values", lambda s=some: vg.leading_singular_values(model, s, k=20))
        point("images", count, "spectrum of J", lambda s=some: vg.singular_spectrum(model, s))
    if device.type == "cpu":
        threads = torch.get_num_threads()
        for used in range(1, threads + 1):
            torch.set_num_threads(used)
            point("threads", used, "all of J", lambda: jacobian_rows(model, x))
        torch.set_num_threads(threads)
    return out
