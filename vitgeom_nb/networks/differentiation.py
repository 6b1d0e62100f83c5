"""One context in which every derivative of every family is right."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode


class _Elementary(TorchFunctionMode):
    """Operations whose own derivatives fall short, written out in others."""

    def __init__(self, table: Mapping[Any, Any]) -> None:
        super().__init__()
        self.table = table

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.table.get(func, func)(*args, **(kwargs or {}))


def _layer_norm(
    x: torch.Tensor,
    normalized_shape: Sequence[int],
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> torch.Tensor:
    dims = tuple(range(-len(normalized_shape), 0))
    centred = x - x.mean(dims, keepdim=True)
    out = centred * torch.rsqrt(centred.square().mean(dims, keepdim=True) + eps)
    if weight is not None:
        out = out * weight
    return out if bias is None else out + bias


def _mean_pool(x: torch.Tensor, output_size: int) -> torch.Tensor:
    # pooling to one value has no batching rule; other sizes go their way
    if output_size in (1, (1,), [1]):
        return x.mean(-1, keepdim=True)
    return torch.adaptive_avg_pool1d(x, output_size)


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
        return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    scale = torch.rsqrt(running_var + eps) * (1 if weight is None else weight)
    shift = (0 if bias is None else bias) - running_mean * scale
    shape = (-1, *[1] * (x.ndim - 2))
    return x * scale.view(shape) + shift.view(shape)


def _in_float32(norm: Any) -> Any:
    # autocast leaves the weights of a norm in float32, and the backward pass under vmap wants all in one precision
    return lambda x, *args, **kwargs: norm(x.float(), *args, **kwargs)


_BATCHED = {F.adaptive_avg_pool1d: _mean_pool}
_REDUCED = _BATCHED | {norm: _in_float32(norm) for norm in (F.layer_norm, F.batch_norm, F.group_norm)}
_WRITTEN_OUT = _BATCHED | {F.layer_norm: _layer_norm}
_LINEAR = _WRITTEN_OUT | {torch.conv2d: _conv2d, F.batch_norm: _batch_norm}


@contextlib.contextmanager
def _elementary(table: Mapping[Any, Any]) -> Iterator[None]:
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH), _Elementary(table):
        # torch's own forward-mode rules still use what torch deprecates
        warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)
        yield


def all_derivatives(cheap_transposes: bool = False) -> contextlib.AbstractContextManager[None]:
    """Make forward mode, vmap and second derivatives right on every family inside the block.

    Attention runs unfused (the fused kernels have no forward mode and no double backward). Layer norm is written out,
    for torch's own is wrong in second derivatives that use forward mode (pytorch issue 196700), and so is pooling to
    one value, which has no batching rule.

    With `cheap_transposes`, convolutions and batch norms can be differentiated twice, in reverse mode alone, for the
    cost of a pass each time.
    """
    return _elementary(_LINEAR if cheap_transposes else _WRITTEN_OUT)


def batched_reverse_mode(autocast: bool = False) -> contextlib.AbstractContextManager[None]:
    """What first derivatives in reverse mode under vmap need: unfused attention and pooling, with torch's layer norm.

    That is a sixth faster on transformers than `all_derivatives`. With `autocast`, norms are computed in float32.
    """
    return _elementary(_REDUCED if autocast else _BATCHED)
