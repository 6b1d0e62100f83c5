"""The memory that tensors take, counted as they are made and freed."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Held(TorchDispatchMode):
    """`peak`, the most bytes that storages made inside held at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.peak, self.known = 0, 0, set[int]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        before = {t.untyped_storage().data_ptr() for t in args if isinstance(t, torch.Tensor)}
        for tensor in out if isinstance(out, (list, tuple)) else [out]:
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage(), before)
        return out

    def _count(self, storage: torch.UntypedStorage, before: set[int]) -> None:
        where, size = storage.data_ptr(), storage.nbytes()
        if where in before or where in self.known:
            return
        self.known.add(where)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, where, size)

    def _free(self, where: int, size: int) -> None:
        self.known.discard(where)
        self.now -= size
