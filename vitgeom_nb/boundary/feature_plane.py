"""Both ways to the decision boundary, in the plane of feature space that holds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import xarray as xr

from ..bending.image_lines import embeddings_along
from ..core.arguments import checked
from ..core.measurement import Stopwatch, Variable, measurement
from ..errors import ArgumentError, ModelError, keeping
from ..networks import layers
from ..networks.vision_model import VisionModel
from .jumped_travel import PATHS, both_ways, ended, go_both, jump_noise
from .label_search import CROSSED, OUTCOMES, Search

LEGS = ("direct", "jump", "jumped")
CORNERS = ("image", "crossing", "crossing after the jump")
HEAD_TOLERANCE = 1e-3  # relative; a head that is not the model's own is off by more
EMBEDDING = "embedding"
FLAT = 1e-6  # of the first axis; below it three points lie on one line

# variable -> dimensions, units, long name
_WORDS: dict[str, tuple[list[str], str, str]] = {
    "position": (["image", "leg", "point", "axis"], EMBEDDING, "position in the plane"),
    "off_plane": (["image", "leg", "point"], EMBEDDING, "distance to the plane"),
    "off_plane_share": (["image", "leg"], "1", "largest distance to the plane, relative to the way"),
    "margin_on_path": (["image", "leg", "point"], "1", "margin of the label on the way"),
    "corner_position": (["image", "corner", "axis"], EMBEDDING, "point that spans the plane"),
    "margin": (["image", "row", "column"], "1", "margin of the label in the plane"),
    "horizontal": (["image", "column"], EMBEDDING, "from the image toward the first crossing"),
    "vertical": (["image", "row"], EMBEDDING, "at a right angle, toward the second crossing"),
}

Head = Callable[[torch.Tensor], torch.Tensor]


class Plane(NamedTuple):
    """A plane in feature space: a point `(D,)` and two orthonormal axes `(2,D)`."""

    origin: torch.Tensor
    axes: torch.Tensor

    @classmethod
    def through(cls, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> Plane:
        """The plane through three points; the first axis leads from a to b, c lies on the side of the second."""
        first = (b - a) / (b - a).norm()
        rest = (c - a) - ((c - a) @ first) * first
        if not float(rest.norm()) > FLAT * float((b - a).norm()):
            raise ArgumentError("The image and the two crossings embed on one line, which no single plane holds.")
        return cls(a, torch.stack([first, rest / rest.norm()]))

    def coordinates(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Coordinates `(...,2)` of the orthogonal projections of `(...,D)`, and the distances `(...)` to the plane."""
        shift = z - self.origin
        inside = shift @ self.axes.T
        return inside, (shift - inside @ self.axes).norm(dim=-1)

    def points(self, inside: torch.Tensor) -> torch.Tensor:
        """Embeddings `(...,D)` at coordinates `(...,2)`."""
        return self.origin + inside @ self.axes


def classifier_head(model: VisionModel, pixels: torch.Tensor, head: Head | None = None) -> Head:
    """The map from embedding to logits: `head`, or the classifier of a timm module; checked against the logits.

    Raises
    ------
    ModelError
        If there is no such map, or the logits of the images are not those of their embeddings.
    """
    if head is None:
        if model.layer != layers.EMBEDDING:
            raise ModelError(f"The classifier does not read what {model.name} gives; pass head=, which does.")
        find = getattr(model.module, "get_classifier", None)
        if find is None:
            raise ModelError(f"The head of {model.name} is unknown; pass head=, the map from embedding to logits.")
        head = find()
    with torch.no_grad():
        logits, z = model.logits_in_batches(pixels[:1]), model.embed_in_batches(pixels[:1])
        try:
            ours = head(z)
        except Exception as error:  # whatever the reader's function raises
            raise ModelError(f"head cannot take an embedding {tuple(z.shape)} of {model.name}: {error!r}.") from error
    if (
        not isinstance(ours, torch.Tensor)
        or ours.shape != logits.shape
        or not float((ours - logits).norm()) <= HEAD_TOLERANCE * float(logits.norm())
    ):
        raise ModelError(f"The head of {model.name} does not turn its embedding into its logits; pass head= that does.")
    return head


