"""Images of a data set that are decoded when asked for, and never all at once unless told."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial

import torch

from ..core.images import Images, positions, printable, to_bytes
from ..core.memory import free_memory
from ..core.progress import tqdm
from ..core.provenance import PixelDigest
from ..errors import ArgumentError, DataError
from .decoding import Damaged, Part, Transform, decoded_parts, floats
from .encoded_images import Records

LOG = logging.getLogger("vitgeom_nb")
GATHERED = 64
"""Images decoded together where all of them are asked for."""


class LabelledImages:
    """Images of a data set that are decoded when asked for; what `labelled` gives.

    `data[...]` decodes some of them and `data.batches()` all of them in turn, each as `Images`; `data.pixels` is all of
    them at once, which every measurement takes as it takes `Images`. A damaged image is left out, named in `skipped` of
    the `Images` that lack it, and reported through `logging`.

    Attributes
    ----------
    labels
        `(N,)` int64, known without decoding; None where the images have no labels.
    names
        Of the images.
    class_names
        Of the classes, in the order of their labels.
    source
        Where the images come from.
    licence
        On what terms.
    sha256
        Digest of the pixels once `batches` has come to its end, None before; measurements record it.
    """

    def __init__(
        self,
        records: Records,
        order: torch.Tensor,
        *,
        source: str,
        licence: str,
        size: tuple[int, int] | None = None,
        transform: Transform | None = None,
    ) -> None:
        assert size is not None or transform is not None
        self._records, self._order, self._size = records, order.tolist(), size
        self._transform: Transform = partial(to_bytes, size=size) if transform is None else transform  # type: ignore[arg-type]
        self.labels = None if records.labels is None else records.labels[order]
        self.names = [printable(records.names[i]) for i in self._order]
        self.class_names = None if records.class_names is None else list(map(printable, records.class_names))
        self.source, self.licence = source, licence
        self.sha256: str | None = None

    def __len__(self) -> int:
        return len(self._order)

    def __repr__(self) -> str:
        shape = "own transform" if self._size is None else (3, *self._size)
        return f"LabelledImages({len(self)} x {shape}, {self.source})"

    def __getitem__(self, index: int | slice | Sequence[int] | torch.Tensor) -> Images:
        """Some of the images, decoded now, as a batch without the damaged ones: an integer gives a batch of one.

        Raises
        ------
        ArgumentError
            If the index is of another kind, or their pixels would take more than half of the memory that is free.
        IndexError
            If there is no such image.
        """
        chosen = positions(index, len(self)).tolist()
        pixels, kept, damaged = self.gathered(chosen)
        report(damaged, len(chosen))
        return self._images(pixels, kept, damaged)

    def batches(self, size: int = 64, workers: int | None = None) -> Iterator[Images]:
        """All images in order, a few at a time; what is not asked for yet is decoded only a little ahead.

        Parameters
        ----------
        size
            Images a batch: the k-th holds those at positions k size to (k+1) size, without the damaged ones. A batch of
            nothing but damaged images is passed over; its names are in `skipped` of a batch beside it.
        workers
            Threads that decode; one a processor up to 8 unless told. The result does not depend on it.

        Raises
        ------
        ArgumentError
            If `size` or `workers` is not positive, or `transform` does not give tensors of one shape.
        DataError
            If a file that holds many images is damaged, or every single image is.
        """
        _check_workers(size, workers)
        return self._batches(size, workers)

    def _batches(self, size: int, workers: int | None) -> Iterator[Images]:
        held: Images | None = None
        running = PixelDigest()
        passed: tuple[str, ...] = ()
        damaged: list[Damaged] = []
        try:
            for part in self._parts(range(len(self)), size, workers):
                damaged += part.damaged
                if not part.kept:
                    passed += tuple(name for name, _ in part.damaged)
                    continue
                if held is not None:
                    yield replace(held, skipped=held.skipped + passed)
                    passed = ()
                held = self._images(floats(part.tensors), part.kept, part.damaged)
                running.add(held.pixels)
            if held is not None:
                yield replace(held, skipped=held.skipped + passed)
            self.sha256 = running.hexdigest()
        finally:
            report(damaged, len(self))
        if held is None and damaged:
            raise DataError(f"None of the {len(damaged)} images can be decoded ({_first(damaged)}).")

    @cached_property
    def pixels(self) -> torch.Tensor:
        """All images, decoded once, `(N,3,H,W)` float32 in [0,1].

        Raises
        ------
        DataError
            If an image is damaged.
        ArgumentError
            If they would take more than half of the memory that is free.
        """
        pixels, _, damaged = self.gathered(range(len(self)))
        if damaged:
            names = ", ".join(name for name, _ in damaged[:3]) + (", ..." if len(damaged) > 3 else "")
            raise DataError(
                f"{len(damaged)} of {len(self)} images cannot be decoded ({names}); images[:] leaves them out."
            )
        return pixels

    def gathered(
        self, chosen: Sequence[int], dtype: torch.dtype = torch.float32
    ) -> tuple[torch.Tensor, list[int], list[Damaged]]:
        """Pixels of the whole ones among the images at some positions, these positions, and the damaged ones.

        `dtype` is float32 for pixels in [0,1], or uint8 for those that no transform of the caller's has made.
        """
        pixels = torch.empty(0, 3, *(self._size or (0, 0)), dtype=dtype)
        kept: list[int] = []
        damaged: list[Damaged] = []
        with tqdm(total=len(chosen), desc="decoding", unit=" images", leave=False) as bar:
            for part in self._parts(chosen, GATHERED):
                damaged += part.damaged
                if part.kept:
                    if not kept:
                        shape = part.tensors[0].shape
                        self._check_memory(len(chosen), shape.numel() * dtype.itemsize)
                        pixels = torch.empty(len(chosen), *shape, dtype=dtype)
                    batch = torch.stack(part.tensors) if dtype == torch.uint8 else floats(part.tensors)
                    pixels[len(kept) : len(kept) + len(batch)] = batch
                    kept += part.kept
                bar.update(len(part.kept) + len(part.damaged))
        return pixels[: len(kept)], kept, damaged

    def _check_memory(self, count: int, each: int) -> None:
        free = free_memory(torch.device("cpu"))
        if 2 * count * each > free:
            raise ArgumentError(
                f"The pixels of {count} images of {self.source} take {count * each / 1e9:.1f} GB, more than half of "
                f"the {free / 1e9:.1f} GB of memory that is free; use batches(), or ask for fewer with n=..."
            )

    def _images(self, pixels: torch.Tensor, kept: list[int], damaged: list[Damaged]) -> Images:
        return Images(
            pixels,
            [self.names[i] for i in kept],
            source=self.source,
            licence=self.licence,
            labels=None if self.labels is None else self.labels[kept],
            class_names=self.class_names,
            skipped=tuple(name for name, _ in damaged),
        )

    def _parts(self, chosen: Sequence[int], size: int, workers: int | None = None) -> Iterator[Part]:
        read = self._records.reader()
        parts = (chosen[start : start + size] for start in range(0, len(chosen), size))
        return decoded_parts(
            parts, lambda part: read([self._order[i] for i in part]), self.names, self._transform, workers
        )


def _check_workers(size: int, workers: int | None) -> None:
    if size < 1:
        raise ArgumentError(f"size is {size}; a batch needs at least one image.")
    if workers is not None and workers < 1:
        raise ArgumentError(f"workers is {workers}; at least one must decode.")


def _first(damaged: Sequence[Damaged]) -> str:
    return f"{damaged[0].name}: {damaged[0].reason}"


def report(damaged: Sequence[Damaged], total: int) -> None:
    """One line in the log of this package for all that was left out."""
    if damaged:
        LOG.warning("%d of %d images cannot be decoded and are left out (%s)", len(damaged), total, _first(damaged))
