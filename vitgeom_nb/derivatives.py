"""One context in which every derivative of every family is right."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode


class _Elementary(TorchFunctionMode):
    """Operations whose own derivatives fall short, written out in others."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _WRITTEN_OUT.get(func, func)(*args, **(kwargs or {}))


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


_WRITTEN_OUT = {F.layer_norm: _layer_norm, F.adaptive_avg_pool1d: _mean_pool}


@contextlib.contextmanager
def all_derivatives() -> Iterator[None]:
    """Make forward mode, vmap and second derivatives right on every family inside the block.

    Attention runs unfused (the fused kernels have no forward mode and no double backward). Layer norm is written out,
    for torch's own is wrong in second derivatives that use forward mode (pytorch issue 196700), and so is pooling to
    one value, which has no batching rule.
    """
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH), _Elementary():
        # torch's own forward-mode rules still use what torch deprecates
        warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)
        yield
