"""Networks and images of a report that cost next to nothing, and whose numbers are known."""

from __future__ import annotations

from pathlib import Path

import torch
from bs4 import BeautifulSoup, Tag

import vitgeom_nb as vg
from tests.tiny_networks import N, call, linear, pixels, random_network  # a report reads this as a file

FILE = Path(__file__).resolve()
VALUES = (4.0, 2.0, 1.0)  # singular values of the linear map
HOSTILE = "</script><img src=x onerror=alert(1)>\"'&$x_1$"


def here(name: str) -> str:
    """How a report names something of this file."""
    return f"{FILE}:{name}"


def known() -> vg.VisionModel:
    """A linear map of 12 pixel values to three, with these singular values: rotated, so that no axis knows them."""
    draw = torch.Generator().manual_seed(0)
    left = torch.linalg.qr(torch.randn(3, 3, generator=draw, dtype=torch.float64)).Q
    right = torch.linalg.qr(torch.randn(N, N, generator=draw, dtype=torch.float64)).Q[:3]
    return linear(left @ torch.diag(torch.tensor(VALUES, dtype=torch.float64)) @ right)


def curved() -> vg.VisionModel:
    """A smooth network with a head of five classes, and more components than pixel values."""
    return random_network(dtype=torch.float32)


def photos(count: int = 8, labels: bool = True, names: list[str] | None = None) -> vg.Images:
    """Images of five classes that the networks may or may not know."""
    classes = torch.arange(count) % 5 if labels else None
    return vg.Images(pixels(count).float(), [f"image {i}" for i in range(count)], "drawn", "none", classes, names)


def headless() -> vg.VisionModel:
    """A network of twelve pixel values that gives no labels."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(N, 4), torch.nn.Tanh())
    net[1].weight.data = torch.randn(4, N, generator=torch.Generator().manual_seed(0))
    net[1].bias.data = torch.zeros(4)
    return vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=2, name="headless")


class _Blind(torch.autograd.Function):
    """A layer whose derivative nobody wrote."""

    @staticmethod
    def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
        return x.tanh()

    @staticmethod
    def backward(ctx: object, *_: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("the derivative of this layer is not written")


class _Blinded(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _Blind.apply(x)


def blind() -> vg.VisionModel:
    """A network with a layer that has no gradient."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(N, 5), _Blinded())
    net[1].weight.data = torch.randn(5, N, generator=torch.Generator().manual_seed(0))
    net[1].bias.data = torch.zeros(5)
    options = {"embed": call, "logits": call}
    return vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=2, name="blind", **options)  # type: ignore[arg-type]


def hostile() -> vg.VisionModel:
    """A network whose name and classes are markup."""
    net = curved().module
    options = {"embed": lambda m, x: m[:3](x), "logits": call, "classes": [f"{HOSTILE}{i}" for i in range(5)]}
    return vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=2, name=HOSTILE, **options)  # type: ignore[arg-type]


def page(path: Path) -> BeautifulSoup:
    """The page of a report."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def part(found: BeautifulSoup, name: str) -> Tag:
    """A section of it by its name."""
    section = found.find("section", id=name)
    assert isinstance(section, Tag), f"there is no section {name}"
    return section


def left_out(found: BeautifulSoup) -> dict[str, str]:
    """What the page says it left out -> why."""
    if found.find("section", id="left-out") is None:
        return {}
    rows = part(found, "left-out").select("li")
    return {row.strong.text: row.text.removeprefix(row.strong.text).removeprefix(": ") for row in rows if row.strong}
