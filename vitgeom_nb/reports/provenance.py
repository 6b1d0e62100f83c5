"""What a report says of its own making."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from ..core.hardware import processor
from ..networks.vision_model import VisionModel
from ..settings import package_version
from .measuring import Outcome, Subject
from .sections import Planned, planned

PACKAGES = ("torch", "torchvision", "timm", "transformers", "numpy", "xarray", "matplotlib")


def settings(subject: Subject, family: str, now: datetime.datetime) -> dict[str, str]:
    """Name -> value of all that the numbers depend on, in words."""
    model = subject.model
    size = f"{subject.n} images a measurement" if subject.n is not None else "full" if subject.full else "quick"
    return {
        "Network": model.name,
        "Family": family,
        "Layer": f"{model.layer}, read as {model.read}",
        "Embedding": f"{model.dim:,} components",
        "Input": f"{model.size[0]} x {model.size[1]} pixels",
        "Mean and standard deviation": "; ".join(
            ", ".join(f"{value:.4g}" for value in model.preprocessing[name]) for name in ("mean", "std")
        ),
        "Digest of the weights": model.digest,
        **_source(model),
        "Images": f"{subject.source}, {subject.count:,} in all",
        "Digest of the images": subject.digest,
        "Labels": _labels(subject),
        "Size": size,
        "Seed": str(subject.seed),
        "Precision": f"{str(model.dtype).removeprefix('torch.')} on {model.device}",
        "Hardware": _hardware(model),
        "Versions": f"vitgeom-nb {package_version()}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "Written": now.strftime("%Y-%m-%d %H:%M UTC"),
    }


def times(outcome: Outcome) -> list[tuple[str, ...]]:
    """What was measured with which parameters, of how much, and how long that took: a head and a row each."""
    rows: list[tuple[str, ...]] = [("Measurement", "Parameters", "Images or pairs", "Failed", "Seconds")]
    for one in planned():
        if one.label in outcome.measured:
            found = outcome.measured[one.label]
            count = found.sizes.get("pair", found.sizes.get("image", 0))
            failed = len(outcome.failures[one.label])
            rows.append((one.label, _given(one), f"{count:,}", f"{failed:,}", f"{outcome.seconds[one.label]:.1f}"))
    rows.append(("all", "", "", "", f"{sum(outcome.seconds.values()):.1f}"))
    return rows


def _given(one: Planned) -> str:
    return ", ".join(f"{name} {_plain(value)}" for name, value in one.parameters.items()) or "as they are"


def _labels(subject: Subject) -> str:
    if not subject.foreign:
        return "Of the images."
    return subject.foreign + (" What the network says stands in for them." if subject.model.has_logits else "")


def _plain(value: Any) -> str:
    return " and ".join(map(str, value)) if isinstance(value, list) else str(value)


def _source(model: VisionModel) -> dict[str, str]:
    said = ", ".join(f"{name} {value}" for name, value in model.source.items())
    return {"Weights from": said} if said else {}


def _hardware(model: VisionModel) -> str:
    words = f"{processor()}; threads: {torch.get_num_threads()}; load: {os.getloadavg()[0]:.1f}"
    return f"{torch.cuda.get_device_name(model.device)}; {words}" if model.device.type == "cuda" else words


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
