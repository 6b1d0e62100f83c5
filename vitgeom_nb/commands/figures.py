"""vitgeom-nb figures: list the figures, or draw them to a folder."""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import vitgeom_nb as vg

from ..core import stopping
from ..core.whole_files import made_folder, write_whole
from ..errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLES = 20  # images of samples("imagenet")


def _equivalent_images(model: vg.VisionModel, images: vg.Images) -> Figure:
    pictures = vg.samples("photographs", size=model.size)
    return vg.figures.match(vg.match(model, pictures[[0, 2]], pictures[[1, 5]]), pairs=(0, 1))


# name -> what it shows, and the measurement and figure that show it for a model and a few images
RECIPES: dict[str, tuple[str, Callable[[vg.VisionModel, vg.Images], Figure]]] = {
    "equivalent-images": ("photographs changed until they embed like other photographs", _equivalent_images),
    "singular-spectrum": (
        "singular values of the Jacobian of the embedding",
        lambda model, images: vg.figures.singular_spectrum(vg.singular_spectrum(model, images)),
    ),
    "step-response": (
        "how far null, random and normal steps move the embedding",
        lambda model, images: vg.figures.step_response(vg.step_response(model, images)),
    ),
    "lldlc": (
        "local directional Lipschitz constants by kind of direction",
        lambda model, images: vg.figures.lldlc(vg.lldlc(model, images)),
    ),
    "direction-change": (
        "angles at which the embedding turns along straight lines of images",
        lambda model, images: vg.figures.direction_change(vg.direction_change(model, images, directions=20)),
    ),
    "trajectory": (
        "the embedding of a square of images around the first image, in its principal plane",
        lambda model, images: vg.figures.trajectory(vg.trajectory(model, images[0])),
    ),
    "reliability": (
        "confidence against accuracy on validation images",
        lambda model, images: vg.figures.reliability(
            vg.reliability(vg.validation_predictions(model.name), name=model.name)
        ),
    ),
    "travel-distance": (
        "way to the decision boundary against confidence",
        lambda model, images: vg.figures.travel_distance(vg.travel_distance(model, images, model.labels(images))),
    ),
}


def add_to(commands: argparse._SubParsersAction) -> None:
    """Give the command line this command."""
    drawn = commands.add_parser("figures", help="list the figures, or draw them to a folder")
    drawn.add_argument("names", nargs="*", metavar="NAME", help="figures to draw; all of them unless named")
    drawn.add_argument("--model", default="vit", help="which network (default: vit)")
    drawn.add_argument("--out", type=Path, metavar="DIR", help="folder to draw to; without it figures are listed")
    drawn.add_argument("--images", type=int, default=4, metavar="N", help="ImageNet samples to measure on (default: 4)")
    drawn.add_argument("--format", default="png", choices=("png", "jpg", "webp", "svg", "pdf"))
    drawn.add_argument("--device", help="cpu or cuda (default: what VITGEOM_DEVICE says, else cpu)")
    drawn.set_defaults(command=show_figures)


def show_figures(options: argparse.Namespace) -> int:
    """List the figures, or draw them to a folder."""
    unknown = [name for name in options.names if name not in RECIPES]
    if unknown:
        raise ArgumentError(f"There is no figure {unknown[0]!r}; there are {', '.join(RECIPES)}.")
    if options.out is None:
        for name, (what, _) in RECIPES.items():
            print(f"{name:20} {what}")
        print("Draw them with: vitgeom-nb figures [NAME ...] --model vit --out DIR")
        return 0
    if not 2 <= options.images <= SAMPLES:
        raise ArgumentError(f"--images is {options.images}; ask for 2 to {SAMPLES}, which is how many there are.")
    model = vg.load(options.model, device=options.device)
    images = vg.samples("imagenet", n=options.images, model=model)
    stopping.check()
    made_folder(options.out, "--out ")
    for name in options.names or RECIPES:
        path = options.out / f"{model.name.replace('/', '-')}-{name}.{options.format}"
        picture = io.BytesIO()
        RECIPES[name][1](model, images).savefig(picture, format=options.format, dpi=160)
        stopping.check()
        write_whole(path, picture.getbuffer())
        print(path, flush=True)
    return 0
