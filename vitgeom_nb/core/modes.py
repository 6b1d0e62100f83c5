"""Modes of torch that are global to the process or the thread: what a computation needs, and back as it was."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any


class Shared:
    """A setting of the whole process, held while anyone is inside.

    Threads that come and go in any order neither lose it nor leave it behind: the first to come sets it, the last to go
    puts back what was there.
    """

    def __init__(self, setting: Callable[[], AbstractContextManager[Any]]) -> None:
        self._setting = setting
        self._renew()
        if hasattr(os, "register_at_fork"):  # a child has not the threads that are inside
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock, self._inside, self._held = threading.Lock(), 0, ExitStack()

    def __call__(self) -> AbstractContextManager[None]:
        """The setting, as a context."""
        return self._enter()

    @contextlib.contextmanager
    def _enter(self) -> Iterator[None]:
        with self._lock:
            if not self._inside:
                self._held.enter_context(self._setting())
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    self._held.close()


def _operations() -> list[Any]:
    import torch

    cudnn, onednn = torch.backends.cudnn, torch.backends.mkldnn
    return [torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn, onednn.matmul, onednn.conv, onednn.rnn]


def float32_products() -> str:
    """How products and convolutions of float32 are computed now: `"ieee"`, `"tf32"`, or several of torch's words."""
    return " ".join(sorted({operation.fp32_precision for operation in _operations()}))


@contextlib.contextmanager
def _whole_float32() -> Iterator[None]:
    operations = _operations()
    before = [operation.fp32_precision for operation in operations]
    for operation in operations:
        operation.fp32_precision = "ieee"
    try:
        yield
    finally:
        for operation, precision in zip(operations, before, strict=True):
            operation.fp32_precision = precision


full_precision = Shared(_whole_float32)
"""Products and convolutions of float32 in float32, not in TF32, which keeps 10 of 23 bits and is cuDNN's default."""


@contextlib.contextmanager
def usual_modes() -> Iterator[None]:
    """What a measurement counts on, whatever is around it: gradients, no autocast, no inference mode, no TF32."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "inference_mode"):  # nothing that needs it has been asked for
        yield
        return
    with ExitStack() as modes:
        modes.enter_context(full_precision())
        if torch.is_inference_mode_enabled():
            modes.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            modes.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        yield
