"""Damaged files for every reader of files, by the thousand: `python -m tests.soak_readers --minutes 30`.

A case is a whole file that was changed at random places, and follows from its number. A process of its own reads it,
and says how that ended: with what the file holds (`read`), with one of our errors (`refused`), or with a flaw: another
exception (`traceback`), values that cannot be (`silent`), the end of the process (`crash`), or no end (`hang`).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import logging
import multiprocessing
import platform
import random
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from PIL import Image

from vitgeom_nb.core import measurement, netcdf
from vitgeom_nb.data import encoded_images, parquet_files, tar_files
from vitgeom_nb.data.streaming import LabelledImages
from vitgeom_nb.errors import VitgeomError
from vitgeom_nb.networks import embedded

from . import tiny_data

OUTCOMES = ("read", "refused", "traceback", "silent", "crash", "hang")
FLAWS = OUTCOMES[2:]
PACKAGES = ("numpy", "torch", "xarray", "h5py", "h5netcdf", "safetensors", "pyarrow", "pillow")
HELD = 256 << 20  # bytes that the arrays of a NetCDF file may take
MEMORY = 12 << 30  # of addresses, for the process that reads
NAMES = ["a", "b", "c"]


class Flaw(Exception):
    """Values that no right reading of any file gives."""


def _require(right: bool, what: str) -> None:
    if not right:
        raise Flaw(what)


def _images_are_images(images: LabelledImages) -> None:
    """All of them: as many as there are, whole ones in [0,1] and the others named."""
    found = images[:]
    _require(len(found.pixels) + len(found.skipped) == len(images), "images are lost")
    _require(found.pixels.dtype == torch.float32, "pixels are no float32")
    _require(bool(((found.pixels >= 0) & (found.pixels <= 1)).all()), "pixels outside [0, 1]")
    labels = images.labels
    _require(labels is None or bool(((labels >= 0) & (labels < len(NAMES))).all()), "labels of no class")


def _decoded(records: encoded_images.Records) -> LabelledImages:
    count = min(len(records), 50)
    images = LabelledImages(records, torch.arange(count), source="soak", licence="none", size=(8, 8))
    _images_are_images(images)
    return images


def _read_netcdf(path: Path) -> None:
    found = netcdf.opened(path, HELD)
    _require(found.nbytes <= 4 * HELD, "more than was asked for")


def _read_safetensors(path: Path) -> None:
    tensors = embedded.read_weights(path, hashlib.sha256(path.read_bytes()).hexdigest())
    stored = sum(tensor.numel() for tensor in tensors.values())
    _require(stored <= 8 * path.stat().st_size, "more numbers than the file has bits")


def _read_parquet(path: Path) -> None:
    parquet_files.first_shards([str(path)], Path, None)
    names = parquet_files.label_names(path)
    _require(names is None or all(isinstance(name, str) for name in names), "names are no words")
    _decoded(parquet_files.shard_records([path], "image", "soak", NAMES))


def _read_tar(path: Path) -> None:
    index = tar_files.archive_index(path)
    size = path.stat().st_size
    _require(all(0 <= s.offset <= s.offset + s.size <= size for _, s in index), "images beyond the end of the file")
    reader = tar_files.span_reader([span for _, span in index])
    _decoded(encoded_images.Records([name for name, _ in index], lambda: reader))


def _read_image(path: Path) -> None:
    pixels = _decoded(encoded_images.file_records(path.parent, [path.name], None, None)).pixels
    _require(pixels.shape == (1, 3, 8, 8), "another shape")


@cache
def _whole_netcdf() -> list[bytes]:
    draw = np.random.default_rng(0)
    small = xr.Dataset(
        {"angle": (("image", "step"), draw.random((3, 4)), {"units": "rad", "long_name": "angle"})},
        coords={"image": ["a", "bb", "ccc"], "step": [1, 2, 3, 4]},
        attrs={"model": "tiny", "parameters": '{"seed": 0}', "seed": 0, "seconds": 0.5},
    )
    large = xr.Dataset({"value": ("x", draw.random(3000).round(1)), "label": ("x", np.arange(3000, dtype=np.int32))})
    packed = {"value": {"compression": "gzip", "chunksizes": (500,), "shuffle": True, "fletcher32": True}}
    empty = xr.Dataset({"nothing": ("x", np.zeros(0)), "one": ((), 1.5)})
    return [
        bytes(each)
        for each in (
            small.to_netcdf(engine="h5netcdf"),
            large.to_netcdf(engine="h5netcdf", encoding=packed),
            empty.to_netcdf(engine="h5netcdf"),
        )
    ]


@cache
def _whole_safetensors() -> list[bytes]:
    from safetensors.torch import save

    some = {"a.weight": torch.randn(4, 5), "a.bias": torch.zeros(4), "count": torch.tensor(3)}
    return [save(some), save({"half": torch.ones(7, dtype=torch.bfloat16), "none": torch.zeros(0, 3)})]


@cache
def _whole_parquet() -> list[bytes]:
    pictures = [tiny_data.encoded(seed, kind) for seed, kind in enumerate(("JPEG", "PNG", "WEBP", "JPEG", "PNG"))]
    labels = [0, 1, 2, 1, 0]
    return [
        tiny_data.shard(
            pictures, labels, names=NAMES, compression=how, row_group_size=2, use_dictionary=how == "snappy"
        )
        for how in ("snappy", "gzip", "zstd", "none")
    ]


@cache
def _whole_tar() -> list[bytes]:
    flat = tiny_data.tar({f"{i}.JPEG": tiny_data.encoded(i) for i in range(3)})
    inner = {f"n0000000{i}.tar": tiny_data.tar({f"{i}.png": tiny_data.encoded(i, "PNG")}) for i in range(2)}
    return [flat, tiny_data.tar(inner)]


@cache
def _whole_images() -> list[bytes]:
    draw = np.random.default_rng(0)
    colours = Image.fromarray(draw.integers(0, 256, (9, 7, 3), dtype=np.uint8))
    deep = Image.fromarray(draw.integers(0, 65536, (9, 7), dtype=np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6
    kinds: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (colours, "JPEG", {"exif": turned}),
        (colours, "JPEG", {"progressive": True}),
        (colours.convert("CMYK"), "JPEG", {}),
        (colours, "PNG", {}),
        (colours.convert("P"), "PNG", {"transparency": 0}),
        (deep, "PNG", {}),
        (colours.convert("RGBA"), "WEBP", {"lossless": True}),
        (colours, "WEBP", {"exif": turned}),
        (colours, "BMP", {}),
        (colours, "TIFF", {"compression": "tiff_lzw"}),
        (deep, "TIFF", {}),
        (colours.convert("F"), "TIFF", {}),
        (colours, "PPM", {}),
        (colours.convert("P"), "GIF", {}),
    ]
    found = []
    for image, kind, options in kinds:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        found.append(buffer.getvalue())
    return found


class Reader(NamedTuple):
    """A reader of files: files that are whole, what reads one, what makes a changed file more likely to be read."""

    whole: Callable[[], list[bytes]]
    read: Callable[[Path], None]
    finish: Callable[[bytes], bytes] = bytes
    suffix: str = ""
    door: Callable[[Path], Any] | None = None  # guards the reader against what crashes or holds it


def _sealed(data: bytes) -> bytes:
    return data + netcdf.SEAL + hashlib.sha256(data).hexdigest().encode()


READERS = {
    "netcdf": Reader(_whole_netcdf, _read_netcdf, suffix=".nc", door=measurement.open_measurement),
    "netcdf, sealed anew": Reader(_whole_netcdf, _read_netcdf, _sealed, ".nc", measurement.open_measurement),
    "safetensors": Reader(_whole_safetensors, _read_safetensors, suffix=".safetensors"),
    "parquet": Reader(_whole_parquet, _read_parquet, suffix=".parquet"),
    "tar": Reader(_whole_tar, _read_tar, suffix=".tar"),
    "images": Reader(_whole_images, _read_image, suffix=".png"),
}
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**63, 2**64 - 1)


def changed(data: bytes, draw: random.Random, others: Sequence[bytes]) -> bytes:
    """The bytes after one to four changes: bits, numbers, runs; parts that go, come twice or come from others."""
    new = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        size = len(new)
        at, length = draw.randrange(size + 1), min(2 ** draw.randrange(9), size)
        kind = draw.randrange(9)
        if kind == 0 and at < size:
            new[at] ^= 1 << draw.randrange(8)
        elif kind == 1 and at < size:
            new[at] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
        elif kind == 2:
            width = draw.choice((1, 2, 4, 8))
            number = draw.choice(EXTREMES) % 256**width
            new[at : at + width] = number.to_bytes(width, draw.choice(("little", "big")))
        elif kind == 3:
            new[at : at + length] = draw.randbytes(length)
        elif kind == 4:
            del new[at:]
        elif kind == 5:
            del new[at : at + length]
        elif kind == 6:
            new[at:at] = new[at : at + length]
        elif kind == 7:
            other = draw.choice(others)
            start = draw.randrange(len(other) + 1)
            new[at : at + length] = other[start : start + length]
        else:
            new[at : at + length] = bytes(length)
    return bytes(new)


def case(name: str, number: int) -> bytes:
    """The file of one case."""
    draw = random.Random(f"{name} {number}")
    whole = READERS[name].whole()
    data = draw.choice(whole)
    for _ in range(9):
        new = changed(data, draw, whole)
        if new != data:
            break
    return READERS[name].finish(new)


def outcome(read: Callable[[Path], Any], path: Path) -> tuple[str, str]:
    """How the reading of a file ends, and what was said."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read(path)
    except VitgeomError as error:
        words = str(error)
        whole = "\n" not in words and words.endswith((".", "?")) and len(words) < 1000
        return ("refused", "") if whole else ("traceback", f"no sentence: {words[:300]!r}")
    except Flaw as error:
        return "silent", str(error)
    except Exception as error:
        return "traceback", f"{error!r}"[:300]
    return "read", ""


