"""Temperature scaling: the one number by which to divide all logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr
from scipy.optimize import brentq

from ..core.arguments import checked
from ..core.measurement import Stopwatch, Variable, measurement
from ..errors import ArgumentError
from ..networks.vision_model import VisionModel
from .logits import labelled_logits
from .predictions import Predictions


@checked
def temperature(
    model: VisionModel | Predictions | None = None,
    images: Any = None,
    labels: Any = None,
    *,
    logits: torch.Tensor | Any = None,
) -> xr.Dataset:
    r"""The temperature that calibrates: the T > 0 with the smallest mean negative log-likelihood.

    .. math:: T = \arg\min_T \tfrac{1}{N} \sum_i -\log \mathrm{softmax}(z_i / T)_{y_i}

    In 1/T the likelihood is convex: T is where its derivative, mean(E_softmax[z] - z_y), is zero [guo2017].
    Fit it on one half of the images and judge it on the other, with the argument `temperature` of `reliability`.

    Parameters
    ----------
    model
        A `VisionModel`, which then needs `images`, or what `predict` or `recorded_predictions` returns.
    images
        `(N,3,H,W)` in [0,1], or what `samples()` or `labelled()` returns; only with a `VisionModel`.
    labels
        The right classes, `(N,)`. Without them, those that the images or the predictions carry.
    logits
        `(N,C)`, in place of a model, with `labels`.

    Returns
    -------
    xarray.Dataset
        `temperature` (infinite where even the uniform distribution is likelier than any finite T), and the mean
        negative log-likelihood in nats at T = 1, `nll`, and at this temperature, `nll_scaled`.

    Raises
    ------
    ArgumentError
        If there is not exactly one of a model, predictions and logits, if logits have NaN or the wrong shape, or if
        every label is the largest logit: T would then go to 0.
    ImageError, LabelError, ModelError
        If the images are not what the model takes, labels are missing, of the wrong length or not classes, or the model
        has no classifier head.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> logits = torch.tensor([[2.0, 0.0]]).repeat(4, 1)
    >>> fit = vg.temperature(logits=logits, labels=torch.tensor([0, 0, 0, 1]))  # sigmoid(2/T) = 3/4
    >>> round(float(fit.temperature), 4)
    1.8205
    """
    clock = Stopwatch()
    seen = labelled_logits(model, images, labels, logits)
    z = seen.logits
    right = z.gather(1, seen.labels[:, None])[:, 0]
    if bool((right == z.amax(1)).all()):
        raise ArgumentError("Every label has the largest logit, so no temperature above 0 is best; use more images.")

    def slope(beta: float) -> float:
        return float((((beta * z).softmax(1) * z).sum(1) - right).mean())

    def nll(beta: float) -> float:
        return float((torch.logsumexp(beta * z, 1) - beta * right).mean())

    best, high = 0.0, 1.0  # of 1/T; at 0 the distribution is uniform
    if slope(0.0) < 0:
        while slope(high) < 0:
            high *= 2
        best = brentq(slope, 0.0, high, xtol=1e-300, rtol=4 * np.finfo(float).eps)
    return measurement(
        {
            "temperature": Variable([], 1 / best if best else float("inf"), "1", "temperature"),
            "nll": Variable([], nll(1.0), "1", "mean negative log-likelihood in nats"),
            "nll_scaled": Variable([], nll(best), "1", "mean negative log-likelihood in nats at this temperature"),
        },
        model=seen.model,
        seconds=clock.seconds,
        images=len(z),
        skipped=seen.skipped,
    )
