"""Record what takes too long for a page: a published network at 224 pixels, and the embedded ones at 64.

    python -m vitgeom_nb.recipes.record                        # all
    python -m vitgeom_nb.recipes.record vit --into elsewhere

All see the 20 labelled photographs of `samples("imagenet")`. Each measurement is a file of its own,
`evidence/<network>/<measurement>.nc`; what is there is not measured again.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import torch
import xarray as xr

from ..bending.step_law import step_law
from ..boundary.travel import travel_distance
from ..calibration.reliability import reliability
from ..core.images import Images
from ..core.measurement import save_measurement
from ..core.progress import tqdm
from ..data.samples import samples
from ..equivalence.lipschitz import lldlc
from ..equivalence.matching import match
from ..jacobians.singular_spectrum import singular_spectrum
from ..networks.embedded import FAMILIES
from ..networks.loading import load
from ..networks.vision_model import VisionModel

FEW = 6  # images of the measurements that take many derivatives
RECORDS: dict[str, Callable[[VisionModel, Images], xr.Dataset]] = {
    "step_law": lambda model, images: step_law(model, images[:FEW], directions=3),
    "match": lambda model, images: _scalars(match(model, images[:10], images[10:], max_evaluations=200)),
    "lldlc": lambda model, images: lldlc(model, images[:FEW], kinds=("random",)),
    "singular_spectrum": lambda model, images: singular_spectrum(model, images[:FEW]),
}
"""Measurement -> how it is made of any network and the photographs at its size."""
LABELLED: dict[str, Callable[[VisionModel, Images], xr.Dataset]] = {
    "reliability": lambda model, images: reliability(model, images, images.labels),
    "travel_distance": lambda model, images: travel_distance(model, images, images.labels),
}
"""The same for those of networks that know the classes of the photographs."""


def _scalars(measured: xr.Dataset) -> xr.Dataset:
    """A measurement without its pictures."""
    return measured.drop_dims(["channel", "y", "x"], errors="ignore")


def record(name: str, into: Path) -> None:
    """Write the files of a network that are not there yet."""
    folder = into / name
    folder.mkdir(parents=True, exist_ok=True)
    known = RECORDS if name in FAMILIES else LABELLED | RECORDS
    missing = {key: made for key, made in known.items() if not (folder / f"{key}.nc").exists()}
    if not missing:
        return
    model = load(name)
    images = samples("imagenet", size=model.size)
    for key, made in tqdm(missing.items(), desc=name):
        save_measurement(made(model, images), folder / f"{key}.nc")


def main() -> None:
    parser = argparse.ArgumentParser(description="Record measurements that take too long for a page.")
    parser.add_argument(
        "names", nargs="*", default=["efficientnet-lite0", *FAMILIES], help="networks; all unless named"
    )
    parser.add_argument("--into", type=Path, default=Path("evidence"))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    os.nice(10)
    for name in options.names:
        record(name, options.into)


if __name__ == "__main__":
    main()
