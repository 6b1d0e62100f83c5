"""One context in which every derivative of every family is right."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from ..core.modes import Shared


class _Elementary(TorchFunctionMode):
    """Operations whose own derivatives fall short, written out in others."""

    def __init__(self, table: Mapping[Any, Any]) -> None:
        super().__init__()
        self.table = table

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.table.get(func, func)(*args, **(kwargs or {}))


def _standardised(x: torch.Tensor, dims: tuple[int, ...], eps: float) -> torch.Tensor:
    centred = x - x.mean(dims, keepdim=True)
    return centred * torch.rsqrt(centred.square().mean(dims, keepdim=True) + eps)


def _affine(x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None) -> torch.Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def _by_channel(x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None) -> torch.Tensor:
    shape = (-1, *[1] * (x.ndim - 2))
    return _affine(x, *(None if t is None else t.view(shape) for t in (weight, bias)))


def _layer_norm(
    x: torch.Tensor,
    normalized_shape: Sequence[int],
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> torch.Tensor:
    return _affine(_standardised(x, tuple(range(-len(normalized_shape), 0)), eps), weight, bias)


def _instance_norm(
    x: torch.Tensor,
    running_mean: torch.Tensor | None = None,
    running_var: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    if not use_input_stats:
        return _batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    return _by_channel(_standardised(x, tuple(range(2, x.ndim)), eps), weight, bias)


def _torch_instance_norm(
    x: torch.Tensor,
    weight: Any,
    bias: Any,
    mean: Any,
    var: Any,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    *_: Any,
) -> torch.Tensor:
    return _instance_norm(x, mean, var, weight, bias, use_input_stats, momentum, eps)


def _glu(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    a, b = x.chunk(2, dim)
    return a * b.sigmoid()


def _hardsigmoid(x: torch.Tensor, inplace: bool = False) -> torch.Tensor:
    return (x + 3).clamp(0, 6) / 6


def _mean_pool(x: torch.Tensor, output_size: int) -> torch.Tensor:
    # pooling to one value has no batching rule; other sizes go their way
    if output_size in (1, (1,), [1]):
        return x.mean(-1, keepdim=True)
    return torch.adaptive_avg_pool1d(x, output_size)


def _mean_pool_2d(x: torch.Tensor, output_size: Any) -> torch.Tensor:
    # nor has that of two dimensions, where channels come last in memory
    if output_size in (1, (1, 1), [1, 1]) and not x.is_contiguous():
        return x.mean((-2, -1), keepdim=True)
    return torch._C._nn.adaptive_avg_pool2d(x, output_size)


class _Convolution(torch.autograd.Function):
    """A convolution with fixed weights, whose backward pass is the transposed one, whose backward pass is this one.

    torch's own second backward pass also computes a gradient of the weights, group by group, whoever needs it.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, geometry: tuple[Any, ...]) -> torch.Tensor:
        ctx.weight, ctx.geometry, ctx.shape = weight, geometry, x.shape
        return torch.conv2d(x, weight, None, *geometry)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return _Transposed.apply(gradient, ctx.weight, ctx.geometry, ctx.shape), None, None


class _Transposed(torch.autograd.Function):
    """The transpose of `_Convolution`."""

    @staticmethod
    def forward(ctx: Any, y: torch.Tensor, weight: torch.Tensor, geometry: tuple[Any, ...], shape: Any) -> torch.Tensor:
        ctx.weight, ctx.geometry = weight, geometry
        return torch.nn.grad.conv2d_input(shape, weight, y, *geometry)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return _Convolution.apply(gradient, ctx.weight, ctx.geometry), None, None, None


def _conv2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> torch.Tensor:
    if isinstance(padding, str) or weight.requires_grad:
        return torch.conv2d(x, weight, bias, stride, padding, dilation, groups)
    out = _Convolution.apply(x, weight, (stride, padding, dilation, groups))
    return out if bias is None else out + bias.view(-1, 1, 1)


