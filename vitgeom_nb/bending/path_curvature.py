"""Exact curvature of the embedding's path along a straight line of images, from second derivatives."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
import xarray as xr

from ..core.arguments import checked
from ..core.batching import in_batches
from ..core.measurement import Stopwatch, Variable, measurement
from ..errors import ArgumentError, ModelError, keeping
from ..networks.differentiation import all_derivatives
from ..networks.vision_model import VisionModel
from .image_lines import Lines

APART = (1e-5, 1e-7, 1e-9, 1e-11)  # half the lengths of the finite differences that check second derivatives
SETTLED = 0.1  # a difference that a shorter one changes by less has no kink within
# Machine epsilons of the speed that rounding may put into a difference. Assumed, for there is no higher precision to
# measure float64 against; a hundred times what rounding makes of a pass through the shipped networks (8), and with half
# a length of 1e-5 still only 2e-8 of the speed.
FLOOR = 1e3
WRONG = 0.01  # no finite difference in float64 is off by as much


@checked
def curvature(
    model: VisionModel,
    images: Any,
    *,
    directions: int = 10,
    along: torch.Tensor | None = None,
    step: float = 0.001,
    seed: int = 0,
) -> xr.Dataset:
    r"""Exact curvature of the embedding's path, from second derivatives along the line.

    .. math:: z(s) = f(x + s\,d), \qquad T = z' / \|z'\|, \qquad
              \kappa = \frac{\|z'' - (z'' \cdot T)\,T\|}{\|z'\|^2}, \qquad
              \theta(h) \to \kappa\,\|z'\|\,h \quad (h \to 0)

    at s = 0, for random directions d of root-mean-square 1 per pixel. The limit is the direction change of a smooth
    network at a small step h. A ReLU network is linear between kinks: its second derivative, and so this curvature,
    is zero almost everywhere, while its direction change is not, for it comes from the kinks that a step crosses.

    Parameters
    ----------
    model
        What embeds.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns.
    directions
        How many random directions.
    along
        Directions of one's own instead, `(B,M,3,H,W)` or `(1,M,3,H,W)` to share them; scaled to root-mean-square 1.
    step
        h of the predicted direction change, root-mean-square per pixel.
    seed
        Seed of the random directions.

    Returns
    -------
    xarray.Dataset
        Over (image, direction): `curvature` in 1 / embedding, the inverse of the radius of the circle that fits best;
        `speed`, ||z'||, in embedding (per unit rms of the pixels); `turning_rate`, curvature times speed, in rad (per
        unit rms); `predicted_angle`, turning rate times h, in rad. NaN where the embedding stands still.
        The attribute `piecewise_linear` is 1 where all second derivatives vanish, else 0; `checked` says how well
        second derivatives of this network agree with a finite difference of first ones, in float64 on the first line.

    Raises
    ------
    ArgumentError
        If there are no directions or `step` is not positive.
    ModelError
        If the second derivatives that torch gives for this network are wrong.
    ImageError
        If the images are not what the model takes.
    Interrupted
        If someone stops it after the first lines; `finished` then has NaN for the others.

    References
    ----------
    [kim2024] measures direction change; this is its limit for small steps.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> model = vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=4, dtype=torch.float64)
    >>> float(vg.curvature(model, torch.full((1, 3, 4, 4), 0.5), directions=3)["curvature"].max())
    0.0
    """
    watch = Stopwatch()
    if not (np.isfinite(step) and step > 0):
        raise ArgumentError(f"step is {step}; it must be positive.")
    lines = Lines.make(model, images, directions, along, seed)
    model.embed_in_batches(lines.pixels)  # NaN is no embedding to differentiate, whatever its derivative
    agreement = _agreement(model, lines)

    def rows(image: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        first, second = line_derivatives(model, *lines.start(image, direction))
        for found in (first, second):
            model.finite(found, "derivative along a line", first=image)
        speed = first.norm(dim=1)
        tangent = first / speed[:, None]
        bend = second - (second * tangent).sum(1, keepdim=True) * tangent
        return torch.stack([speed, bend.norm(dim=1) / speed.square(), second.norm(dim=1)], dim=1)

    each = lines.each()
    found = torch.full((len(each[0]), 3), torch.nan, device=model.device, dtype=model.dtype)

    def result() -> xr.Dataset:
        speed, kappa, acceleration = found.unflatten(0, lines.shape).unbind(-1)
        dims, rate = ("image", "direction"), kappa * speed
        out = measurement(
            {
                "curvature": Variable(dims, kappa, "1 / embedding", "curvature of the embedding's path"),
                "speed": Variable(
                    dims, speed, "embedding / pixel", "speed of the embedding, per unit rms of the pixels"
                ),
                "turning_rate": Variable(
                    dims, rate, "rad / pixel", "turning of the embedding, per unit rms of the pixels"
                ),
                "predicted_angle": Variable(
                    dims, rate * step, "rad", f"predicted direction change at a step of {step:g}"
                ),
            },
            model=model,
            seed=seed,
            seconds=watch.seconds,
            directions=lines.shape[1],
            step=step,
        )
        # assumed: ten times what rounding makes of a pass, for a zero has no size of its own to be compared with
        still = acceleration <= 100 * torch.finfo(model.dtype).eps * speed
        out.attrs["piecewise_linear"] = int(still[~speed.isnan()].all())
        out.attrs["checked"] = agreement
        return out

    def done() -> int:
        return int((~found[:, 0].isnan()).sum())

    with keeping(result, done, len(found), "lines"):
        in_batches(rows, *each, size=model.batch_size, progress="curvature", out=found)
    return result()


def _agreement(model: VisionModel, lines: Lines) -> str:
    """One sentence: do second derivatives along the first line agree with a difference of first ones?

    Across a kink a difference is no derivative, and grows as it is taken closer. So the longest one counts that the
    next shorter one confirms.
    """
    exact, first = model.in_dtype(torch.float64), torch.zeros(1, dtype=torch.long, device=model.device)
    start, direction = (part.double() for part in lines.start(first, first))

    def difference(h: float) -> torch.Tensor:
        behind, ahead = (line_derivatives(exact, start + s * direction, direction)[0] for s in (-h, h))
        return (ahead - behind) / (2 * h)

    try:
        speed, second = line_derivatives(exact, start, direction)
        longer = difference(APART[0])
        for h, closer in itertools.pairwise(APART):
            shorter = difference(closer)
            # what rounding makes of a difference says nothing
            noise, finer = (FLOOR / apart * torch.finfo(torch.float64).eps * speed.norm() for apart in (h, closer))
            if (longer - shorter).norm() <= SETTLED * longer.norm() + finer:
                off = float((longer - second).norm() / (second.norm() + noise).clamp_min(1e-300))
                break
            longer = shorter
        else:
            return f"second derivatives are not checked: {model.name} has kinks wherever a difference was taken"
    except RuntimeError as error:
        if "dtype" not in str(error):
            raise
        return f"second derivatives are not checked: {model.name} does not compute in float64"
    if off > WRONG:
        raise ModelError(
            f"Second derivatives of {model.name} are off by {off:.0%}: one of its operations is not "
            "differentiated rightly by torch, so use direction_change, which takes differences."
        )
    return f"second derivatives agree with a finite difference to {off:.0e}"


@torch.no_grad()
def line_derivatives(
    model: VisionModel, start: torch.Tensor, direction: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """First and second derivative `(L,D)` of the embedding along lines `(L,3,H,W)`, forward over forward."""
    zero = torch.zeros(len(start), device=start.device, dtype=start.dtype)
    one = torch.ones_like(zero)

    def embed(s: torch.Tensor) -> torch.Tensor:
        return model.embed(start + s.view(-1, 1, 1, 1) * direction)

    def speed(s: torch.Tensor) -> torch.Tensor:
        return torch.func.jvp(embed, (s,), (one,))[1]

    with all_derivatives():
        first, second = torch.func.jvp(speed, (zero,), (one,))[:2]
    return first, second
