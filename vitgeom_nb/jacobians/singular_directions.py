"""Steps along single singular directions: what the Jacobian promises of each, and what the embedding does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import xarray as xr

from ..core.arguments import checked
from ..core.measurement import Stopwatch, Variable, measurement
from ..core.progress import tqdm
from ..core.random_directions import random_directions
from ..errors import ArgumentError, keeping
from ..networks.rounding import rounding_of_change
from ..networks.vision_model import VisionModel
from .gram import right_vectors, spectrum
from .rows import jacobian_rows
from .step_response import check_radii, embedding_steps, null_and_normal, radius_coords

RANKS = (1, 2, 3, 5, 10, 20, 50, 100)
STEPS = tuple(10 ** (k / 4) for k in range(-8, 7))  # Euclidean norms 0.01 to 32, four to a decade
NULL = 0  # the rank that stands for a null direction


@checked
def singular_steps(
    model: VisionModel,
    images: Any,
    *,
    ranks: Sequence[int] = RANKS,
    radii: Sequence[float] = STEPS,
    seed: int = 0,
) -> xr.Dataset:
    r"""Walk from an image along right singular vectors of its Jacobian, and along a null direction.

    .. math:: c_i(r) = \lVert f(x + r v_i) - f(x) \rVert, \qquad J v_i = s_i u_i, \qquad c_i(r) / r \to s_i

    Parameters
    ----------
    model, images
        The network, and `(B,3,H,W)` in [0,1] or what `samples()` returns. Steps are not clamped to [0,1].
    ranks
        Which singular vectors, 1 the one of the largest value, increasing. One null direction is always added.
    radii
        Euclidean norms of the steps, in units of pixel value, increasing.
    seed
        Of the random direction whose null part is the null direction.

    Returns
    -------
    xarray.Dataset
        Over `rank`, where 0 stands for the null direction: `vector(image, rank, channel, y, x)` of norm 1,
        `singular_value(image, rank)`, 0 for the null direction, `change(image, rank, radius)`;
        `pixels(image, channel, y, x)`, the images; `rounding(image)`, the measured rounding error of a change.

    Raises
    ------
    ArgumentError
        If a rank is not one that the Jacobian has or lies in its null space, or the radii have no meaning.
    ImageError
        If the images are not what the model takes.
    Interrupted
        If someone stops it after the first image; `finished` then has the images that are done.

    Notes
    -----
    [salman2024], steps along singular directions.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> model = vg.wrap(net, mean=[0] * 3, std=[1] * 3, size=4, dtype=torch.float64)
    >>> steps = vg.singular_steps(model, torch.rand(1, 3, 4, 4), ranks=(1, 5), radii=(0.1, 1.0))
    >>> bool(abs(steps.change - steps.singular_value * steps.radius).max() < 1e-9)
    True
    """
    pixels, watch = model.pixels(images), Stopwatch()
    r, wanted = check_radii(radii), list(ranks)
    if not wanted or sorted(set(wanted)) != wanted or wanted[0] < 1:
        raise ArgumentError(f"ranks is {tuple(wanted)}; name increasing ranks from 1 up.")
    floor = rounding_of_change(model, pixels)
    vectors: list[torch.Tensor] = []
    values: list[torch.Tensor] = []
    changes: list[torch.Tensor] = []

    def result() -> xr.Dataset:
        whole = len(changes)
        over, picture = ("image", "rank"), ("channel", "y", "x")
        return measurement(
            {
                "vector": Variable(
                    (*over, *picture), torch.stack(vectors[:whole]), "1", "direction of the step, of norm 1"
                ),
                "singular_value": Variable(over, torch.stack(values[:whole]), "embedding / pixel", "singular value"),
                "change": Variable((*over, "radius"), torch.stack(changes), "embedding", "change of the embedding"),
                "pixels": Variable(("image", *picture), pixels[:whole], "pixel", "the image, pixels in [0, 1]"),
                "rounding": Variable(("image",), floor[:whole], "embedding", "rounding error of a change"),
            },
            coords={
                "rank": Variable(("rank",), [NULL, *wanted], "1", "rank of the singular value, 0 for a null direction"),
                **radius_coords(r, pixels[0].numel()),
            },
            model=model,
            seed=seed,
            seconds=watch.seconds,
            pixels=pixels[0].numel(),
        )

    with keeping(result, lambda: len(changes), len(pixels), "images"):
        for i, x in enumerate(tqdm(pixels, desc="singular steps", leave=False)):
            J = jacobian_rows(model, x, of=f"image {i}")
            parts = spectrum(J)
            if wanted[-1] > parts.rank:
                raise ArgumentError(
                    f"Rank {wanted[-1]} of {model.name} is null at this image; ask for ranks up to {parts.rank}."
                )
            chosen, drawn = [rank - 1 for rank in wanted], random_directions(x[None], 1, seed)[0].flatten(1)
            v = torch.cat(
                [null_and_normal(J, drawn, parts)[0], right_vectors(J, parts, wanted[-1])[chosen].to(x.dtype)]
            )
            vectors.append(v.view(-1, *x.shape))
            values.append(torch.cat([parts.values.new_zeros(1), parts.values[chosen]]))
            changes.append(embedding_steps(model, x, v, r, f"image {i}").norm(dim=-1))
    return result()