def _batch_norm(
    x: torch.Tensor,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    if training or running_mean is None or running_var is None:
        return _by_channel(_standardised(x, (0, *range(2, x.ndim)), eps), weight, bias)
    scale = torch.rsqrt(running_var + eps) * (1 if weight is None else weight)
    return _by_channel(x, scale, (0 if bias is None else bias) - running_mean * scale)


def _torch_batch_norm(
    x: torch.Tensor, weight: Any, bias: Any, mean: Any, var: Any, training: bool, momentum: float, eps: float, *_: Any
) -> torch.Tensor:
    return _batch_norm(x, mean, var, weight, bias, training, momentum, eps)


def _in_float32(norm: Any) -> Any:
    # autocast leaves the weights of a norm in float32, and the backward pass under vmap wants all in one precision
    return lambda x, *args, **kwargs: norm(x.float(), *args, **kwargs)


_BATCHED = {F.adaptive_avg_pool1d: _mean_pool, F.adaptive_avg_pool2d: _mean_pool_2d}
_REDUCED = _BATCHED | {norm: _in_float32(norm) for norm in (F.layer_norm, F.batch_norm, F.group_norm)}
_WRITTEN_OUT = _BATCHED | {
    F.layer_norm: _layer_norm,
    torch.layer_norm: _layer_norm,
    F.instance_norm: _instance_norm,
    torch.instance_norm: _torch_instance_norm,
    F.batch_norm: _batch_norm,
    torch.batch_norm: _torch_batch_norm,
    F.glu: _glu,
    F.hardsigmoid: _hardsigmoid,
}
_LINEAR = _WRITTEN_OUT | {torch.conv2d: _conv2d}


@contextlib.contextmanager
def _unfused() -> Iterator[None]:
    # not sdpa_kernel, which only the thread that entered it may leave
    kernels: Any = torch.backends.cuda  # of processors too
    before = {name: getattr(kernels, f"{name}_sdp_enabled")() for name in ("flash", "mem_efficient", "cudnn", "math")}
    with warnings.catch_warnings():
        # torch's own forward-mode rules still use what torch deprecates
        warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)
        try:
            for name in before:
                getattr(kernels, f"enable_{name}_sdp")(name == "math")
            yield
        finally:
            for name, enabled in before.items():
                getattr(kernels, f"enable_{name}_sdp")(enabled)


_UNFUSED = Shared(_unfused)  # kernels and filters of warnings belong to the whole process


@contextlib.contextmanager
def _elementary(table: Mapping[Any, Any]) -> Iterator[None]:
    with _UNFUSED(), _Elementary(table):
        yield


_FORWARD_MODE = threading.RLock()  # levels of forward mode belong to the whole process: one thread at a time


def _renew_lock() -> None:
    global _FORWARD_MODE
    _FORWARD_MODE = threading.RLock()


if hasattr(os, "register_at_fork"):  # a child has not the thread that held it
    os.register_at_fork(after_in_child=_renew_lock)


@contextlib.contextmanager
def _alone(context: contextlib.AbstractContextManager[None]) -> Iterator[None]:
    with _FORWARD_MODE, context:
        yield


def all_derivatives(cheap_transposes: bool = False) -> contextlib.AbstractContextManager[None]:
    """Make forward mode, vmap and second derivatives right on every family inside the block.

    Attention runs unfused (the fused kernels have no forward mode and no double backward). Norms of layers, instances
    and batches are written out, for torch's own are wrong in second derivatives that use forward mode (pytorch issue
    196700); so are gated units and hard sigmoids, which have none, and pooling to one value, which has no batching
    rule.

    Threads wait for each other here. With `cheap_transposes`, convolutions can be differentiated twice, in reverse mode
    alone, for the cost of a pass each time.
    """
    return _alone(_elementary(_LINEAR if cheap_transposes else _WRITTEN_OUT))


def batched_reverse_mode(autocast: bool = False) -> contextlib.AbstractContextManager[None]:
    """What first derivatives in reverse mode under vmap need: unfused attention and pooling, with torch's layer norm.

    That is a sixth faster on transformers than `all_derivatives`. With `autocast`, norms are computed in float32.
    """
    return _elementary(_REDUCED if autocast else _BATCHED)
