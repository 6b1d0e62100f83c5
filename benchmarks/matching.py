"""Changing images until they embed like others: every method from the same pairs to the same goal."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
import xarray as xr

import vitgeom_nb as vg

from .harness import Contender, inherited
from .networks import SMALL, pictures

LARGE = ("ViT-B/16", "ResNet-50")
COSINE = 0.999
RATES = {"adam": (0.005, 0.01, 0.02, 0.03), "gradient-descent": (0.5, 1.0, 2.0, 4.0)}
TRIAL = 150  # evaluations a rate is judged by


def networks(size: str) -> tuple[str, ...]:
    """Two networks at 224."""
    return {"small": SMALL, "large": LARGE, "all": SMALL + LARGE}[size]


def is_large(model: vg.VisionModel) -> bool:
    return model.size[0] > 200


def settings(model: vg.VisionModel) -> dict[str, Any]:
    """Random weights, as at 224, say nothing of how many evaluations a method needs, so all make as few there."""
    pairs, cap = (1, 20) if is_large(model) else (4, 300)
    return {"pairs": pairs, "cosine": COSINE, "max_evaluations": cap}


def pairs(model: vg.VisionModel) -> tuple[torch.Tensor, torch.Tensor]:
    count = settings(model)["pairs"]
    x = pictures(model, max(2, count))
    return x[:count], x.roll(-1, 0)[:count]


def match(model: vg.VisionModel, method: str, lr: float | None = None, cap: int | None = None) -> xr.Dataset:
    """Until the cosine is met, for the residual decides nothing; at 224 to the last evaluation, for it is never met."""
    cap, residual = cap or settings(model)["max_evaluations"], 1e-9 if is_large(model) else 10.0
    return vg.match(model, *pairs(model), method=method, cosine=COSINE, residual=residual, max_evaluations=cap, lr=lr)


@cache
def inverse_curvature(model: vg.VisionModel) -> float:
    """The unit of the rates of gradient descent: ||f - t||^2 / ||J^T (f - t)||^2 at the sources, median over pairs."""
    source, target = pairs(model)
    with torch.no_grad():
        t = model.embed(target)
    x = source.clone().requires_grad_()
    error = model.embed(x) - t
    (gradient,) = torch.autograd.grad(error.square().sum() / 2, x)
    return float((error.detach().square().sum(1) / gradient.flatten(1).square().sum(1)).median())


@cache
def best_rate(model: vg.VisionModel, method: str) -> float | None:
    """The rate by which most pairs meet the goal, after the fewest evaluations, and of those with the least loss left.

    At 224 the published default takes the place of a search.
    """
    if is_large(model):
        return 0.01 if method == "adam" else None

    def find() -> str:
        unit = 1.0 if method == "adam" else inverse_curvature(model)
        tried = {rate * unit: match(model, method, rate * unit, TRIAL) for rate in RATES[method]}
        return repr(min(tried, key=lambda rate: _rank(tried[rate])))

    return float(inherited(f"RATE_{method}_{model.name}", find))


def _rank(found: xr.Dataset) -> tuple[float, ...]:
    return -float(found.converged.sum()), float(found.evaluations.median()), float(found.residual.median())


def described(found: xr.Dataset) -> dict[str, float]:
    """Medians over pairs; PSNR and residual over those that met the goal, if any did."""
    arrived = found.isel(pair=np.flatnonzero(found.converged)) if found.converged.any() else found
    return {
        "evaluations": float(found.evaluations.median()),
        "converged": float(found.converged.mean()),
        "psnr": float(arrived.psnr.median()),
        "residual": float(arrived.residual.median()),
    }


def contenders(model: vg.VisionModel) -> list[Contender]:
    spent: list[int] = []

    def ours() -> xr.Dataset:
        return match(model, "minimum-change")

    def describe_ours(found: xr.Dataset) -> dict[str, float]:
        spent[:] = found.evaluations.values.tolist()
        if is_large(model):
            return described(found)
        cap = settings(model)["max_evaluations"]
        tight = vg.match(model, *pairs(model), cosine=COSINE, residual=1e-4, max_evaluations=cap)
        reached = tight.evaluations[tight.converged]
        out = described(found) | {"tight_converged": float(tight.converged.mean())}
        return out | ({"tight_evaluations": float(reached.median())} if reached.size else {})

    def tuned(method: str) -> Contender:
        def run() -> xr.Dataset:
            return match(model, method, best_rate(model, method))

        def describe(found: xr.Dataset) -> dict[str, float]:
            rate = best_rate(model, method)
            return described(found) | ({} if rate is None else {"rate": rate})

        return Contender("Adam" if method == "adam" else "gradient descent", "peer", run, describe)

    def floor() -> None:
        source, target = pairs(model)
        with torch.no_grad():
            t = model.embed(target)
        for step in range(max(spent, default=1)):
            left = sum(count > step for count in spent) or len(source)
            x = source[:left].clone().requires_grad_()
            torch.autograd.grad((model.embed(x) - t[:left]).square().sum() / 2, x)

    return [
        Contender("minimum change", "ours", ours, describe_ours),
        tuned("adam"),
        tuned("gradient-descent"),
        Contender("floor", "floor", floor),
    ]
