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


class _ElementaryLayerNorm(TorchFunctionMode):
    """Layer norm in elementary operations: torch's own is wrong in second derivatives that use forward mode."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not F.layer_norm:
            return func(*args, **kwargs)
        return _layer_norm(*args, **kwargs)


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


@contextlib.contextmanager
def all_derivatives() -> Iterator[None]:
    """Make forward mode, vmap and second derivatives right on every family inside the block.

    Attention runs unfused (the fused kernels have no forward mode and no double backward) and layer norm in
    elementary operations (pytorch issue 196700).
    """
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH), _ElementaryLayerNorm():
        # torch's own forward-mode rules still use what torch deprecates
        warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)
        yield
