"""The digest of a module: of what it is made of, and of what it answers."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import torch

from ..core.modes import usual_modes
from ..core.random_directions import generator

PROBES = 2
FINE, COARSE = 6, 2  # digits of answers that are the same on every machine, in float64 and in less


def digest(model: Any) -> str:
    """SHA-256 of what a `VisionModel` computes.

    Of what is done to pixels first, of the layers as they describe themselves, and of dtype, shape and bytes of every
    parameter and buffer. Plain attributes and functions count by the answers to fixed images, which are taken in
    float64 and rounded, so that neither device nor number of threads changes them; in the model's own precision and to
    fewer digits where the module does not compute in float64.
    """
    words = re.sub(r" at 0x[0-9a-f]+", "", repr(model.module))  # where a function happens to lie
    sha = hashlib.sha256(json.dumps([model.preprocessing, words]).encode())
    for name, tensor in sorted([*model.module.named_parameters(), *model.module.named_buffers()]):
        sha.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        sha.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    with usual_modes(), torch.no_grad():
        try:
            answers = _answers(model.in_dtype(torch.float64), FINE)
        except Exception:  # whatever a module raises in a precision that it was not made for
            answers = _answers(model, COARSE)
    sha.update(json.dumps(answers).encode())
    return sha.hexdigest()


def _answers(model: Any, digits: int) -> list[str]:
    """Norm and a random component of the embedding and the logits of fixed images, rounded."""
    out = []
    for answer in [model.embed, *([model.logits] if model.has_logits else [])]:
        for seed in range(PROBES):
            image = torch.rand(1, 3, *model.size, generator=generator(seed), dtype=torch.float64)
            found = answer(image.to(model.device, model.dtype))
            if not isinstance(found, torch.Tensor):  # refused elsewhere
                continue
            values = found.double().cpu().flatten()
            along = torch.randn(len(values), generator=generator(PROBES), dtype=torch.float64) @ values
            out += [f"{float(values.norm()):.{digits}e}", f"{float(along / values.norm()) + 0.0:.{digits}f}"]
    return out
