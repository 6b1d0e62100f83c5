"""Which part bends: the additivity residual and the bend of every component of a network, in place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import xarray as xr
from torch import nn

from ..core.arguments import checked
from ..core.measurement import Stopwatch, Variable, measurement
from ..core.progress import tqdm
from ..errors import ArgumentError, ModelError, keeping
from ..networks.vision_model import VisionModel
from .image_lines import Lines, turning_angle

KINDS = (
    "convolution",
    "linear",
    "average pooling",
    "max pooling",
    "normalisation",
    "activation",
    "softmax",
    "attention",
    "other",
)
_BY_TYPE: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("convolution", (nn.modules.conv._ConvNd,)),
    ("linear", (nn.Linear, nn.Bilinear)),
    (
        "normalisation",
        (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm),
    ),
)
_SILENT = (nn.Identity, nn.Dropout, nn.Flatten, nn.Unflatten, nn.modules.dropout._DropoutNd)


def kind_of(module: nn.Module) -> str | None:
    """Kind of component a module is: one of `KINDS`, or None for what is passed over.

    Attention counts as a whole and its parts beside it; everything else counts where it has no parts of its own.
    """
    name = type(module).__name__
    if name.lower().endswith("attention"):
        return "attention"
    if isinstance(module, _SILENT) or next(module.children(), None) is not None or name == "DropPath":
        return None
    for kind, types in _BY_TYPE:
        if isinstance(module, types):
            return kind
    if isinstance(module, nn.Softmax):
        return "softmax"
    if "activation" in type(module).__module__:
        return "activation"
    if "pool" in name.lower():
        return "max pooling" if "max" in name.lower() else "average pooling"
    return "other"


@checked
def additivity(
    model: VisionModel,
    images: Any,
    *,
    step: float = 0.001,
    directions: int = 1,
    along: torch.Tensor | None = None,
    seed: int = 0,
) -> xr.Dataset:
    r"""Additivity residual and bend of every component g, at the input X that it has inside the network.

    .. math:: r = \frac{\|g(X + P) - g(X) - g(P) + g(0)\|}{\|g(X + P) - g(X)\|}, \qquad
              \theta = \angle\bigl(g(X + P) - g(X),\ g(X) - g(X - P)\bigr)

    X is the component's input when the network sees x, and P the change of that input when it sees x + h d. An
    affine component (convolution, linear layer, batch norm, average pooling) has r = 0 and theta = 0 exactly. The
    residual of attention without softmax, A(X) = X W_q W_k^T X^T, is
    ||X W_q W_k^T P^T + P W_q W_k^T X^T|| over ||A(X + P) - A(X)||.
    The residual compares the response at X with the response at 0, however short the step: it stays where h goes
    to 0, and that of a layer norm grows like 1/h, for it makes any P as long as X. The bend asks what the published
    question is about: does the component's output turn when its own input moves straight?

    Only torch modules are seen: attention as a whole and its parts beside it, otherwise modules without parts of their
    own. A batch norm that timm fuses with its activation appears as that activation (the norm itself is affine).

    Parameters
    ----------
    model
        What embeds; the components on the way to its embedding are measured, in float64: the differences are
        small.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns.
    step
        h, root-mean-square per pixel.
    directions
        How many random directions.
    along
        Directions of one's own instead, `(B,M,3,H,W)` or `(1,M,3,H,W)` to share them; scaled to root-mean-square 1.
    seed
        Seed of the random directions.

    Returns
    -------
    xarray.Dataset
        `residual(image, direction, layer)` without unit and `bend(image, direction, layer)` in rad, layers in the
        order of their calls, with coordinates `kind(layer)` and `layer`, the module's name. NaN where the output of a
        component does not change.

    Raises
    ------
    ArgumentError
        If `step` is not positive or there are no directions.
    ImageError
        If the images are not what the model takes.
    ModelError
        If the embedding goes through no known component.
    Interrupted
        If someone stops it after the first lines; `finished` then has NaN for the others.

    References
    ----------
    [kim2024], the section on what in attention responds nonlinearly.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten())
    >>> model = vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=4)
    >>> parts = vg.additivity(model, torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)))
    >>> parts["kind"].values.tolist(), bool((parts["residual"].sel(layer="0") < 1e-9).all())
    (['convolution', 'activation'], True)
    """
    watch = Stopwatch()
    if not step > 0:
        raise ArgumentError(f"step is {step}; it must be positive.")
    exact = model.in_dtype(torch.float64)
    lines = Lines.make(exact, images, directions, along, seed)
    exact.embed_in_batches(lines.pixels)  # which must be finite: a derivative may be undefined, as where J v is 0
    images_, directions_ = lines.each()
    rows: list[torch.Tensor] = []
    calls: list[tuple[str, str]] = []

    def result() -> xr.Dataset:
        found = torch.full((math.prod(lines.shape), len(calls), 2), torch.nan, dtype=torch.float64)
        found[: len(rows)] = torch.stack(rows)
        residual, bend = found.unflatten(0, lines.shape).unbind(-1)
        dims = ("image", "direction", "layer")
        names, kinds = zip(*calls, strict=True)
        return measurement(
            {
                "residual": Variable(dims, residual, "1", "additivity residual"),
                "bend": Variable(dims, bend, "rad", "direction change of a component's output"),
            },
            coords={"layer": list(names), "kind": Variable(("layer",), list(kinds), "1", "kind of component")},
            model=exact,
            seed=seed,
            seconds=watch.seconds,
            step=step,
            directions=lines.shape[1],
        )

    with keeping(result, lambda: len(rows), math.prod(lines.shape), "lines"):
        # one line at a time: nothing need be known about where a component keeps its batch
        for i, j in tqdm(list(zip(images_, directions_, strict=True)), desc="additivity", leave=False):
            start, along = lines.start(i[None], j[None])
            calls, values = _responses(exact, start, start + step * along, int(i))
            if not calls:
                raise ModelError(f"{model.name} has no components to measure: its embedding calls no torch module.")
            rows.append(values)
    return result()


@torch.no_grad()
def _responses(
    model: VisionModel, start: torch.Tensor, moved: torch.Tensor, number: int = 0
) -> tuple[list[tuple[str, str]], torch.Tensor]:
    """(Name, kind) of every component called, in order, and its residual and bend `(layers,2)` from `start`.

    `number` is that of the image.
    """
    inputs: list[torch.Tensor] = []
    calls: list[tuple[str, str]] = []
    values: list[torch.Tensor] = []

    def remember(name: str, kind: str, part: nn.Module, args: tuple, kwargs: dict) -> None:
        inputs.append(_input(args, kwargs).clone())  # the component may work in place

    def measure(name: str, kind: str, part: nn.Module, args: tuple, kwargs: dict) -> None:
        again = sum(1 for other, _ in calls if other.split("#")[0] == name)
        calls.append((f"{name}#{again + 1}" if again else name, kind))
        values.append(_response(part, args, kwargs, inputs[len(values)]))

    for image, visit in ((start, remember), (moved, measure)):
        with _before_each(model.module, visit):
            model.finite(model.embed(image), "embedding", first=number)
    return calls, torch.stack(values) if values else torch.empty(0, 2)


@contextmanager
def _before_each(module: nn.Module, visit: Callable[..., None]) -> Iterator[None]:
    """Call `visit(name, kind, part, args, kwargs)` before every component that the network calls."""
    inside = False  # a visit may call the component, and with it its parts: those calls are not the network's

    def hook_for(name: str, kind: str) -> Callable[..., None]:
        def hook(part: nn.Module, args: tuple, kwargs: dict) -> None:
            nonlocal inside
            if not inside:
                inside = True
                try:
                    visit(name, kind, part, args, kwargs)
                finally:
                    inside = False

        return hook

    handles = [
        part.register_forward_pre_hook(hook_for(name or "network", kind), with_kwargs=True)
        for name, part in module.named_modules()
        if (kind := kind_of(part)) is not None
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _input(args: tuple, kwargs: dict) -> torch.Tensor:
    return next(value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor))


def _response(part: nn.Module, args: tuple, kwargs: dict, x: torch.Tensor) -> torch.Tensor:
    """Residual and bend of one component between its inputs X and X + P, the latter in `args` or `kwargs`."""
    moved = _input(args, kwargs)
    change = moved - x

    def g(value: torch.Tensor) -> torch.Tensor:
        # attention may get one tensor as query, key and value; and a component that works in place gets its own copy
        new = value.clone()
        out = part.forward(
            *(new if v is moved else v for v in args), **{k: new if v is moved else v for k, v in kwargs.items()}
        )
        return (out[0] if isinstance(out, (tuple, list)) else out).flatten()

    at_x = g(x)
    ahead, behind = g(moved) - at_x, at_x - g(x - change)
    residual = ahead - g(change) + g(torch.zeros_like(x))
    return torch.stack([residual.norm() / ahead.norm(), turning_angle(ahead, behind)]).cpu()
