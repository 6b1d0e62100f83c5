"""How accuracy and direction change evolved while the embedded networks were trained."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import torch
import xarray as xr

from .calibration import wilson
from .errors import ModelError
from .measurement import Variable, measurement
from .zoo import card
from .zoo.architectures import ARCHITECTURES


def training_history(name: str) -> xr.Dataset:
    r"""Accuracy and direction change of an embedded network at the epochs its training kept.

    They were measured once, on the weights of those epochs, and are recorded on the network's card:
    `direction_change` with the settings that the attribute `parameters` holds, on images that ship with the package,
    and the share of right answers on the first validation images of Tiny-ImageNet.

    Parameters
    ----------
    name
        An embedded model: `"vit"`, `"swin"`, `"resnet"` or `"mobilenetv2"`.

    Returns
    -------
    xarray.Dataset
        Over `epoch`: `top1` with `top1_low`, `top1_high`, the ends of Wilson's 95 % interval (NaN where the card
        does not say how many images); `direction_change`, the median over images, directions and steps, with its
        quartiles `direction_change_low` and `direction_change_high`, in rad.

    Raises
    ------
    ModelError
        If there is no embedded model of that name, or its card holds no history.

    References
    ----------
    [kim2024], the section on how the curvedness evolves during training.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> history = vg.training_history("vit")
    >>> float(history["epoch"][0])
    0.0
    """
    if name not in ARCHITECTURES:
        raise ModelError(f"There is no training history of {name!r}; there are {', '.join(ARCHITECTURES)}.")
    info = card(name)
    rows = sorted(info.get("history", []), key=lambda row: row["epoch"])
    if not rows:
        raise ModelError(f"The card of {name} holds no training history; `make zoo` trains the network and writes one.")

    def column(key: str) -> np.ndarray:
        return np.array([row.get(key, math.nan) for row in rows], dtype=float)

    settings = info.get("history_settings", {})
    top1, count = column("top1"), torch.full((len(rows),), settings.get("top1_images", math.nan))
    low, high = wilson(torch.from_numpy(top1) * count, count)
    bend = {
        key: np.radians(column(f"direction_change_{key}_deg")) for key in ("lower_quartile", "median", "upper_quartile")
    }
    variables = {
        "top1": (top1, "1", "top-1 accuracy"),
        "top1_low": (low, "1", "lower end of the 95 % interval of accuracy"),
        "top1_high": (high, "1", "upper end of the 95 % interval of accuracy"),
        "direction_change": (bend["median"], "rad", "median direction change"),
        "direction_change_low": (bend["lower_quartile"], "rad", "lower quartile of the direction change"),
        "direction_change_high": (bend["upper_quartile"], "rad", "upper quartile of the direction change"),
    }
    result = measurement(
        {key: Variable(("epoch",), values, units, label) for key, (values, units, label) in variables.items()},
        coords={"epoch": Variable(("epoch",), column("epoch"), "epoch", "epochs of training")},
        model=SimpleNamespace(name=name, digest=info["sha256"], device=info["hardware"], dtype="float32"),
        seed=settings.get("seed"),
    )
    result.attrs["parameters"] = json.dumps(settings, sort_keys=True)
    return result