def _work(pipe: Connection, folder: str, readers: dict[str, Reader]) -> None:
    """Read one case after the other; in a process of its own."""
    READERS.update(readers)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    logging.disable(logging.CRITICAL)  # of damaged images
    pipe.send("ready")
    while (asked := pipe.recv()) is not None:
        name, number, guarded = asked
        reader = READERS[name]
        path = Path(folder) / f"{'guarded' if guarded else 'case'}{reader.suffix}"
        path.write_bytes(case(name, number))
        pipe.send(outcome(reader.door if guarded and reader.door else reader.read, path))


class Worker:
    """A process that reads, and another one after each that is gone."""

    def __init__(self, seconds: float, readers: dict[str, Reader] | None = None) -> None:
        self._seconds, self._readers = seconds, readers or {}
        self._folder = tempfile.mkdtemp(prefix="soak-")
        self._process: Any = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._pipe.send(None)
            self._process.join(60)
        self._end()
        shutil.rmtree(self._folder)

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._pipe.close()
            self._process = None

    def _start(self) -> None:
        if self._process is None:
            spawn = multiprocessing.get_context("spawn")
            self._pipe, other = spawn.Pipe()
            self._process = spawn.Process(target=_work, args=(other, self._folder, self._readers), daemon=False)
            self._process.start()
            other.close()
            assert self._pipe.recv() == "ready"  # imports are no part of a case

    def _ask(self, name: str, number: int, guarded: bool) -> tuple[str, str]:
        self._start()
        self._pipe.send((name, number, guarded))
        found = ("hang", f"no end after {self._seconds:g} s")
        try:
            if self._pipe.poll(self._seconds + 120 * guarded):
                return self._pipe.recv()
        except EOFError:
            self._process.join()
            found = ("crash", f"exit status {self._process.exitcode}")
        self._end()
        return found

    def _door(self, name: str) -> bool:
        return (READERS | self._readers)[name].door is not None

    def read(self, name: str, number: int) -> tuple[str, str, bool]:
        """How a case ends for a caller, what was said, and whether a guard was needed for that."""
        found = self._ask(name, number, False)
        if found[0] in ("crash", "hang") and self._door(name):
            return *self._ask(name, number, True), True
        return *found, False


