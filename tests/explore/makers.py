"""Every explorer, on networks of 2 x 2 and 4 x 4 images that measure in no time."""

from __future__ import annotations

from collections.abc import Callable

import torch

import vitgeom_nb as vg
from tests.conftest import wrap_raw
from tests.equivalence.test_matching import Counting
from tests.tiny_networks import crossing_images, random_network
from vitgeom_nb.explore import Explorer


class Headed(Counting):
    """A smooth network whose first three components serve as logits."""


def smooth(name: str = "smooth", kink: bool = False) -> vg.VisionModel:
    return wrap_raw(Headed(kink), 4, name=name, dtype=torch.float64, logits=lambda m, x: m(x)[:, :3])


def images(count: int, seed: int = 5) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return 0.2 + 0.6 * torch.rand(count, 3, 4, 4, generator=draw, dtype=torch.float64)


def homotopy(live: bool = True) -> Explorer:
    models = [smooth("one"), smooth("two", kink=True)]
    a, b = images(2).split(1)
    paths = [vg.homotopy(m, a, b, steps=4, max_evaluations=60) for m in models]
    return vg.explore.homotopy(paths, models if live else None)


def fibre_walk(live: bool = True) -> Explorer:
    model = smooth()
    a, b = images(2).split(1)
    return vg.explore.fibre_walk(vg.fibre_walk(model, a, b, steps=4), model if live else None)


def singular_steps(live: bool = True) -> Explorer:
    model = smooth()
    steps = vg.singular_steps(model, images(1), ranks=(1, 3), radii=(0.01, 0.1, 1.0))
    return vg.explore.singular_steps(steps, model if live else None)


def lldlc(live: bool = True) -> Explorer:
    models, x = [smooth("one"), smooth("two", kink=True)], images(2)
    found = [vg.lldlc(m, x, kinds=("random", "top"), radii=(0.01, 0.1, 1.0), directions=4) for m in models]
    return vg.explore.lldlc(found, models, x) if live else vg.explore.lldlc(found)


def step_law(live: bool = True) -> Explorer:
    models, x = [smooth("one"), smooth("two", kink=True)], images(2)
    laws = [vg.step_law(m, x, directions=2) for m in models]
    return vg.explore.step_law(laws, models, x) if live else vg.explore.step_law(laws)


def trajectory(live: bool = True) -> Explorer:
    model = smooth()
    moved = vg.trajectory(model, images(1), shape="line", epsilon=0.1, points=9)
    return vg.explore.trajectory(moved, model if live else None)


def predictions() -> dict[str, vg.Predictions]:
    draw = torch.Generator().manual_seed(2)
    found = {}
    for name in ("vit", "resnet"):
        logits = 3 * torch.randn(400, 5, generator=draw)
        found[name] = vg.Predictions(logits, (logits + 3 * torch.randn(400, 5, generator=draw)).argmax(1), "drawn")
    return found


def reliability(live: bool = True) -> Explorer:
    return vg.explore.reliability(predictions())


def fgsm_path(live: bool = True) -> Explorer:
    model = random_network()
    x, labels = crossing_images(model, 1)
    path = vg.fgsm_path(model, x, labels, lengths=(0.0, 0.05, 0.1, 0.2), epsilon_max=1.0)
    return vg.explore.fgsm_path(path, model if live else None)


MAKERS: dict[str, Callable[..., Explorer]] = {
    make.__name__: make
    for make in (homotopy, fibre_walk, singular_steps, lldlc, step_law, trajectory, reliability, fgsm_path)
}
