"""A `VisionModel` from any module, and what the sources of networks share."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..core.arguments import checked
from ..core.batching import is_out_of_memory
from ..core.images import Size
from ..core.random_directions import generator
from ..errors import ArgumentError, ModelError
from .layers import EmbedFunction
from .vision_model import VisionModel

IMAGENET = 1000  # classes


@checked
def wrap(
    module: torch.nn.Module,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    size: Size,
    embed: EmbedFunction | None = None,
    logits: EmbedFunction | None = None,
    name: str | None = None,
    classes: Sequence[str] | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> VisionModel:
    """A `VisionModel` from any module. A copy of the module is kept; yours is left as it is.

    Parameters
    ----------
    module
        Takes normalised images `(B,3,H,W)`.
    mean, std
        Normalisation per channel, in units of [0,1] pixels.
    size
        `(height, width)` of the images; one number for square ones.
    embed, logits
        Functions `(module, normalised images) -> tensor`. Without `embed`, timm's
        `forward_head(forward_features(x), pre_logits=True)` is used where the module has it, else the module's
        own output. Without `logits`, the output of a timm module that has a classifier; else there are none.
    name, classes
        What figures call the model, and its classes.

    Warns
    -----
    UserWarning
        If, without `embed`, the module's output is probably its logits: its last layer is linear and as wide as there
        are classes, by `classes`, `logits`, the module's `num_classes`, or because they are ImageNet's 1000.

    Raises
    ------
    ModelError
        If the embedding is not a `(B, D)` tensor of floats, the logits are not one for each of `classes`, the module
        cannot be copied, or what it says of an image differs between two calls or with the rest of the batch. What
        the module itself raises keeps its type, with a note that says where.
    ArgumentError
        If `size` is no size, `mean` or `std` is not of three channels, `embed` or `logits` does not take two arguments,
        or there is no such device.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=4, name="linear").dim
    5
    """
    if not isinstance(module, torch.nn.Module):
        raise ModelError(f"wrap() takes a torch.nn.Module, not {type(module).__name__}.")
    is_timm = hasattr(module, "forward_features") and hasattr(module, "forward_head")
    for argument, function in (("embed", embed), ("logits", logits)):
        _check_function(argument, function)
    whole = embed is None and not is_timm
    if embed is None:
        embed = timm_embed if is_timm else call
    if logits is None and is_timm and getattr(module, "num_classes", 0) > 0:
        logits = call
    try:
        kept = copy.deepcopy(module)
    except Exception as error:  # whatever the module holds
        raise ModelError(
            f"wrap() keeps a copy of the module, and this one cannot be copied: {_reason(error)}; wrap a module that "
            "holds no open file, lock or tensor of a graph."
        ) from error
    model = VisionModel(
        kept,
        name=name or type(module).__name__,
        family="custom",
        size=size,
        mean=mean,
        std=std,
        embed=embed,
        logits=logits,
        classes=classes,
        device=device,
        dtype=dtype,
    )
    _check_answers(model)
    if whole:
        _warn_of_logits(model)
    return model


def _check_function(argument: str, function: Any) -> None:
    """Stop what cannot be called with a module and images; what a function does with them is its own affair."""
    if function is None:
        return
    called = function.forward if isinstance(function, torch.nn.Module) else function
    try:
        inspect.signature(called).bind(None, None)
        fits = not isinstance(function, type)
    except TypeError:
        fits = False
    except ValueError:  # of a builtin that does not say what it takes
        fits = not isinstance(function, type)
    if not fits:
        raise ArgumentError(
            f"wrap() takes a function of two arguments, the module and normalised images, as {argument}, not "
            f"{getattr(function, '__name__', type(function).__name__)}."
        )


def _warn_of_logits(model: VisionModel) -> None:
    """Warn where the output of a module, taken as the embedding, is probably its logits."""
    *_, last = model.module.modules()
    if not isinstance(last, torch.nn.Linear) or last.out_features != model.dim:
        return
    counts = {IMAGENET, getattr(model.module, "num_classes", 0), len(model.classes or [])}
    if model.has_logits:
        grey = torch.full((1, 3, *model.size), 0.5, device=model.device, dtype=model.dtype)
        with torch.no_grad():
            counts.add(model.logits(grey).shape[1])
    if model.dim in counts:
        warnings.warn(
            f"The embedding of {model.name} is probably its logits: the module ends in a linear layer as wide as there "
            f"are classes ({model.dim}), and its output is taken; pass embed=, a function of the module and images "
            "that gives what this layer reads, or embed=lambda module, x: module(x) to keep the output.",
            stacklevel=4,  # the caller of wrap(), which has a door
        )


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")


@torch.no_grad()
def _check_answers(model: VisionModel) -> None:
    """Stop a module that is no function of an image: each must get the same answer twice, and whoever is beside it."""
    draw = generator(0)
    images = torch.rand(3, 3, *model.size, generator=draw).to(model.device, model.dtype)
    maps = {"embedding": model.embed} | ({"logits": model.logits} if model.has_logits else {})
    for what, answer in maps.items():
        try:
            together, again, alone = answer(images), answer(images), torch.cat([answer(one[None]) for one in images])
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return  # three images at a time are too many here
        if not isinstance(together, torch.Tensor) or together.ndim != 2 or len(together) != 3:
            got = tuple(together.shape) if isinstance(together, torch.Tensor) else type(together).__name__
            raise ModelError(f"The {what} of {model.name} of three images must be a (3, D) tensor, not {got}.")
        if not together.is_floating_point():
            raise ModelError(f"The {what} of {model.name} must be floats, not {together.dtype}.")
        if what == "logits" and model.classes is not None and len(model.classes) != together.shape[1]:
            count = together.shape[1]
            raise ModelError(f"{model.name} has {count} logits and {len(model.classes)} classes; name each of them.")
        rounding = 30 * torch.finfo(together.dtype).eps ** 0.75 * together.abs().amax(1)
        for other, words in (
            (again, "differs between two calls; switch off what is random in it"),
            (
                alone,
                "depends on what else is in the batch; let it treat each image by itself, as normalisation with "
                "running statistics does",
            ),
        ):
            off = (together - other).abs().amax(1)
            if bool((off > rounding).any()):  # NaN is no difference
                raise ModelError(f"The {what} that {model.name} gives of an image {words}.")


def call(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The module's own output."""
    return module(x)


def timm_embed(module: Any, x: torch.Tensor) -> torch.Tensor:
    """What the classifier of a timm module reads."""
    return module.forward_head(module.forward_features(x), pre_logits=True)


class Cut(torch.nn.Module):
    """A network cut at its embedding: `body` gives it, and `heads` read it; none where the checkpoint has none."""

    def __init__(self, body: torch.nn.Module, heads: Mapping[str, torch.nn.Module], embed: EmbedFunction) -> None:
        super().__init__()
        self.body, self.heads, self._embed = body, torch.nn.ModuleDict(heads), embed

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """What the head reads: normalised images -> `(B,D)`."""
        return self._embed(self.body, x)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores, normalised images -> `(B,C)`."""
        if "distillation_classifier" not in self.heads:
            (head,) = self.heads.values()
            return head(self.embed(x))
        # a distilled transformer has two heads on two tokens and answers with their mean; it embeds as the first
        out = self.body(pixel_values=x)
        first, second = self.heads["cls_classifier"], self.heads["distillation_classifier"]
        return (first(out.cls_logits) + second(out.distillation_logits)) / 2
