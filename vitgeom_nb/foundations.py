"""A network small enough to know by hand, on which every method of this package can be seen to agree.

It reads two numbers off a picture, its mean red r and its mean green g, and folds them:

    f(r, g) = ( 2 (r - 1/2)+ + (1/2 - r)+ ,  3 (g - 1/2)+ )

Four linear regions meet at r = 1/2 and g = 1/2. Blue and texture are invisible everywhere, green is invisible below
1/2, and two values of red on either side of the fold share one embedding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr

from .core.measurement import Stopwatch, Variable, measurement
from .jacobians.rows import jacobian
from .networks.vision_model import VisionModel
from .networks.wrapping import wrap

SIZE = 4
SLOPES = {"red above": 2.0, "red below": -1.0, "green above": 3.0, "green below": 0.0}
GAIN, THRESHOLD = 4.0, 0.5


class Fold(torch.nn.Module):
    """f as three ReLU units between two linear maps of the mean colours, and a linear classifier of f."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(3, 3)
        self.out = torch.nn.Linear(3, 2, bias=False)
        self.head = torch.nn.Linear(2, 2)
        with torch.no_grad():
            self.hidden.weight.copy_(torch.tensor([[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0]]))
            self.hidden.bias.copy_(torch.tensor([-0.5, 0.5, -0.5]))
            self.out.weight.copy_(torch.tensor([[2.0, 1.0, 0], [0, 0, 3.0]]))
            self.head.weight.copy_(torch.tensor([[GAIN, GAIN], [0, 0]]))
            self.head.bias.copy_(torch.tensor([-GAIN * THRESHOLD, 0]))

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """`(B,3,4,4)` -> `(B,2)`."""
        return self.out(self.hidden(x.mean((2, 3))).relu())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(B,3,4,4)` -> class scores `(B,2)`: class 0 is f_1 + f_2 > 1/2."""
        return self.head(self.embed(x))


def folded_model(dtype: torch.dtype = torch.float64) -> VisionModel:
    """The network of this module, with embedding dimension 2 and two classes, on 4 x 4 pictures.

    Examples
    --------
    >>> from vitgeom_nb import foundations
    >>> model = foundations.folded_model()
    >>> model.embed(foundations.colours(0.75, 0.75)).tolist()
    [[0.5, 0.75]]
    """
    return wrap(
        Fold(),
        mean=[0.0] * 3,
        std=[1.0] * 3,
        size=SIZE,
        embed=lambda m, x: m.embed(x),
        logits=lambda m, x: m(x),
        name="fold",
        classes=["bright", "dark"],
        dtype=dtype,
    )


def sum_model(threshold: float = 0.0) -> VisionModel:
    r"""Two classes of 2 x 2 pictures that the sum of their twelve values tells apart: the example of many docstrings.

    .. math:: f(x) = z(x) = \pm \Bigl( \sum_i x_i - \text{threshold} \Bigr)

    Along the sign of a gradient all pixels move alike, so the boundary is where their mean is threshold / 12.

    Examples
    --------
    >>> import torch
    >>> from vitgeom_nb import foundations
    >>> foundations.sum_model(2.0).logits(torch.full((1, 3, 2, 2), 0.25)).tolist()
    [[1.0, -1.0]]
    """
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    net[1].weight.data = torch.stack([torch.ones(12), -torch.ones(12)])
    net[1].bias.data = torch.tensor([-threshold, threshold])
    return wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=2, embed=lambda m, x: m(x), logits=lambda m, x: m(x))


def colours(red: Any, green: Any, blue: Any = 0.5) -> torch.Tensor:
    """Pictures `(B,3,4,4)` of one colour each, from numbers or arrays in [0,1] that broadcast to `(B,)`."""
    channels = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(c, dtype=np.float64)).ravel() for c in (red, green, blue))
    )
    return torch.from_numpy(np.stack(channels, axis=1))[:, :, None, None].repeat(1, 1, SIZE, SIZE)


def by_hand(red: Any, green: Any) -> xr.Dataset:
    """What pencil and paper give at mean colours `red` and `green`, both `(B,)` and away from 1/2.

    Returns
    -------
    xarray.Dataset
        `embedding(image, component)`, `slope(image, component)` (df_1/dr and df_2/dg), `singular_value(image, rank)`:
        a mean over 16 pixels turns a slope `a` into a singular value `|a| / 4`; `stable_rank(image)`,
        `distance(image)`, the Euclidean norm of the smallest change of the picture that reaches another region,
        and `label(image)`.

    Examples
    --------
    >>> from vitgeom_nb import foundations
    >>> foundations.by_hand([0.75], [0.25]).singular_value.values
    array([[0.5, 0. ]])
    """
    r, g = np.broadcast_arrays(np.atleast_1d(red), np.atleast_1d(green))
    slope = np.stack(
        [
            np.where(r > 0.5, SLOPES["red above"], SLOPES["red below"]),
            np.where(g > 0.5, SLOPES["green above"], SLOPES["green below"]),
        ],
        axis=1,
    )
    f = slope * (np.stack([r, g], axis=1) - 0.5)
    s = np.sort(np.abs(slope), axis=1)[:, ::-1] / SIZE
    wall = SIZE * np.minimum(np.abs(r - 0.5), np.abs(g - 0.5))
    unit = "embedding / pixel"
    return measurement(
        {
            "embedding": Variable(("image", "component"), f, "embedding", "embedding"),
            "slope": Variable(("image", "component"), slope, "embedding / pixel", "slope in mean red and mean green"),
            "singular_value": Variable(("image", "rank"), s, unit, "singular value of the Jacobian"),
            "stable_rank": Variable(("image",), (s**2).sum(1) / s[:, 0] ** 2, "1", "stable rank"),
            "distance": Variable(("image",), wall, "pixel", "distance to the nearest wall of the linear region"),
            "label": Variable(("image",), (f.sum(1) <= THRESHOLD).astype(int), "1", "class"),
        },
        coords={"rank": [1, 2]},
    )


def plane(model: VisionModel, points: int = 32) -> xr.Dataset:
    """A model seen over the plane of one-coloured pictures, mean red against mean green.

    Parameters
    ----------
    model
        Any model with logits; the pictures have its size, and blue 1/2.
    points
        Pictures along each axis, at the middles of equal cells, so that an even number avoids the walls at 1/2.

    Returns
    -------
    xarray.Dataset
        `embedding(green, red, component)`; `gradient(green, red, component, channel)`, the change of the embedding
        per unit of a mean colour, which is J summed over the pixels of a channel; `margin(green, red)`, by how much
        the first logit exceeds the second.
    """
    watch = Stopwatch()
    axis = (np.arange(points) + 0.5) / points
    green, red = np.meshgrid(axis, axis, indexing="ij")
    images = colours(red, green)[:, :, :1, :1].repeat(1, 1, *model.size).to(model.device, model.dtype)
    rows = torch.from_numpy(jacobian(model, images)["jacobian"].sum(("y", "x")).values)
    grid, names = (points, points), ("green", "red")
    f, logits = model.embed_in_batches(images), model.logits_in_batches(images)
    return measurement(
        {
            "embedding": Variable((*names, "component"), f.unflatten(0, grid), "embedding", "embedding"),
            "gradient": Variable(
                (*names, "component", "channel"),
                rows.unflatten(0, grid),
                "embedding / pixel",
                "gradient in mean colour",
            ),
            "margin": Variable(
                names, (logits[:, 0] - logits[:, 1]).unflatten(0, grid), "1", "logit of class 0 over class 1"
            ),
        },
        coords={
            "green": Variable(("green",), axis, "pixel", "mean green"),
            "red": Variable(("red",), axis, "pixel", "mean red"),
            "channel": ["red", "green", "blue"],
        },
        model=model,
        seconds=watch.seconds,
        points=points,
    )
