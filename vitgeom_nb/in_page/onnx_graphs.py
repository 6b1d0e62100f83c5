"""Traces as ONNX models whose weights lie in one file beside them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from ..core.extras import extras
from ..errors import ModelError
from .traces import Trace

OPSET = 18
WEIGHTS = "weights.bin"  # what the graphs call the file of weights
SMALL = 256  # bytes of a constant that stays in the graph


class Layout:
    """Where tensors lie in the file of weights: in the order of the network's own, then whatever else graphs hold."""

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.parts: list[bytes] = []
        self.length, self._closed = 0, False
        self._at: dict[tuple[str, tuple[int, ...], str], int] = {}
        for tensor in held(tensors).values():
            self.place(tensor.numpy())
        self._closed = True

    def place(self, data: np.ndarray) -> int | None:
        """Offset of these values; what is short and no part of the network stays in the graph, and has none."""
        raw = np.ascontiguousarray(data).tobytes()
        key = (hashlib.sha256(raw).hexdigest(), tuple(data.shape), str(data.dtype))
        if key not in self._at:
            if self._closed and (len(raw) <= SMALL or data.dtype.kind != "f"):
                return None
            self._at[key] = self.length
            self.parts.append(raw)
            self.length += len(raw)
        return self._at[key]


def held(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a network that go into the file, by name: its floats, on the host."""
    return {k: t.detach().cpu() for k, t in tensors.items() if t.is_floating_point()}


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Torch's exporter speaks of its stages and of what will change in it."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "onnx_ir", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextlib.contextmanager
def _readable_flags() -> Iterator[None]:
    """Torch's exporter reads a flag that cannot be read where full precision is asked for; it computes nothing."""
    operations: list[Any] = [torch.backends.cudnn.conv, torch.backends.cudnn.rnn]
    before = [operation.fp32_precision for operation in operations]
    for operation in operations:
        operation.fp32_precision = "tf32"
    try:
        yield
    finally:
        for operation, precision in zip(operations, before, strict=True):
            operation.fp32_precision = precision


def _translated(name: str, model_name: str, trace: Trace) -> Any:
    with extras():
        import onnx_ir  # noqa: F401
        import onnxscript  # noqa: F401
    try:
        with _silent(), _readable_flags():
            program = torch.onnx.export(
                trace.graph.eval(),
                trace.arguments,
                input_names=list(trace.inputs),
                output_names=list(trace.outputs),
                dynamo=True,
                opset_version=OPSET,
                optimize=False,  # it would store weights twice, as they are and transposed
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ModelError(
            f"The graph {name!r} of {model_name} has no translation to ONNX: {_operator(error)}; "
            "wrap the network with that part written in other operations."
        ) from error
    return program.model


def _operator(error: BaseException) -> str:
    """Which operator it was, as far as the exporter says."""
    seen: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        seen.append(str(cause))
        cause = cause.__cause__
    for text in reversed(seen):
        if found := re.search(r"(?:torch\.ops\.)?((?:aten|torchvision|prims)[.:]+\w+)", text):
            return f"the operator {found[1].replace('::', '.')} is not in opset {OPSET}"
    return seen[-1].strip().split("\n")[0][:200].rstrip(".")


def _simplified(model: Any) -> None:
    """Fold what shapes alone decide, compute each value once, and drop names and notes of the way here."""
    import onnx_ir.passes.common as passes
    from onnxscript.optimizer import fold_constants

    def of_shapes(node: Any) -> bool | None:
        return False if any(value is not None and value.is_initializer() for value in node.inputs) else None

    with _silent():
        passes.InlinePass()(model)
        # what is made of weights stays as it is made: the graph is one for all weights, and stores none
        fold_constants(model, should_fold=of_shapes)
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        passes.DeduplicateInitializersPass()(model)
        passes.CommonSubexpressionEliminationPass()(model)
        passes.IdentityEliminationPass()(model)
        passes.RemoveUnusedNodesPass()(model)
    graph = model.graph
    ends = {*graph.inputs, *graph.outputs}
    for k, node in enumerate(graph):
        node.name, node.doc_string = None, None
        node.metadata_props.clear()
        node.meta.clear()
        for j, value in enumerate(node.outputs):
            if value not in ends:
                value.name = f"{k}" if j == 0 else f"{k}.{j}"
                value.type = value.shape = None
            value.metadata_props.clear()
    model.metadata_props.clear()
    graph.metadata_props.clear()
    graph.doc_string = model.doc_string = None


def onnx_model(name: str, model_name: str, trace: Trace, layout: Layout, file: str = WEIGHTS) -> bytes:
    """One trace as the bytes of an ONNX model; its weights are placed in `layout`, which stands for the file named.

    Raises
    ------
    ModelError
        If an operator has no translation.
    MissingExtraError
        If onnx is not installed.
    """
    model = _translated(name, model_name, trace)
    _simplified(model)
    import onnx
    import onnx_ir

    proto = onnx_ir.to_proto(model)
    proto.graph.name = name
    renamed: dict[str, str] = {}
    for k, tensor in enumerate(proto.graph.initializer):
        data = onnx.numpy_helper.to_array(tensor)
        renamed[tensor.name] = f"w{k}"
        if (offset := layout.place(data)) is None:
            tensor.name = f"w{k}"
            tensor.ClearField("doc_string")
            continue
        fresh = onnx.TensorProto(name=f"w{k}", data_type=tensor.data_type, dims=data.shape)
        fresh.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", file), ("offset", str(offset)), ("length", str(data.nbytes))):
            fresh.external_data.add(key=key, value=value)
        tensor.CopyFrom(fresh)
    for node in proto.graph.node:
        for place in range(len(node.input)):
            node.input[place] = renamed.get(node.input[place], node.input[place])
    del proto.graph.value_info[:]
    del proto.metadata_props[:]
    return proto.SerializeToString(deterministic=True)
