"""Travel distance, beside a dense scan, captum's search for the smallest perturbation, and as many forward passes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

import vitgeom_nb as vg

from .forward import raw
from .harness import Contender
from .networks import SMALL, pictures

END, TOLERANCE = 0.1, 1e-4
AT_A_TIME = 16  # of the points that captum evaluates, for one image


def networks(size: str) -> tuple[str, ...]:
    """Trained networks: the boundary of random weights, and how many steps lead there, mean nothing."""
    return {"small": SMALL, "large": (), "all": SMALL}[size]


def settings(model: vg.VisionModel) -> dict[str, Any]:
    about = {"epsilon_max": END, "tolerance": TOLERANCE, "per_evaluation": AT_A_TIME}
    return {"images": 40, "batch": model.batch_size} | about


@torch.no_grad()
def dense_scan(model: vg.VisionModel, x: torch.Tensor, y: torch.Tensor) -> tuple[np.ndarray, int]:
    """First wrong multiple of the tolerance for every image (NaN if none), and the forward passes it took."""
    direction, y = vg.fgsm_direction(model, x, y), y.to(x.device)
    epsilon, taken = np.full(len(x), np.nan), len(x)
    right = torch.arange(len(x), device=x.device)
    for k in range(1, round(END / TOLERANCE) + 1):
        wrong = model.logits(x[right] + k * TOLERANCE * direction[right]).argmax(1) != y[right]
        taken += len(right)
        epsilon[right[wrong].cpu()] = k * TOLERANCE
        right = right[~wrong]
        if not len(right):
            break
    return epsilon, taken


class Counted:
    """Logits of a model, and how many images it was asked about."""

    def __init__(self, model: vg.VisionModel) -> None:
        self.model, self.taken = model, 0

    @torch.no_grad()
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.taken += len(x)
        return self.model.logits(x)


def by_captum(model: vg.VisionModel, x: torch.Tensor, y: torch.Tensor, mode: str) -> tuple[np.ndarray, int]:
    """The same by captum, image by image."""
    from captum.robust import MinParamPerturbation

    def attack(image: torch.Tensor, epsilon: float, direction: torch.Tensor) -> torch.Tensor:
        return image + epsilon * direction

    directions, forward, found = vg.fgsm_direction(model, x, y), Counted(model), []
    search = MinParamPerturbation(forward, attack, "epsilon", TOLERANCE, END + TOLERANCE / 2, TOLERANCE, mode)
    for image, label, direction in zip(x.split(1), y.tolist(), directions.split(1), strict=True):
        least = search.evaluate(
            image, target=label, perturbations_per_eval=AT_A_TIME, attack_kwargs={"direction": direction}
        )[1]
        found.append(np.nan if least is None else least)
    return np.array(found), len(x) + forward.taken


def contenders(model: vg.VisionModel) -> list[Contender]:
    about = settings(model)
    x, batch = pictures(model, about["images"] // 2), about["batch"]
    x = torch.cat([x, x.flip(-1)])  # pictures and their mirror images
    y = model.labels(x)

    def ours() -> tuple[np.ndarray, int]:
        way = vg.travel_distance(model, x, y, epsilon_max=END, tolerance=TOLERANCE, resamples=1)
        return way.epsilon.values, int(way.evaluations.sum())

    truth, passes = cache(lambda: dense_scan(model, x, y)[0]), ours()[1]

    def describe(out: tuple[np.ndarray, int]) -> dict[str, float]:
        """How many forward passes, and the share of images for which the dense scan says the same to the tolerance."""
        epsilon, taken = out
        same = np.isclose(epsilon, truth(), rtol=0, atol=TOLERANCE + 1e-7, equal_nan=True)
        return {"evaluations": float(taken), "converged": float(same.mean())}

    captum = {mode: (lambda mode=mode: by_captum(model, x, y, mode)) for mode in ("linear", "binary")}
    return [
        Contender("travel_distance", "ours", ours, describe),
        Contender("dense scan, all images in step", "peer", lambda: dense_scan(model, x, y), describe),
        *(Contender(f"captum, {mode} search", "peer", run, describe) for mode, run in captum.items()),
        Contender("as many forward passes", "floor", lambda: raw(model.logits, x[:1], passes, batch)),
    ]