def soak(
    names: Iterable[str],
    wanted: Callable[[int, float], bool],
    first: int = 0,
    seconds: float = 60.0,
    readers: dict[str, Reader] | None = None,
) -> dict[str, Any]:
    """Rounds of one case a reader while `wanted(round, seconds so far)`; what came of them."""
    start, number = time.monotonic(), 0
    names = list(names)
    counts = {name: Counter(dict.fromkeys(OUTCOMES, 0)) for name in names}
    guarded = dict.fromkeys(names, 0)
    flaws: list[dict[str, Any]] = []
    with Worker(seconds, readers) as worker:
        while wanted(number, time.monotonic() - start):
            for name in names:
                how, said, needed = worker.read(name, first + number)
                counts[name][how] += 1
                guarded[name] += needed
                if how in FLAWS and len(flaws) < 50:
                    flaws.append({"reader": name, "case": first + number, "outcome": how, "said": said})
            number += 1
    return {
        "cases": sum(sum(each.values()) for each in counts.values()),
        "seconds": round(time.monotonic() - start, 1),
        "counts": {name: dict(each) for name, each in counts.items()},
        "ended_by_the_guard": guarded,
        "flaws": flaws,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "platform": platform.platform(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak for some minutes and write the summary; or look at one case."""
    told = argparse.ArgumentParser(prog="python -m tests.soak_readers", description=__doc__)
    told.add_argument("--minutes", type=float, default=30.0)
    told.add_argument("--first", type=int, default=0, metavar="N", help="number of the first case")
    told.add_argument("--out", type=Path, metavar="JSON", help="file for the summary")
    told.add_argument("--reader", choices=list(READERS), help="read one case here, without a process around it")
    told.add_argument("--case", type=int, default=0, metavar="N", help="its number")
    options = told.parse_args(arguments)
    if options.reader:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"case{READERS[options.reader].suffix}"
            path.write_bytes(case(options.reader, options.case))
            READERS[options.reader].read(path)
        return 0
    found = soak(READERS, lambda _, passed: passed < options.minutes * 60, options.first)
    text = json.dumps(found, indent=1) + "\n"
    if options.out:
        options.out.write_text(text)
    print(text, end="")
    return 1 if found["flaws"] else 0


if __name__ == "__main__":
    sys.exit(main())
