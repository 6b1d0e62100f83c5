"""A network and its derivatives as flat graphs of elementary operations, for one image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch._decomp import core_aten_decompositions
from torch._functorch.compile_utils import fx_graph_cse
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from ..core.modes import full_precision
from ..core.random_directions import generator
from ..networks.differentiation import all_derivatives
from ..networks.vision_model import VisionModel

aten = torch.ops.aten


class Trace(NamedTuple):
    """A graph, what goes in and comes out by name, and arguments on which it was traced."""

    graph: GraphModule
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    arguments: tuple[torch.Tensor, ...]


def _convolution_backward(
    gradient: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias_sizes: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    wanted: Sequence[bool],
) -> tuple[torch.Tensor, None, None]:
    """The gradient of a convolution in its input: the transposed convolution, which ONNX has, and of that this one."""
    if transposed:
        return aten.convolution(gradient, weight, None, stride, padding, dilation, False, [0, 0], groups), None, None
    # what a stride left over at the far edge
    reached = [
        (gradient.shape[-2 + i] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (weight.shape[-2 + i] - 1) + 1
        for i in range(2)
    ]
    over = [x.shape[-2 + i] - reached[i] for i in range(2)]
    return aten.convolution(gradient, weight, None, stride, padding, dilation, True, over, groups), None, None


def _max_pool_backward(gradient: torch.Tensor, x: torch.Tensor, *arguments: Any) -> torch.Tensor:
    """The gradient of max pooling: what each place of the output got goes back to where its maximum came from."""
    indices = arguments[-1]
    flat = torch.zeros_like(x).flatten(2).scatter_add(2, indices.flatten(2), gradient.flatten(2))
    return flat.view_as(x)


_DECOMPOSED = {
    **core_aten_decompositions(),
    aten.convolution_backward.default: _convolution_backward,
    aten.max_pool2d_with_indices_backward.default: _max_pool_backward,
}
_PASSING = {aten.alias.default, aten.detach.default, aten.clone.default, aten.lift_fresh_copy.default}


def _in_order(size: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether strides walk through memory place by place, row by row."""
    places = 1
    for length, step in zip(reversed(size), reversed(stride), strict=True):
        if length > 1 and step != places:
            return False
        places *= length
    return True


def _restrided(node: torch.fx.Node) -> None:
    """Write as a change of shape what only says in which strides the same values lie, as pooling to one value does."""
    given: Any = node.args
    whole = given[0].meta["val"]
    size, stride = given[-2:] if isinstance(given[-1], (list, tuple)) else given[-3:-1]
    if whole.numel() == math.prod(size) and _in_order(size, stride) and _in_order(whole.shape, whole.stride()):
        scattered = node.target is aten.as_strided_scatter.default
        node.target = aten.reshape.default
        node.args = (given[1], list(whole.shape)) if scattered else (given[0], list(size))


def _tidy(traced: GraphModule) -> GraphModule:
    """Without what only autograd needs, and with every value computed once."""
    held: dict[Any, torch.fx.Node] = {}  # tensors of the network, each under one name
    for node in list(traced.graph.nodes):
        if node.op == "get_attr":
            tensor = getattr(traced, node.target)
            key = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
            node.replace_all_uses_with(held.setdefault(key, node), propagate_meta=False)
        elif node.target in (aten.view.default, aten._unsafe_view.default):
            node.target = aten.reshape.default  # what made its argument contiguous goes
        elif node.target in (aten.as_strided.default, aten.as_strided_scatter.default):
            _restrided(node)
        elif node.target in _PASSING:
            node.replace_all_uses_with(node.args[0])
        elif node.target in (aten.copy.default, aten.copy_.default) and "_new_zeros" in str(node.args[0].target):
            node.replace_all_uses_with(node.args[1])  # a tangent copied into a buffer of its own layout
    traced.graph.eliminate_dead_code()
    once = fx_graph_cse(traced.graph)
    once.eliminate_dead_code()
    return GraphModule(traced, once)


def _flat(function: Callable[..., Any], arguments: tuple[torch.Tensor, ...], table: dict[Any, Any]) -> GraphModule:
    pure = torch.func.functionalize(function, remove="mutations")
    return _tidy(make_fx(pure, decomposition_table=table)(*arguments))


def traces(model: VisionModel) -> dict[str, Trace]:
    """`forward`, `pull` and `push` of a model; the derivatives are those of one pass that gives embedding and logits.

    `forward(x)` gives f(x) and z(x), `pull(x, u, v)` both and `J_f^T u + J_z^T v`, `push(x, d)` gives J_f d. A model
    without a head has no z and v.
    """
    draw = generator(0)
    like = {"device": model.device, "dtype": model.dtype}
    x, d = (torch.rand(1, 3, *model.size, generator=draw).to(**like) for _ in range(2))

    def outputs(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (model.embed(x), model.logits(x)) if model.has_logits else (model.embed(x),)

    outputs(x)  # what a network prepares when it is first asked is no part of the trace
    with full_precision(), all_derivatives(), torch.no_grad():
        # traced first, so that the derivatives are of one pass: logits and embedding share all that lies before them
        both = _flat(outputs, (x,), {})
        vectors = tuple(torch.randn(out.shape, generator=draw).to(**like) for out in both(x))

        def pull(x: torch.Tensor, *vectors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found, back = torch.func.vjp(lambda x: tuple(both(x)), x)
            return (*found, back(vectors)[0])

        def push(x: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
            return torch.func.jvp(lambda x: both(x)[0], (x,), (d,))[1]

        names = ("embedding", "logits")[: len(vectors)]
        return {
            "forward": Trace(_flat(lambda x: tuple(both(x)), (x,), _DECOMPOSED), ("x",), names, (x,)),
            "pull": Trace(
                _flat(pull, (x, *vectors), _DECOMPOSED),
                ("x", *("u", "v")[: len(vectors)]),
                (*names, "gradient"),
                (x, *vectors),
            ),
            "push": Trace(_flat(push, (x, d), _DECOMPOSED), ("x", "d"), ("change",), (x, d)),
        }
