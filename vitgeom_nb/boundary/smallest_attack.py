"""The smallest change that several attacks find: how far an image is from another label in any direction they know."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import xarray as xr

from ..core.arguments import checked
from ..core.batching import in_batches
from ..core.measurement import Stopwatch, Variable, measurement
from ..errors import ArgumentError, keeping
from ..networks.vision_model import VisionModel
from .label_search import ALREADY_WRONG, CROSSED, NEVER_WRONG, NOT_FINISHED, Search, outcome_names
from .travel import Way

ATTACKS = ("fgsm line", "pgd", "deepfool")
CANDIDATES = 10  # classes that DeepFool tries to reach
Attack = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Images and labels -> changed images."""


class _Logits(torch.nn.Module):
    """A model's logits as foolbox wants them: a module of pixels in [0, 1]."""

    def __init__(self, model: VisionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model.logits(pixels)


@checked
def smallest_attack(
    model: VisionModel,
    images: Any,
    labels: Any = None,
    *,
    epsilon_max: float = 0.1,
    steps: int = 20,
    grid: int = 12,
    tolerance: float = 1e-4,
) -> xr.Dataset:
    r"""The smallest change, in the maximum norm, at which each of three attacks finds another label.

    .. math:: \epsilon = \min \{ \|x' - x\|_\infty : x' \in [0,1]^{3HW},\ \arg\max_j z_j(x') \ne y \}

    over the images x' that an attack tries: the line along the sign of the gradient at x, as `travel_distance` walks
    it, clamped; projected gradient descent [madry2018], started at x, at `grid` sizes; and DeepFool
    [moosavi2016], which steps to the nearest boundary of the linearised network. The last two are foolbox's. Nothing is
    random. Each is an upper bound of the true distance, and so is their minimum, a closer one.

    Parameters
    ----------
    model
        A model with a classifier head.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns.
    labels
        The classes to leave, `(B,)`. Without them, the labels that `images` carry.
    epsilon_max
        Largest change of a pixel that counts.
    steps
        Of projected gradient descent at each size, and of DeepFool at most.
    grid
        Sizes of projected gradient descent, geometric from `epsilon_max / 100` to `epsilon_max`.
    tolerance
        Width of the last bracket on the line.

    Returns
    -------
    xarray.Dataset
        `epsilon(image, attack)` in pixel values for the attacks `"fgsm line"`, `"pgd"`, `"deepfool"`, NaN unless
        crossed; `outcome(image, attack)`: `"crossed"`, `"already wrong"` or `"never wrong"` (up to `epsilon_max`);
        `smallest(image)`, the least of them; `label(image)`.

    Raises
    ------
    ImageError, LabelError, ModelError
        If the images are not what the model takes, labels are missing or not classes, or there is no head.
    ArgumentError
        If a size is not positive.
    Interrupted
        If someone stops it after the first attack; `finished` then has those that are done.

    References
    ----------
    [madry2018], [moosavi2016], [rauber2020].

    Examples
    --------
    A linear classifier, where the line is the shortest way out and the others find no shorter one:

    >>> import torch, vitgeom_nb as vg
    >>> from vitgeom_nb.foundations import sum_model
    >>> model = sum_model(12.0)
    >>> found = vg.smallest_attack(model, torch.full((1, 3, 2, 2), 0.95), torch.tensor([1]))
    >>> [round(float(e), 3) for e in found.epsilon.sel(attack=["fgsm line", "deepfool"])[0]]
    [0.05, 0.05]
    """
    watch = Stopwatch()
    if grid < 2 or steps < 1:
        raise ArgumentError(f"grid is {grid} and steps {steps}; ask for at least two sizes and one step.")
    search = Search.make(epsilon_max, 100, tolerance, True)
    if epsilon_max > (largest := torch.finfo(model.dtype).max):
        raise ArgumentError(f"epsilon_max is {epsilon_max:g}; {model.name} computes with numbers up to {largest:g}.")
    pixels, labels = model.pixels_and_labels(images, labels)
    found: list[torch.Tensor] = []
    right = model.logits_in_batches(pixels).argmax(1).cpu() == labels
    sizes = np.geomspace(epsilon_max / 100, epsilon_max, grid).tolist()

    def result() -> xr.Dataset:
        epsilon = torch.stack(found, 1)
        outcome = torch.where(epsilon.isnan(), NEVER_WRONG, CROSSED).where(right[:, None], ALREADY_WRONG)
        least = epsilon.nan_to_num(torch.inf).amin(1)
        return measurement(
            {
                "epsilon": Variable(["image", "attack"], epsilon, "pixel", "smallest change that the attack found"),
                "outcome": Variable(["image", "attack"], outcome_names(outcome), "1", "outcome of the attack"),
                "smallest": Variable(
                    ["image"],
                    torch.where(least.isfinite(), least, torch.nan),
                    "pixel",
                    "smallest change of all",
                ),
                "label": Variable(["image"], labels, "1", "class to leave"),
            },
            coords={"attack": list(ATTACKS)[: len(found)]},
            model=model,
            seconds=watch.seconds,
            epsilon_max=epsilon_max,
            steps=steps,
            grid=grid,
            tolerance=tolerance,
            images=len(pixels),
        )

    with keeping(result, lambda: len(found), len(ATTACKS), "attacks"):
        line = Way.begin(pixels)
        line.go(model, labels, search, "FGSM line")
        travelled = line.travel.on_host()
        assert not (travelled.outcome == NOT_FINISHED).any()
        found.append(travelled.epsilon)
        for attack in (_descent, _deepfool):
            found.append(_sizes(model, pixels, labels, right, attack, sizes, steps, epsilon_max))
    return result()


def _sizes(
    model: VisionModel,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    right: torch.Tensor,
    attack: Any,
    sizes: list[float],
    steps: int,
    most: float,
) -> torch.Tensor:
    """Smallest change `(B,)` in the maximum norm that an attack finds for images that start right, NaN for others."""
    out = torch.full((len(pixels),), torch.nan, dtype=torch.float64)
    which = right.nonzero()[:, 0]
    if not len(which) or model.logits_in_batches(pixels[:1]).shape[1] < 2:  # of one class there is no other
        return out
    with warnings.catch_warnings():  # foolbox imports what SciPy deprecates
        warnings.simplefilter("ignore", DeprecationWarning)
        import foolbox
    net = foolbox.PyTorchModel(_Logits(model).eval(), bounds=(0, 1), device=model.device)

    def found(x: torch.Tensor, y: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        least = torch.full((len(x),), torch.nan, dtype=torch.float64, device=x.device)
        for tried in attack(foolbox.attacks, net, sizes, steps):
            left = least.isnan().nonzero()[:, 0]  # from small sizes to large ones: who is over needs no larger one
            if not len(left):
                break
            there = tried(x[left], y[left])
            change = (there - x[left]).flatten(1).abs().amax(1).double()
            logits = model.finite(model.logits(there), "logits", "an attack on image", image[left])
            over = (logits.argmax(1) != y[left]) & (change <= most * (1 + 1e-6))
            least[left] = torch.where(over, change, torch.nan)
        return least.cpu()

    on = which.to(pixels.device)
    out[which] = in_batches(found, pixels[on], labels.to(pixels.device)[on], on, size=model.batch_size)
    return out


def _descent(attacks: Any, net: Any, sizes: list[float], steps: int) -> list[Attack]:
    attack = attacks.LinfPGD(steps=steps, random_start=False, rel_stepsize=2.5 / steps)
    return [functools.partial(_run, attack, net, size) for size in sizes]


def _deepfool(attacks: Any, net: Any, sizes: list[float], steps: int) -> list[Attack]:
    def run(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        candidates = min(CANDIDATES, net(x[:1]).shape[1])
        return attacks.LinfDeepFoolAttack(steps=steps, candidates=candidates).run(net, x, y)

    return [run]


def _run(attack: Any, net: Any, size: float, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return attack.run(net, x, y, epsilon=size)
