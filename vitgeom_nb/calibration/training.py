"""How accuracy and direction change evolved while the embedded networks were trained."""

from __future__ import annotations

import json
import math

import numpy as np
import xarray as xr

from ..core.arguments import checked
from ..core.measurement import Variable, measurement
from ..core.provenance import Origin
from ..core.whole_files import reading
from ..errors import ModelError
from ..networks.embedded import FAMILIES, REPAIR, architecture, card, zoo_file
from ..statistics.intervals import wilson


@checked
def training_history(name: str) -> xr.Dataset:
    r"""Accuracy and direction change of an embedded network at the epochs its training kept.

    They were measured once, on the weights of those epochs, and are recorded on the network's card:
    `direction_change` with the settings that the attribute `parameters` holds, on images that ship with the package,
    and the share of right answers on the first validation images of Tiny-ImageNet.

    Parameters
    ----------
    name
        An embedded model: `"vit"`, `"swin"`, `"resnet"`, `"mobilenetv2"` or `"convnext"`.

    Returns
    -------
    xarray.Dataset
        Over `epoch`: `top1` with `top1_low`, `top1_high`, the ends of Wilson's 95 % interval (NaN where the card
        does not say how many images); `direction_change`, the median over images, directions and steps, with its
        quartiles `direction_change_lower_quartile` and `direction_change_upper_quartile`, in rad.

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
    if architecture(name) not in FAMILIES:
        raise ModelError(f"There is no training history of {name!r}; there are {', '.join(FAMILIES)}.")
    info = card(name)
    with reading(zoo_file(f"{name}.json"), ModelError, REPAIR):
        rows = sorted(info.get("history", []), key=lambda row: row["epoch"])
    if not rows:
        raise ModelError(f"The card of {name} holds no training history; `make zoo` trains the network and writes one.")

    def column(key: str) -> np.ndarray:
        return np.array([row.get(key, math.nan) for row in rows], dtype=float)

    settings = info.get("history_settings", {})
    top1, count = column("top1"), settings.get("top1_images", math.nan)
    angles = {
        "direction_change": ("median", "median direction change"),
        "direction_change_lower_quartile": ("lower_quartile", "lower quartile of the direction change"),
        "direction_change_upper_quartile": ("upper_quartile", "upper quartile of the direction change"),
    }
    variables = wilson(top1 * count, count)._replace(value=top1).variables("top1", "1", "top-1 accuracy", ["epoch"])
    for name_of, (key, words) in angles.items():
        angle = np.radians(column(f"direction_change_{key}_deg"))
        variables[name_of] = Variable(["epoch"], angle, "rad", words)
    result = measurement(
        variables,
        coords={"epoch": Variable(("epoch",), column("epoch"), "1", "epochs of training")},
        model=Origin(name, digest=info["sha256"], device=str(info["hardware"]), dtype="float32"),
        seed=settings.get("seed"),
    )
    result.attrs["parameters"] = json.dumps(settings, sort_keys=True)
    return result