def _margin(head: Head, z: torch.Tensor, label: int, dtype: torch.dtype) -> torch.Tensor:
    """Logit of the label minus the largest other, `(...)`, at embeddings `(...,D)`."""
    with torch.no_grad():
        logits = head(z.flatten(0, -2).to(dtype)).double()
    others = logits.clone()
    others[:, label] = -torch.inf
    return (logits[:, label] - others.amax(1)).unflatten(0, z.shape[:-1])


def _window(drawn: torch.Tensor, resolution: int) -> torch.Tensor:
    """Coordinates `(2,resolution)` along the axes of the square around points `(N,2)`, with room at the edges."""
    low, high = drawn.amin(0), drawn.amax(0)
    half = 0.6 * float((high - low).max())
    return (low + high)[:, None] / 2 + half * torch.linspace(-1, 1, resolution).to(drawn)


def _refuse_uncrossed(outcomes: dict[str, torch.Tensor]) -> None:
    for path, outcome in outcomes.items():
        for image, kind in enumerate(outcome.tolist()):
            if kind != CROSSED:
                raise ArgumentError(
                    f"Image {image} is {OUTCOMES[kind]} on the {path} path; choose images that cross on both, "
                    "as random_jump(...).outcome tells, or a larger epsilon_max."
                )


@checked
def path_plane(
    model: VisionModel,
    images: Any,
    labels: Any = None,
    *,
    jump: float = 0.05,
    seed: int = 0,
    head: Head | None = None,
    points: int = 61,
    beyond: float = 1.25,
    resolution: int = 61,
    epsilon_max: float = 0.1,
    grid: int = 100,
    tolerance: float = 1e-4,
) -> xr.Dataset:
    r"""The ways of `random_jump` as the embedding sees them, in one plane, with the decision boundary in it.

    The plane of an image goes through three embeddings: f(x), that of the first crossing f(x + epsilon d), and that
    of the crossing after the jump f(x_r + epsilon_r d_r). It is drawn to scale: orthonormal axes, the first from
    f(x) to the first crossing. Embeddings on the way are projected onto it orthogonally, and how far off it they lie
    is reported. The margin is the classifier head applied to points of the plane,

    .. math:: m(z) = h(z)_y - \max_{j \ne y} h(z)_j,

    and its zero set is the decision boundary in the plane, exact there; the margin of a point off the plane may
    differ from that of its projection. Images are not clamped.

    Parameters
    ----------
    model
        A model with a classifier head.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns: images that cross on both ways, as `random_jump` tells.
    labels
        The classes to leave, `(B,)`. Without them, the labels that `images` carry.
    jump, seed
        As for `random_jump`, which jumps the same way.
    head
        The map from embedding `(N,D)` to logits `(N,C)`; that of a timm module is found.
    points, beyond
        Points on every leg of the way, and how far past the crossing to follow it, in multiples of epsilon.
    resolution
        Points of the plane along each axis.
    epsilon_max, grid, tolerance
        As for `travel_distance`.

    Returns
    -------
    xarray.Dataset
        `position(image, leg, point, axis)` for the legs `"direct"` (from the image), `"jump"` and `"jumped"` (from
        where the jump ends), and `off_plane(image, leg, point)`, in embedding units; `off_plane_share(image, leg)`,
        the largest distance to the plane on a leg over the largest distance from f(x); the coordinate
        `fraction(leg, point)` of the way to the crossing; `corner_position(image, corner, axis)`, the three points
        of the plane; `margin(image, row, column)` at `horizontal(image, column)` and `vertical(image, row)`, and
        `margin_on_path(image, leg, point)` where the embeddings really are; `epsilon(image, path)`.

    Raises
    ------
    ArgumentError
        If an image does not cross on both ways, or a size has no meaning.
    ModelError
        If the head is unknown or is not the model's.
    Interrupted
        If someone stops it once an outcome is known; `finished` then has NaN for what was not measured.

    References
    ----------
    [kim2024], figure of the paths in feature space.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    >>> parts = {"embed": lambda m, x: m[:3](x), "logits": lambda m, x: m(x)}
    >>> model = vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=2, **parts)
    >>> images = torch.full((1, 3, 2, 2), 0.5)
    >>> plane = vg.path_plane(model, images, model.labels(images), head=model.module[3], epsilon_max=1.0)
    >>> [float(c) for c in plane.corner_position[0, 0]]
    [0.0, 0.0]
    """
    clock = Stopwatch()
    if points < 2 or resolution < 2 or not beyond >= 1:
        raise ArgumentError("path_plane needs points and resolution of at least 2, and beyond >= 1.")
    search = Search.make(epsilon_max, grid, tolerance, False)
    pixels, labels = model.pixels_and_labels(images, labels)
    head = classifier_head(model, pixels, head)
    noise = jump_noise(pixels, seed)
    ways = both_ways(pixels, search, jump, seed)
    steps = torch.linspace(0, 1, points, dtype=torch.float64)
    size, legs = len(pixels), len(LEGS)
    shapes = {
        "position": (size, legs, points, 2),
        "off_plane": (size, legs, points),
        "off_plane_share": (size, legs),
        "margin_on_path": (size, legs, points),
        "corner_position": (size, len(CORNERS), 2),
        "margin": (size, resolution, resolution),
        "horizontal": (size, resolution),
        "vertical": (size, resolution),
    }
    found = {name: torch.full(shape, torch.nan, dtype=torch.float64) for name, shape in shapes.items()}

    def result() -> xr.Dataset:
        epsilon = torch.stack([way.travel.on_host().epsilon for way in ways], 1)
        variables = {name: Variable(dims, found[name], units, text) for name, (dims, units, text) in _WORDS.items()}
        variables["epsilon"] = Variable(["image", "path"], epsilon, "pixel", "travel distance")
        variables["label"] = Variable(["image"], labels, "1", "class to leave")
        fractions = torch.stack([steps * s for s in (beyond, 1, beyond)])
        coords = {
            "leg": Variable(["leg"], list(LEGS), "1", "part of the way"),
            "path": Variable(["path"], list(PATHS), "1", "where the way starts"),
            "corner": Variable(["corner"], list(CORNERS), "1", "what spans the plane"),
            "fraction": Variable(["leg", "point"], fractions, "1", "fraction"),
        }
        settings = {"jump": jump, "points": points, "beyond": beyond, "resolution": resolution, "tolerance": tolerance}
        return measurement(variables, coords=coords, model=model, seed=seed, seconds=clock.seconds, **settings)

    with keeping(result, lambda: ended(ways), len(pixels), "images"):
        go_both(ways, model, labels, search)
        first, second = (way.travel.on_host() for way in ways)
        _refuse_uncrossed(dict(zip(PATHS, (first.outcome, second.outcome), strict=True)))
        (_, direct, _), (landed, jumped, _) = ways
        ends = [way.end(search.clamp) for way in ways]
        for i, label in enumerate(labels.tolist()):
            lengths = (float(first.epsilon[i]) * beyond, jump, float(second.epsilon[i]) * beyond)
            lines = ((pixels[i], direct[i]), (pixels[i], noise[i]), (landed[i], jumped[i]))
            z = torch.stack(
                [
                    embeddings_along(model, start[None], direction[None], steps * length, i)[0].double()
                    for (start, direction), length in zip(lines, lengths, strict=True)
                ]
            )
            corners = torch.stack([pixels[i], *(end[i] for end in ends)])
            corners = model.embed_in_batches(corners, f"a corner of the plane of image {i}", None).double()
            seen = _seen_in_plane(Plane.through(*corners), corners, z, label, head, model.dtype, resolution)
            for name, values in seen.items():
                found[name][i] = values.cpu()
    return result()


def _seen_in_plane(
    plane: Plane, corners: torch.Tensor, z: torch.Tensor, label: int, head: Head, dtype: torch.dtype, resolution: int
) -> dict[str, torch.Tensor]:
    """What one image contributes: corners `(3,D)` and legs `z` `(3,P,D)` in the plane, and margins there."""
    position, off_plane = plane.coordinates(z)
    corner, _ = plane.coordinates(corners)
    horizontal, vertical = _window(torch.cat([position.flatten(0, 1), corner]), resolution)
    inside = torch.stack(torch.meshgrid(horizontal, vertical, indexing="xy"), -1)
    return {
        "position": position,
        "off_plane": off_plane,
        "off_plane_share": off_plane.amax(1) / (z - plane.origin).norm(dim=-1).amax(1),
        "margin_on_path": _margin(head, z, label, dtype),
        "corner_position": corner,
        "margin": _margin(head, plane.points(inside), label, dtype),
        "horizontal": horizontal,
        "vertical": vertical,
    }
