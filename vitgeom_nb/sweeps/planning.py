"""What a sweep is asked for, held against what its folder has: the tasks that are left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, DataError
from ..networks.vision_model import VisionModel
from ..settings import package_version
from . import images as pictures
from . import shards
from .engines import Engine
from .entries import Entry, entries
from .measures import WHOLE
from .plan import FORMAT, Block, Listing, Network, digest_of, identity, inside, read_document, write_document
from .progress import Log, Summary
from .work import Source, Task

DTYPES = ("float32", "float64", "float16", "bfloat16")


class Unfit(DataError):
    """What one network, or one measure of it, is passed over for."""


class Plan:
    """What is asked for, checked against what the folder holds."""

    def __init__(
        self,
        models: Sequence[str | VisionModel],
        data: Any,
        asked: Any,
        out: Path,
        n: int | None,
        seed: int,
        block: int | None,
        part: tuple[int, int],
        device: str | None,
        dtype: str,
    ) -> None:
        if isinstance(asked, str) or not isinstance(asked, (Sequence, Mapping)):
            raise ArgumentError("measures takes a list of names, or a mapping from labels to them.")
        if dtype not in DTYPES:
            raise ArgumentError(f"dtype is {dtype!r}; choose one of {', '.join(DTYPES)}.")
        if not models:
            raise ArgumentError("There are no networks to measure; name at least one.")
        if not 1 <= part[0] <= part[1]:
            raise ArgumentError(f"Part {part[0]}/{part[1]} is none: parts go from 1/{part[1]} to {part[1]}/{part[1]}.")
        if (n is not None and n < 1) or (block is not None and block < 1):
            raise ArgumentError("Ask for at least one image, and at least one a block.")
        self.models, self.data, self.out, self.seed, self.part = models, data, out, seed, part
        self.device, self.dtype, self.package = device, dtype, package_version()
        self.entries = entries(asked)
        self.block = block
        self.about = pictures.about(data)
        self.n = self.about.images if n is None else n
        self.travels = isinstance(data, str) and all(isinstance(model, str) for model in models)
        for entry in self.entries:
            wanted = self.images(entry)
            if wanted > self.about.images:
                raise ArgumentError(f"{self.about.name} has {self.about.images} images, not {wanted}; ask for fewer.")
            if (entry.measure.unit == "pair" or entry.measure.partner) and self.about.images < 2:
                raise ArgumentError(f"{entry.label} takes pairs of images, and there is one.")

    def images(self, entry: Entry) -> int:
        """Images of an entry: its own number, else that of the sweep."""
        return entry.images or self.n

    def begin(self) -> None:
        """Write what the run is about, or see that it is the same as before.

        Raises
        ------
        DataError
            If the folder holds other images, another seed or another version.
        """
        path = self.out / "run.json"
        document = {"format": FORMAT, "package": self.package, "seed": self.seed, "data": asdict(self.about)}
        if path.exists() or path.is_symlink():
            before = read_document(path, format=int, package=str, seed=int, data=dict)
            for key, words in (("format", "form"), ("package", "version"), ("seed", "seed")):
                if before[key] != document[key]:
                    raise DataError(
                        f"{self.out} was made with another {words} ({before[key]!s:.40}, now {document[key]}); choose "
                        "another --out."
                    )
            if {**before["data"], "name": ""} != {**asdict(self.about), "name": ""}:
                raise DataError(
                    f"{self.out} holds measurements of other images ({before['data'].get('name')!s:.80}); choose "
                    "another --out."
                )
        else:
            if any(inside(self.out / "networks").glob("*")):
                raise DataError(f"{path} is missing beside networks/; choose another --out.")
            write_document(path, document)

    def tasks(self, used: Engine, summary: Summary, log: Log, skipped: set[tuple[str, str]]) -> Iterator[Task]:
        """What is to be measured, network by network, found as it is asked for."""
        seen: dict[str, str] = {}
        for model in self.models:
            source = Source(model, self.device, self.dtype)
            found = used.describe(source)
            name = model if isinstance(model, str) else model.name
            try:
                if not isinstance(found, Network):
                    raise Unfit(str(found))
                if found.name in seen:
                    raise Unfit(f"{seen[found.name]} is called {found.name} too; rename one.")
                self._check_network(found)
            except Unfit as error:
                summary.skip(name, str(error))
                log.line(f"{name} is skipped: {error}")
                continue
            seen[found.name] = name
            yield from self._of_network(source, found, summary, log, skipped)

    def _of_network(
        self, source: Source, found: Network, summary: Summary, log: Log, skipped: set[tuple[str, str]]
    ) -> Iterator[Task]:
        folder = self.out / "networks" / found.folder
        write_document(folder / "network.json", asdict(found))
        listed = []
        for entry in self.entries:
            try:
                if entry.measure.head and not found.head:
                    raise Unfit(f"{found.name} has no classifier head.")
                place, about, listing = self._entry(folder, entry)
            except Unfit as error:
                summary.skip(f"{found.name} {entry.label}", str(error))
                log.line(f"{found.name} {entry.label} is skipped: {error}")
                continue
            listed.append((entry, place, about, listing))
        work = [self._count(listing) for *_, listing in listed]
        summary.present += sum(there for there, _ in work)
        units = sorted({entry.measure.unit for entry, *_ in listed})
        log.begin(found.name, sum(there for there, _ in work), sum(left for _, left in work), units)
        for entry, place, about, listing in listed:
            for block in self._blocks(entry, listing, place, about | {"weights": found.weights}):
                if (found.name, entry.label) in skipped:
                    break
                yield Task(
                    str(place), source, found, self.data, entry, block, self.seed, self.about.images,
                    about | {"weights": found.weights}, self.package,
                )  # fmt: skip

    def _check_network(self, found: Network) -> None:
        """Stop a network whose name the run knows with other weights."""
        for path in sorted(inside(self.out / "networks").glob("*/network.json")):
            before = read_document(path, name=str, weights=str)
            if before["name"] == found.name and path.parent.name != found.folder and _has_shards(path.parent):
                differs = "other weights" if before["weights"] != found.weights else "another precision or layer"
                raise Unfit(f"{self.out} holds measurements of {found.name} with {differs}; choose another --out.")

    def _entry(self, folder: Path, entry: Entry) -> tuple[Path, dict[str, Any], Listing]:
        """Folder, identity and shards of an entry; its document is written, or grows by images."""
        known = identity(entry, self.about, self.seed, self.package)
        about = {"label": entry.label, "identity": digest_of(known)}
        place = folder / f"{entry.label}-{about['identity']}"
        for other in sorted(folder.glob(f"{entry.label}-*/measure.json")):
            same = other.parent != place and read_document(other, label=str)["label"] == entry.label
            if same and _has_shards(other.parent, depth=1):
                raise Unfit(
                    f"{self.out} holds {entry.label} with other parameters; choose another --out, or give these "
                    f"a label of their own: other={entry.measure.name}:..."
                )
        size, images = (entry.size if entry.block or not self.block else _up(self.block, entry)), self.images(entry)
        path = place / "measure.json"
        if path.exists():
            before = read_document(path, block=int, images=int)
            # a run keeps its blocks, and is never cut short: shards of a plan fit together
            if before["block"] >= 1 and before["images"] <= self.about.images:
                size, images = before["block"], max(images, before["images"])
        document = {**known, **about, "unit": entry.measure.unit, "block": size, "images": images}
        write_document(path, document)
        return place, about, Listing(place, images, size)

    def _mine(self, number: int) -> bool:
        return number % self.part[1] == self.part[0] - 1

    def _count(self, listing: Listing) -> tuple[int, int]:
        """Images of this part that have been measured, and that have not."""
        there = left = 0
        for number, known in enumerate(listing.there):
            if self._mine(number):
                start, stop = listing.bounds(number)
                missing = listing.failed(number) if known else stop - start
                there, left = there + stop - start - missing, left + missing
        return there, left

    def _blocks(self, entry: Entry, listing: Listing, place: Path, about: Mapping[str, Any]) -> Iterator[Block]:
        for number, known in enumerate(listing.there):
            if not self._mine(number) or (known and not listing.failed(number)):
                continue
            start, stop = listing.bounds(number)
            if not known:
                yield Block(start, stop)
                continue
            before = shards.read(place / listing.name(number), {**about, "start": start, "stop": stop})
            generation = listing.lacking[number][0]
            if entry.measure.together == WHOLE:  # each number there depends on all images
                yield Block(start, stop, generation + 1)
            else:
                yield Block(start, stop, generation, tuple(sorted(shards.failures(before))))


def _up(block: int, entry: Entry) -> int:
    together = entry.measure.together
    return -(-block // together) * together


def _has_shards(folder: Path, depth: int = 2) -> bool:
    return next(folder.glob("*/" * (depth - 1) + "*.nc"), None) is not None
