"""What is measured for a report: what applies to this network and these images, one sweep of it, and its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from ..core.images import printable
from ..core.labels import check_class_names
from ..errors import DataError, LabelError, ModelError, VitgeomError
from ..networks.vision_model import VisionModel
from ..sweeps.images import about, open_images
from ..sweeps.runs import OfNetwork, open_run
from ..sweeps.sweep import sweep
from ..sweeps.work import Source, network, said
from .sections import Planned, jacobian_limit, planned

TAKES_LABELS = ("travel_distance", "random_jump", "fgsm_path")


@dataclass(frozen=True)
class Subject:
    """A network, the images that it is shown, and how much is asked of them."""

    model: VisionModel
    images: Any
    count: int
    source: str
    digest: str
    labelled: bool
    foreign: str
    """Why the labels are not classes of the network; nothing where they are."""
    full: bool
    n: int | None
    seed: int

    @classmethod
    def of(
        cls, model: Any, images: Any, *, full: bool, n: int | None, seed: int, device: str | None, dtype: str
    ) -> Subject:
        """By names as a sweep reads them, or as they are.

        Raises
        ------
        VitgeomError
            If the network does not load, or there are no such images.
        """
        found = _loaded(Source(model, device, dtype))
        held = open_images(images, found, seed)
        known = about(held)
        name = known.name if not isinstance(images, str) else printable(images)
        labels = getattr(held, "labels", None)
        foreign = "The images have no labels." if labels is None else _foreign(found, held)
        return cls(found, held, known.images, name, known.sha256, labels is not None, foreign, full, n, seed)

    def images_of(self, one: Planned) -> int:
        """Images or pairs of a measurement: those of the table as far as there are any, or those asked for."""
        most = one.full if self.full else one.quick
        return min(most, self.count) if self.n is None or most <= 1 else self.n

    def lacks(self, one: Planned) -> str | None:
        """Why a measurement is not made, in a sentence; nothing where it is, an empty one where nobody misses it."""
        model, rows = self.model, self.model.dim
        pixels = 3 * model.size[0] * model.size[1]
        too_many = rows * pixels > jacobian_limit(self.full)
        no_rows = f"The whole Jacobian of {model.name} takes {rows:,} backward passes an image"
        reasons = {
            "head": "" if model.has_logits else f"{model.name} has no classifier head.",
            "classes": self.foreign,
            "labels": "" if self.labelled else "The images have no labels.",
            "pairs": "" if self.count > 1 else "There is one image, and this takes pairs.",
            "jacobian": f"{no_rows}{', too many here.' if self.full else '; a full report computes it.'}"
            if too_many
            else "",
        }
        for need in one.needs:
            if need == "no-jacobian":
                if not too_many:
                    return ""
            elif reasons[need]:
                return reasons[need]
        if not (one.full if self.full else one.quick):
            return "It takes too long for a quick report; a full one measures it."
        return None


@dataclass(frozen=True)
class Outcome:
    """What was measured, and why the rest was not."""

    measured: Mapping[str, xr.Dataset]
    reasons: Mapping[str, str]
    """Label -> why there is nothing of it; an empty sentence where nobody misses it."""
    failures: Mapping[str, Mapping[int, str]]
    """Label -> number of an image that failed -> why, of what was measured."""
    seconds: Mapping[str, float]
    sizes: Mapping[str, int]


def measure(subject: Subject, run: Path) -> Outcome:
    """Measure all that applies, into a run that goes on where it was.

    Raises
    ------
    DataError
        If the folder holds other images, another version, seed or network of this name, is full or cannot be written,
        or nothing at all could be measured.
    Interrupted
        If someone stops it; the same call goes on.
    """
    reasons = {one.label: why for one in planned() if (why := subject.lacks(one)) is not None}
    asked = [one for one in planned() if one.label not in reasons]
    name = subject.model.name
    done = sweep(
        [subject.model],
        data=subject.images,
        measures={one.label: (one.made_by, _parameters(subject, one)) for one in asked},
        out=run,
        seed=subject.seed,
    )
    if done.stopped is not None:
        raise DataError(done.stopped)
    if name in done.skipped:
        raise DataError(done.skipped[name])
    there: Mapping[str, Any] = open_run(run).get(printable(name)[:200], {})
    measured, failures, seconds = {}, {}, {}
    for one in asked:
        label = one.label
        if label not in there:
            reasons[label] = done.skipped.get(f"{name} {label}", "Nothing was measured.")
            continue
        assert isinstance(there, OfNetwork)
        failed = there.failures(label)
        found = there[label].load()
        if not found.sizes.get("image", found.sizes.get("pair", 0)):
            reasons[label] = next(iter(failed.values()), "Nothing was measured.")
            continue
        measured[label], failures[label], seconds[label] = found, failed, there.seconds(label)
    if not measured:
        why = next((reasons[one.label] for one in asked), "nothing applies to it.")
        raise DataError(f"Nothing of {name} could be measured: {why}")
    sizes = {one.label: subject.images_of(one) for one in asked}
    return Outcome(measured, reasons, failures, seconds, sizes)


def _parameters(subject: Subject, one: Planned) -> dict[str, Any]:
    own = {"labels": "own"} if subject.foreign and one.label in TAKES_LABELS else {}
    most = min(subject.model.dim, 3 * subject.model.size[0] * subject.model.size[1])  # singular values that J has
    given = dict(one.parameters)
    if "ranks" in given:
        given["ranks"] = [rank for rank in given["ranks"] if rank <= most]
    if "k" in given:
        given["k"] = min(given["k"], most)
    block = {"block": one.block} if one.block else {}
    return {**given, "images": subject.images_of(one), **block, **own}


def _loaded(source: Source) -> VisionModel:
    try:
        return network(source)
    except VitgeomError:
        raise
    except Exception as error:  # whatever a file of one's own raises
        raise ModelError(f"{source.model!s:.200} does not load ({said(error).rstrip('.')}).") from error


def _foreign(model: VisionModel, held: Any) -> str:
    """Why labels are not classes of a network, as far as one can tell; nothing where they may be."""
    if not model.has_logits:
        return f"{model.name} has no classifier head."
    labels = torch.as_tensor(held.labels)
    first = held[[0]]
    classes = int(model.logits_in_batches(model.pixels(first)).shape[1])
    names = held.class_names
    if int(labels.max()) >= classes or int(labels.min()) < 0 or (names is not None and len(names) != classes):
        count = len(names) if names is not None else int(labels.max()) + 1
        return f"The labels of the images number {count:,} classes, and {model.name} knows {classes:,} others."
    try:
        check_class_names(held, model.classes, model.name)
    except LabelError:
        return f"The labels of the images are of other classes than those that {model.name} knows."
    return ""
