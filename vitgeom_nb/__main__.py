"""The command line: what models there are, figures drawn to a folder, and what this installation has and lacks."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import torch
import xarray as xr
from matplotlib.figure import Figure

from . import figures, hub
from .boundary import travel_distance
from .calibration import reliability
from .catalogue import CATALOGUE
from .curvature import direction_change
from .data import data_folder, has_labelled, samples
from .datasets import KNOWN
from .errors import ArgumentError, VitgeomError
from .images import Images
from .lipschitz import lldlc
from .matching import match
from .measurement import package_version
from .models import load, models, tier
from .predictions import own_labels, validation_predictions
from .spectra import singular_spectrum
from .steps import step_response
from .torchvision_models import is_cached
from .trajectory import trajectory
from .vision_model import VisionModel
from .zoo import weights

SHOWN = ("torch", "torchvision", "timm", "transformers", "huggingface-hub", "numpy", "xarray", "matplotlib", "foolbox")
BOOK = {"jupyter_book": "jupyter-book", "jupytext": "jupytext", "nbmake": "nbmake"}


def _equivalent_images(model: VisionModel, images: Images) -> Figure:
    pictures = samples("photographs", size=model.size)
    return figures.match(match(model, pictures[[0, 2]], pictures[[1, 5]]), pairs=(0, 1))


# name -> what it shows, and the measurement and figure that show it for a model and a few images
RECIPES: dict[str, tuple[str, Callable[[VisionModel, Images], Figure]]] = {
    "equivalent-images": ("photographs changed until they embed like other photographs", _equivalent_images),
    "singular-spectrum": (
        "singular values of the Jacobian of the embedding",
        lambda model, images: figures.singular_spectrum(singular_spectrum(model, images)),
    ),
    "step-response": (
        "how far null, random and normal steps move the embedding",
        lambda model, images: figures.step_response(step_response(model, images)),
    ),
    "lldlc": (
        "local directional Lipschitz constants by kind of direction",
        lambda model, images: figures.lldlc(lldlc(model, images)),
    ),
    "direction-change": (
        "angles at which the embedding turns along straight lines of images",
        lambda model, images: figures.direction_change(direction_change(model, images, directions=20)),
    ),
    "trajectory": (
        "the embedding of a square of images around the first image, in its principal plane",
        lambda model, images: figures.trajectory(trajectory(model, images[0])),
    ),
    "reliability": (
        "confidence against accuracy on validation images",
        lambda model, images: figures.reliability(_reliability(model)),
    ),
    "travel-distance": (
        "way to the decision boundary against confidence",
        lambda model, images: figures.travel_distance(travel_distance(model, images, own_labels(model, images))),
    ),
}


def _reliability(model: VisionModel) -> xr.Dataset:
    return reliability(validation_predictions(model.name), name=model.name)


def show_models(options: argparse.Namespace) -> int:
    """Print the table of models."""
    table = models(options.tier)
    table["parameters"] = table["parameters"].map("{:,}".format)
    table["top1"] = table["top1"].map(lambda share: "" if share != share else f"{share:.1%}")
    print(table.drop(columns="licence").to_string())
    return 0


def show_figures(options: argparse.Namespace) -> int:
    """List the figures, or draw them to a folder."""
    if options.out is None:
        for name, (what, _) in RECIPES.items():
            print(f"{name:20} {what}")
        print("Draw them with: vitgeom-nb figures [NAME ...] --model vit --out DIR")
        return 0
    unknown = [name for name in options.names if name not in RECIPES]
    if unknown:
        raise ArgumentError(f"There is no figure {unknown[0]!r}; there are {', '.join(RECIPES)}.")
    if options.images < 2:
        raise ArgumentError(f"--images is {options.images}; ask for at least two.")
    model = load(options.model, device=options.device)
    images = samples("imagenet", n=options.images, size=model.size)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names or RECIPES:
        path = options.out / f"{model.name}-{name}.{options.format}"
        RECIPES[name][1](model, images).savefig(path, dpi=160)
        print(path)
    return 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _about_the_hub() -> None:
    """Whether the hub answers, and which of the papers' networks are here already."""
    wrong = hub.reachable()
    print(f"hub           {wrong or 'answers'}")
    absent = []
    for name, entry in CATALOGUE.items():
        kind, _, repo = entry.source.partition("/")
        here = is_cached(repo) if kind == "torchvision" else hub.is_cached(repo if kind == "hf" else entry.source)
        if not here:
            absent.append(name)
    count = f"{len(CATALOGUE) - len(absent)} of {len(CATALOGUE)}"
    print(f"paper tier    {count} networks fetched, those of the hub into {hub.cache_folder()}")
    if absent:
        print(f"  missing     {', '.join(absent)}: python -c 'import vitgeom_nb as vg; vg.load(\"{absent[0]}\")'")


