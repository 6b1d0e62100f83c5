"""As published: the papers' own networks, crops, steps and units, for a comparison figure by figure."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import torch
import xarray as xr
from PIL import Image

from ..bending.direction_change import direction_change
from ..boundary.fgsm import fgsm_direction
from ..boundary.jumped_travel import random_jump
from ..boundary.travel import travel_distance
from ..calibration.reliability import reliability
from ..core.arguments import checked
from ..core.measurement import Variable, measurement
from ..core.pictures import to_rgb
from ..core.random_directions import rms
from ..equivalence.matching import match
from ..errors import ArgumentError
from ..networks.vision_model import VisionModel

UNITS = ("pixel", "normalised")
MEASURES: dict[str, Callable[..., xr.Dataset]] = {
    "reliability": reliability,
    "direction_change": direction_change,
    "travel_distance": travel_distance,
    "random_jump": random_jump,
    "match": match,
}


@cache
def _read() -> dict[str, Any]:
    return tomllib.loads((files(__package__) / "presets.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Preset:
    """How a paper measures: its networks, its crop, its parameters, and what is not the same here."""

    paper: str
    units: str
    networks: tuple[str, ...]
    """Names that `load` takes."""
    measures: tuple[str, ...]
    """Names that `parameters` and `measure` take."""
    differs: tuple[str, ...]
    """What the authors' code does and this package does not, a sentence each."""
    _given: Mapping[str, Any] = field(repr=False)

    def prepare(self, picture: Image.Image) -> torch.Tensor:
        """A picture as the paper's networks see it, before normalisation: `(3,H,W)` in [0,1].

        [kim2024] crops the centre of 256 x 256 pixels, with no resizing before (black where the picture is smaller),
        and resizes that to 224 x 224; [salman2024] resizes to 224 and crops.
        """
        from torchvision.transforms import v2

        crop, size = self._given["crop"], self._given["size"]
        steps = [v2.CenterCrop(crop), v2.Resize(size)] if crop else [v2.Resize(size), v2.CenterCrop(size)]
        bytes_of = v2.functional.pil_to_tensor(v2.Compose(steps)(to_rgb(picture)))
        return bytes_of.float() / 255

    def scale(self, model: VisionModel) -> float:
        """What a length of the paper is in pixels: 1, or the root mean square of the standard deviations."""
        return 1.0 if self.units == "pixel" else float(np.sqrt(np.mean(np.square(model.preprocessing["std"]))))

    def parameters(self, measure: str, model: VisionModel, *, rate: str = "pair") -> dict[str, Any]:
        """Keywords for the measurement of a network, in the units of this package.

        Parameters
        ----------
        measure
            One of `measures`.
        model
            The network, whose standard deviations and embedding dimension say how lengths and rates convert.
        rate
            Of matching: `"pair"`, `"folder"` or `"text"`.

        Raises
        ------
        ArgumentError
            If the paper has no such measurement, or no such rate.
        """
        given = self._measure(measure)
        lengths = {key: value * self.scale(model) for key, value in given.get("lengths", {}).items()}
        found = dict(given["parameters"]) | lengths
        if "rates" in given:
            if rate not in given["rates"]:
                raise ArgumentError(f"There is no rate {rate!r}; choose one of {', '.join(given['rates'])}.")
            # half the sum of squares in place of their mean; pixels in place of pixels over their standard deviation
            found["lr"] = given["rates"][rate] * 2 / model.dim * float(np.mean(np.square(model.preprocessing["std"])))
        return found

    def measure(self, measure: str, model: VisionModel, *images: Any, **options: Any) -> xr.Dataset:
        """Take a measurement as the paper does; `options` override its parameters.

        Travel distances in normalised units go along the sign of the gradient there, which in pixels is scaled by the
        standard deviation of each channel, and have `epsilon_normalised(image)` beside `epsilon`.
        """
        given = self.parameters(measure, model) | options
        name = self._measure(measure)["measure"]
        if name != "travel_distance" or self.units == "pixel":
            return MEASURES[name](model, *images, **given)
        pixels, labels = model.pixels_and_labels(*images)
        std = torch.tensor(model.preprocessing["std"], dtype=torch.float64).to(pixels).view(1, 3, 1, 1)
        along = fgsm_direction(model, pixels, labels) * std
        found = travel_distance(model, pixels, labels, along=along, **given)
        per_pixel = found.epsilon.values / rms(along).double().cpu().numpy()
        words = "travel distance in normalised pixels"
        own = measurement({"epsilon_normalised": Variable(["image"], per_pixel, "1", words)})
        return found.assign(epsilon_normalised=own["epsilon_normalised"])

    def _measure(self, name: str) -> dict[str, Any]:
        if name not in self._given["measures"]:
            raise ArgumentError(f"{self.paper} has no preset of {name!r}; there are {', '.join(self.measures)}.")
        return self._given["measures"][name]


@checked
def preset(paper: str, *, units: str = "pixel") -> Preset:
    """How a paper measures, for a comparison figure by figure.

    Parameters
    ----------
    paper
        `"kim2024"` or `"salman2024"`.
    units
        What its lengths are in: `"pixel"`, values in [0,1], or `"normalised"`, pixels over their standard deviation.
        The public code of [kim2024] has both. A jump of 0.05 is 26.0 dB in the one and about 38.9 dB in the other.

    Returns
    -------
    Preset
        With `networks`, `prepare(picture)`, `parameters(measure, model)`, `measure(measure, model, images, labels)`,
        and `differs`, what is not the same here.

    Raises
    ------
    ArgumentError
        If there is no such paper or unit.

    References
    ----------
    [kim2024], [salman2024]: their public code.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> published = vg.claims.preset("kim2024")
    >>> published.parameters("reliability", vg.load("vit"))
    {'bins': 10}
    """
    if paper not in _read():
        raise ArgumentError(f"There is no preset of {paper!r}; there are {', '.join(_read())}.")
    if units not in UNITS:
        raise ArgumentError(f"There are no units {units!r}; choose one of {', '.join(UNITS)}.")
    given = _read()[paper]
    named = (tuple(given["networks"]), tuple(given["measures"]), tuple(given["differs"]))
    return Preset(paper, units, *named, _given=given)
