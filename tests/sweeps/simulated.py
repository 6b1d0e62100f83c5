"""Networks, images and measures that a sweep takes by `file.py:name`, and that cost next to nothing."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import torch

import vitgeom_nb as vg

FILE = Path(__file__).resolve()
SIZE = 2


def here(name: str) -> str:
    """How a sweep names something of this file."""
    return f"{FILE}:{name}"


def _network(seed: int, name: str) -> vg.VisionModel:
    own = torch.Generator().manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 8), torch.nn.Tanh(), torch.nn.Linear(8, 5))
    for layer in (net[1], net[3]):
        layer.weight.data = torch.randn(layer.weight.shape, generator=own)
        layer.bias.data = torch.zeros_like(layer.bias)
    options = {"embed": lambda m, x: m[:3](x), "logits": lambda m, x: m(x), "size": SIZE, "name": name}
    return vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, **options)


def small() -> vg.VisionModel:
    return _network(0, "small")


def other() -> vg.VisionModel:
    return _network(1, "other")


def small_with_other_weights() -> vg.VisionModel:
    return _network(2, "small")


def headless() -> vg.VisionModel:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 4))
    net[1].weight.data, net[1].bias.data = torch.ones(4, 12), torch.zeros(4)
    return vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=SIZE, name="headless")


def sometimes() -> vg.VisionModel:
    """A network that loads only where a file says so."""
    if not os.environ.get("SIMULATED_LOADS"):
        raise RuntimeError("its file is not there")
    return _network(3, "sometimes")


class Numbered:
    """Images whose pixels, names and labels follow from their numbers: none of them is held."""

    source, licence, class_names = "simulated", "none", None

    def __init__(self, count: int) -> None:
        self.count = count
        self.names, self.labels = _Names(count), torch.arange(count) % 5 if count <= 10_000 else None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, chosen: list[int]) -> vg.Images:
        draws = [np.random.default_rng(i).random((3, SIZE, SIZE), dtype=np.float32) for i in chosen]
        labels = None if self.labels is None else self.labels[chosen]
        return vg.Images(torch.from_numpy(np.stack(draws)), [str(i) for i in chosen], "simulated", "none", labels)


class Flat(Numbered):
    """The same, of one shade: cheap where there are a million."""

    def __getitem__(self, chosen: list[int]) -> vg.Images:
        shade = torch.tensor(chosen, dtype=torch.float32).remainder(256) / 255
        pixels = shade.view(-1, 1, 1, 1).expand(-1, 3, SIZE, SIZE)
        return vg.Images(pixels, [str(i) for i in chosen], "simulated", "none")


class _Names:
    def __init__(self, count: int) -> None:
        self.count = count

    def __getitem__(self, i: int) -> str:
        return f"simulated {i}"


def images() -> Numbered:
    return Numbered(40)


def many() -> Numbered:
    return Numbered(400)


def numbers(found: vg.Images) -> list[int]:
    return [int(name) for name in found.names]


def told(model: object, found: vg.Images, *, seed: int = 0) -> dict[str, np.ndarray]:
    """A number that follows from seed and image, and how often each image was measured, where someone counts."""
    folder = os.environ.get("SIMULATED_COUNTS")
    if folder:
        for i in numbers(found):
            with (Path(folder) / str(i)).open("a") as file:
                file.write(f"{os.getpid()}\n")
    time.sleep(float(os.environ.get("SIMULATED_SECONDS", "0")))
    of = [int(hashlib.sha256(f"{seed}:{i}".encode()).hexdigest()[:8], 16) for i in numbers(found)]
    return {"told": np.array(of), "twice": np.stack([of, of], axis=1) * 2.0}


def trouble(name: str, found: vg.Images) -> bool:
    """Whether an environment variable names one of these images."""
    return str(os.environ.get(name, "none")) in found.names


def troubled(model: object, found: vg.Images) -> dict[str, np.ndarray]:
    """What goes wrong at the image that the environment names: a NaN, an exception, death, or all of the memory."""
    if trouble("SIMULATED_DIES", found):
        os.kill(os.getpid(), 9)
    if trouble("SIMULATED_RAISES", found):
        raise ValueError("of no good")
    if trouble("SIMULATED_EATS", found):
        eaten = []
        while True:
            eaten.append(np.ones(2_000_000))
            time.sleep(0.005)
    return told(model, found)


def troubled_spectrum(model: vg.VisionModel, found: vg.Images) -> object:
    """A measurement that raises at the image that the environment names."""
    if trouble("SIMULATED_RAISES", found):
        raise ValueError("of no good")
    return vg.singular_spectrum(model, found)


def flat_1000() -> Flat:
    return Flat(1_000)


def flat_20000() -> Flat:
    return Flat(20_000)


def flat_1000000() -> Flat:
    return Flat(1_000_000)


@vg.measure(together=2_000, block=2_000)
def shade(model: object, found: vg.Images) -> dict[str, np.ndarray]:
    """The shade of each image, many at a time."""
    return {"shade": found.pixels[:, 0, 0, 0].numpy()}