def _about_data() -> None:
    """Which data sets are here, and what to put where for the others."""
    folder = data_folder()
    print(f"data          {folder or 'VITGEOM_DATA is not set; recorded predictions stand in for labelled images'}")
    for name, known in KNOWN.items():
        for split in known.splits:
            if not has_labelled(name, split):
                get = "put" if folder else "export VITGEOM_DATA=FOLDER, a folder that holds"
                where = f" into {folder}" if folder else ""
                also = (
                    f', or python -c \'import vitgeom_nb as vg; vg.labelled("{name}", "{split}")\''
                    if known.repo
                    else ""
                )
                print(f"  missing     {name} {split}: {get} {known.expected(split)}{where}{also}")


def doctor(options: argparse.Namespace) -> int:
    """Print what this installation has and lacks, and how to get what it lacks; 1 if an embedded model is unusable."""
    broken = 0
    print(f"vitgeom-nb    {package_version()}, Python {platform.python_version()}, {platform.platform()}")
    print(f"packages      {', '.join(f'{name} {_version(name)}' for name in SHOWN)}")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none; everything runs on the CPU"
    print(f"device        {torch.get_num_threads()} CPU threads; GPU: {gpu}")
    print(f"tier          {tier()}")
    for name in models("embedded").index:
        try:
            tensors = weights(name)
            print(f"weights       {name}: {len(tensors)} tensors, SHA-256 as on the card")
        except VitgeomError as error:
            print(f"weights       {name}: {error}")
            broken += 1
    _about_the_hub()
    _about_data()
    absent = [project for module, project in BOOK.items() if find_spec(module) is None]
    if absent:
        print(f"  missing     {', '.join(absent)}, to build and test the book: pip install 'vitgeom-nb[test]'")
    return 1 if broken else 0


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="vitgeom-nb", description=__doc__)
    top.add_argument("--version", action="version", version=f"vitgeom-nb {package_version()}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    table = commands.add_parser("models", help="the models that load() knows")
    table.add_argument("--tier", help="embedded or paper; all of them unless named")
    table.set_defaults(run=show_models)
    drawn = commands.add_parser("figures", help="list the figures, or draw them to a folder")
    drawn.add_argument("names", nargs="*", metavar="NAME", help="figures to draw; all of them unless named")
    drawn.add_argument("--model", default="vit", help="which network (default: vit)")
    drawn.add_argument("--out", type=Path, metavar="DIR", help="folder to draw to; without it figures are listed")
    drawn.add_argument("--images", type=int, default=4, metavar="N", help="ImageNet samples to measure on (default: 4)")
    drawn.add_argument("--format", default="png", choices=("png", "jpg", "webp", "svg", "pdf"))
    drawn.add_argument("--device", help="cpu (default) or cuda")
    drawn.set_defaults(run=show_figures)
    health = commands.add_parser("doctor", help="what this installation has and lacks")
    health.set_defaults(run=doctor)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; a mistake of the user is one sentence on stderr and exit status 2."""
    options = parser().parse_args(arguments)
    try:
        return options.run(options)
    except VitgeomError as error:
        print(f"vitgeom-nb: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
