"""What a match that did not arrive has left, and how much of it the network responds to."""

from __future__ import annotations

import torch
import xarray as xr

from ..core.arguments import checked
from ..core.measurement import Stopwatch, Variable, measurement
from ..core.progress import tqdm
from ..errors import ArgumentError, keeping
from ..jacobians.gram import spectrum
from ..jacobians.rows import jacobian_rows
from ..networks.vision_model import VisionModel


@checked(matches=("matched", "target_embedding", "matched_embedding"))
def match_remainder(model: VisionModel, matches: xr.Dataset) -> xr.Dataset:
    r"""How much of the distance that a match has left the network responds to, where the match ended.

    .. math:: t - f(x) = \sum_i g_i u_i, \qquad
              q = \frac{\sum_{i \le r/2} g_i^2}{\sum_i g_i^2}, \qquad
              \|J^+ (t - f(x))\|^2 = \sum_{i \le r} \frac{g_i^2}{s_i^2}

    with the singular values s and left singular vectors u of J, of rank r: the Jacobian at the match x with columns of
    zeros for pixels that are held, at 0 or 1 where the loss would fall further outside. At a minimum of the loss in the
    box that is no match, `J^T (t - f(x))` is zero: nothing is left along what the free pixels can do.

    Parameters
    ----------
    model
        The network of the matches.
    matches
        What `match` returned.

    Returns
    -------
    xarray.Dataset
        Over `pair`: `strong_share`, q, the part of the squared distance left that lies along the stronger half of the
        singular directions, NaN where nothing is left; `least_norm`, the Euclidean norm of the change of free pixels
        that would close the distance to first order as far as they can, beside `change_norm` of the match; `rank`;
        `held`, the share of the pixel values that are held.

    Raises
    ------
    ArgumentError
        If the matches are not of this network.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> model = vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=4, name="linear")
    >>> source, target = torch.rand(2, 1, 3, 4, 4)
    >>> left = vg.match_remainder(model, vg.match(model, source, target, max_evaluations=1))
    >>> int(left["rank"][0])
    5
    """
    watch = Stopwatch()
    if [matches.attrs.get(key) for key in ("weights", "layer", "read")] != [model.digest, model.layer, model.read]:
        raise ArgumentError(f"These matches were not made with the weights of {model.name}; pass their own network.")
    x = torch.from_numpy(matches.matched.values).to(model.device, model.dtype)
    t, f = (matches[f"{kind}_embedding"].values for kind in ("target", "matched"))
    rows: list[tuple[float, float, int, float]] = []

    def result() -> xr.Dataset:
        share, norm, rank, at_bounds = (torch.tensor(column) for column in zip(*rows, strict=True))
        variables = {
            "strong_share": Variable(["pair"], share, "1", "share along the stronger singular directions"),
            "least_norm": Variable(["pair"], norm, "pixel", "norm of the change that is left to first order"),
            "rank": Variable(["pair"], rank, "1", "rank of the Jacobian of free pixels at the match"),
            "held": Variable(["pair"], at_bounds, "1", "share of pixel values held at 0 or 1"),
        }
        return measurement(variables, model=model, seconds=watch.seconds)

    bar = tqdm(x, desc="what matches have left", leave=False)
    with keeping(result, lambda: len(rows), len(x), "pairs"):
        for image, gap in zip(bar, torch.from_numpy(t - f), strict=True):
            J = jacobian_rows(model, image, of=f"the match of pair {len(rows)}")
            slope, flat = gap.to(J) @ J, image.flatten()  # a pixel follows its slope, unless the box is in its way
            held = ((flat <= 0) & (slope < 0)) | ((flat >= 1) & (slope > 0))
            parts = spectrum(J.mul_(~held))
            along = (parts.left.T @ gap.to(parts.left)).square()
            half = along[: parts.rank // 2].sum() / gap.double().square().sum()
            step = (along[: parts.rank] / parts.values[: parts.rank].square()).sum().sqrt()
            rows.append((float(half), float(step), parts.rank, float(held.double().mean())))
    return result()
