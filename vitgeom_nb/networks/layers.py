"""The layers at which a network can be read, and how what a layer gives becomes a vector."""

from __future__ import annotations

import difflib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import torch
from torch import nn

from ..errors import ModelError

EmbedFunction = Callable[[nn.Module, torch.Tensor], torch.Tensor]

EMBEDDING = "embedding"
CLASS_TOKENS = ("cls_token", "class_token", "class_embedding")
OTHER_TOKENS = ("dist_token", "distillation_token", "reg_token", "register_tokens")
LISTS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_REGISTERING = threading.Lock()


class _Reached(BaseException):
    """Ends a forward pass at the layer that is read; no Exception, for a network may catch those."""


class Reading(NamedTuple):
    """A layer and how it is read: the way, its leading tokens that are no patches, whether its channels come last."""

    layer: str = EMBEDDING
    read: str = "all"
    prefix: int = 0
    channels_last: bool = False

    def embed(self, function: EmbedFunction, module: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """Normalised images `(B,3,H,W)` -> `(B,D)`. The pass ends at the layer, before what it gave can be changed."""
        if self.layer == EMBEDDING:
            return function(module, x)
        given: list[torch.Tensor | None] = []

        def reached(_: str, output: Any) -> None:
            given.append(_tensor(output))
            raise _Reached

        with _after_each({self.layer: module.get_submodule(self.layer)}, reached), suppress(_Reached):
            function(module, x)
        if not given or given[0] is None:
            raise ModelError(f"The network does not come to {self.layer} with these images; read another layer.")
        return self._vector(given[0])

    def _vector(self, output: torch.Tensor) -> torch.Tensor:
        if self.read == "class token":
            return output[:, 0]
        if self.read == "mean over tokens":
            return output[:, self.prefix :].mean(1)
        if self.read == "mean over places":
            return output.mean((1, 2) if self.channels_last else (2, 3))
        return output.flatten(1)


class Part(NamedTuple):
    """What a module gave for two images: how often, in which shape (None: nothing to read), by which operation."""

    calls: int
    shape: tuple[int, ...] | None
    node: Any
    first_token_varies: bool
    marked_last: bool


class Layers:
    """The modules that a network calls on its way to the embedding, found in one pass of two random images.

    `names` are the layers, in the order of the pass, and at the end the embedding itself.
    """

    def __init__(self, function: EmbedFunction, module: nn.Module, images: torch.Tensor) -> None:
        parts, end = _pass(function, module, images)
        trunk = _on_every_path(end)
        self.names = [*_layer_names(module, parts, trunk, end), EMBEDDING]
        # not the operations themselves, which hold the graph of the pass
        self._parts = {path: part._replace(node=None) for path, part in parts.items()}
        shapes = [part.shape for part in parts.values() if part.node in trunk and part.shape is not None]
        self._tokens = [0, *(shape[1] for shape in shapes if len(shape) == 3)][-1]
        self._size = images.shape[2:]
        parameters = [(path.rpartition(".")[2], p) for path, p in module.named_parameters()]
        added = [p for name, p in parameters if name in CLASS_TOKENS + OTHER_TOKENS]
        self._has_class_token = any(name in CLASS_TOKENS for name, _ in parameters)
        self._added = sum(p.shape[-2] if p.ndim > 1 else 1 for p in added)

    def reading(self, layer: str, read: str | None) -> Reading:
        """How a layer is read: as told, else the first way that suits it.

        Raises
        ------
        ModelError
            If there is no such layer, or it cannot be read so.
        """
        if layer == EMBEDDING:
            if read not in (None, "all"):
                raise ModelError(f"The embedding is a vector, which has no {read}; leave read out.")
            return Reading()
        if layer not in self._parts:
            close = difflib.get_close_matches(str(layer), [*self._parts, EMBEDDING], n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "model.layers lists them."
            raise ModelError(f"The embedding passes no layer {layer!r}: {hint}")
        part = self._parts[layer]
        if part.calls > 1 or part.shape is None:
            several = f"is called {part.calls} times in a pass"
            fault = several if part.calls > 1 else "gives no tensor of one row an image"
            raise ModelError(f"{layer} {fault}, so it cannot be read; model.layers lists what can.")
        ways = self._ways(part)
        if read is not None and read not in ways:
            shown = ", ".join(map(str, ("B", *part.shape[1:])))
            raise ModelError(f"{layer} gives ({shown}), which cannot be read as {read!r}; choose {' or '.join(ways)}.")
        if read is None:
            read = ways[1] if ways[0] == "class token" and not part.first_token_varies else ways[0]
        return Reading(layer, read, self._prefix(part), self._channels_last(part))

    def _ways(self, part: Part) -> tuple[str, ...]:
        assert part.shape is not None
        if len(part.shape) == 4:
            return "mean over places", "all"
        if len(part.shape) != 3 or part.shape[2] == 1:  # a vector already, also where pooling left it a place
            return ("all",)
        own = ("class token",) if self._has_class_token and self._prefix(part) else ()
        return *own, "mean over tokens", "all"

    def _prefix(self, part: Part) -> int:
        """Tokens before those of the patches: class, distillation and register tokens, where they are there already."""
        assert part.shape is not None
        return self._added if len(part.shape) == 3 and part.shape[1] == self._tokens else 0

    def _channels_last(self, part: Part) -> bool:
        """Whether `(B,h,w,C)` and not `(B,C,h,w)`: h and w have the proportions of the image, up to rounding."""
        if part.shape is None or len(part.shape) != 4:
            return False
        _, a, b, c = part.shape
        height, width = self._size
        last, first = abs(a * width - b * height), abs(b * width - c * height)
        return last < first or (last == first and part.marked_last)


def _tensor(output: Any) -> torch.Tensor | None:
    """The tensor that a module gave, or the first of several."""
    if isinstance(output, Mapping):
        output = tuple(output.values())
    if isinstance(output, (tuple, list)):
        output = output[0] if output else None
    return output if isinstance(output, torch.Tensor) and output.is_floating_point() else None


def _above(path: str) -> list[str]:
    """A module and all that it is part of, by their paths: "a.b" gives "", "a" and "a.b"."""
    names = path.split(".")
    return ["", *(".".join(names[: k + 1]) for k in range(len(names)))]


@contextmanager
def _after_each(parts: Mapping[str, nn.Module], visit: Callable[[str, Any], None]) -> Iterator[None]:
    """Call `visit(path, output)` after every call of some modules in this thread; others may use them meanwhile."""
    thread = threading.get_ident()

    def hook_for(path: str) -> Callable[..., None]:
        def hook(part: nn.Module, args: Any, output: Any) -> None:
            if threading.get_ident() == thread:
                visit(path, output)

        return hook

    with _REGISTERING:  # torch numbers hooks without a lock
        handles = [part.register_forward_hook(hook_for(path)) for path, part in parts.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _pass(function: EmbedFunction, module: nn.Module, x: torch.Tensor) -> tuple[dict[str, Part], Any]:
    """What every module gave on the way to the embeddings of two images, in order, and their last operation."""
    parts: dict[str, Part] = {}
    modules = {path: part for path, part in module.named_modules() if path}

    def note(path: str, output: Any) -> None:
        out, calls = _tensor(output), parts[path].calls + 1 if path in parts else 1
        shape = tuple(out.shape) if out is not None and out.ndim > 1 and len(out) == len(x) else None
        varies = out is not None and shape is not None and len(shape) == 3 and not torch.equal(*out[:, 0])
        # what timm says of its own, or of what they are part of
        last = any(str(getattr(modules.get(p, module), "output_fmt", "")).endswith("NHWC") for p in _above(path))
        parts[path] = Part(calls, shape, out.grad_fn if out is not None else None, varies, last)

    with torch.enable_grad(), _after_each(modules, note):
        embedding = function(module, x.requires_grad_())
    return parts, embedding.grad_fn


def _on_every_path(end: Any) -> set[Any]:
    """Operations of a graph that every path from its end to its one leaf, the images, passes."""
    if end is None:
        return set()
    uses: Counter[Any] = Counter({end: 0})
    unseen = [end]
    while unseen:
        for before, _ in unseen.pop().next_functions:
            if before is not None:
                if before not in uses:
                    unseen.append(before)
                uses[before] += 1
    # in an order in which uses come first: no use may lead past the operation
    found, left, ready, leading = set(), uses.copy(), [end], 0
    while ready:
        node = ready.pop()
        leading -= uses[node]
        if leading == 0:
            found.add(node)
        for before, _ in node.next_functions:
            if before is not None:
                leading += 1
                left[before] -= 1
                if left[before] == 0:
                    ready.append(before)
    return found


def _layer_names(module: nn.Module, parts: Mapping[str, Part], trunk: set[Any], end: Any) -> list[str]:
    """The members of the lists that a network is made of, and what stands beside these lists, in order.

    All that the embedding knows of an image passes through each. In place of what holds a list of blocks of one kind,
    such as a stage of a Swin transformer, there are these blocks; a block is what has parts in parallel. What gives the
    embedding itself is left out.
    """
    on_trunk = {path for path, part in parts.items() if part.node in trunk}
    ends = {path for path, part in parts.items() if part.node is end}
    beside = [path for path, part in parts.items() if part.node is not None and path not in on_trunk]
    blocks = {above for path in beside for above in _above(path) if above != path} & on_trunk
    above = {path: module.get_submodule(path) for path in {block.rpartition(".")[0] for block in blocks}}
    alike = {path for path, part in above.items() if len({type(member) for member in part.children()}) == 1}
    lists = {path for path in alike if type(above[path]) in LISTS}

    def members(whole: nn.Module, prefix: str) -> Iterator[str]:
        for name, part in whole.named_children():
            path = prefix + name
            if type(part) in LISTS or path in ends or any(inner.startswith(f"{path}.") for inner in lists):
                yield from members(part, f"{path}.")
            elif path in on_trunk and parts[path].calls == 1 and parts[path].shape is not None:
                yield path

    order = {path: i for i, path in enumerate(parts)}
    names: dict[Any, str] = {}  # what passes its input on gives nothing of its own
    for path in sorted(members(module, ""), key=order.__getitem__):
        names.setdefault(parts[path].node, path)
    return list(names.values())
