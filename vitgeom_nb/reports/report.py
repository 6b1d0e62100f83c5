"""A report: one page on one network, with everything that it is made of beside it."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..claims import html as claims_html
from ..claims.sentences import claims
from ..core.arguments import checked
from ..core.whole_files import write_whole
from ..errors import ArgumentError
from ..networks.vision_model import VisionModel
from . import files
from .drawn import drawn, explored
from .findings import Said, said
from .ledger import ledger
from .measuring import Outcome, Subject, measure
from .page import Drawn, Page, Part, html
from .provenance import settings, times
from .sections import Section, planned, sections

FAMILIES = ("transformer", "CNN")
NO_NUMBER = "It was measured, but no image has a number for it, as one that starts with a wrong label has no way to go."


@checked
def report(
    model: str | VisionModel,
    images: Any,
    *,
    out: str | os.PathLike[str],
    full: bool = False,
    n: int | None = None,
    family: str | None = None,
    seed: int = 0,
    device: str | None = None,
    dtype: str = "float32",
) -> Path:
    """Measure a network on a small sample of images, and write one page of what was found.

    The page, `index.html`, is one file that asks nobody for anything: a summary in sentences that were computed, every
    figure with its data, sliders, the claims of the papers on this network beside the embedded ones, and the settings.
    Beside it stand `measurements/` (NetCDF), `tables/` (CSV), `figures/` (SVG) and `run/`, the sweep that it is made
    of: whatever ends the work, the same call goes on where it was. What does not apply to the network or its images is
    left out, and the page says why.

    Parameters
    ----------
    model
        A name for `load`, `path/to/file.py:name` of a model or a function that makes one, or a model.
    images
        A folder of pictures, of any kind or of one folder a class; `"tiny-imagenet:valid"` and so on as for `labelled`;
        `"samples:imagenet"`; `"path/to/file.py:name"`; or images. Those of a data set or folder are drawn with the
        seed, others taken in their order.
    out
        Folder of the report.
    full
        Hundreds of images a measurement, for hours, in place of a few, for minutes. It goes on from what is there.
    n
        So many images for each measurement instead.
    family
        `"transformer"` or `"CNN"`, for a network that `models` does not list: sentences about a class are judged on
        networks of that class alone.
    seed
        Of everything random.
    device, dtype
        Where and in which precision a network that is loaded by name computes, as for `load`.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    ArgumentError
        If there are fewer than `n` images, or no such class of networks.
    ModelError
        If the network does not load.
    DataError
        If there are no such images, nothing of the network can be measured, or the folder cannot be written or holds
        the report of other images, another seed, version or weights.
    Interrupted
        If someone stops it; the same call goes on.

    Examples
    --------
    >>> import tempfile, torch, vitgeom_nb as vg
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5), torch.nn.Tanh())
    >>> model = vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=4, name="mine")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = vg.report(model, torch.rand(2, 3, 4, 4), out=folder).read_text()
    >>> "mine has no classifier head." in page
    True
    """
    if family is not None and family not in FAMILIES:
        raise ArgumentError(f"family is {family!r}; it is {' or '.join(FAMILIES)}.")
    if n is not None and n < 1:
        raise ArgumentError(f"n is {n}; ask for one image or more.")
    subject = Subject.of(model, images, full=full, n=n, seed=seed, device=device, dtype=dtype)
    folder = files.made(Path(out).expanduser())
    outcome = measure(subject, folder / "run")
    kind = family or subject.model.family
    page = _page(subject, outcome, kind if kind in FAMILIES else "custom", folder)
    target = folder / "index.html"
    write_whole(target, html(page).encode())
    return target


def _page(subject: Subject, outcome: Outcome, family: str, out: Path) -> Page:
    """What the page says, and the files beside it."""
    model, measured = subject.model, outcome.measured
    links = files.write_measurements(out, measured)
    words = {"components": f"{model.dim:,}", "pixels": f"{3 * model.size[0] * model.size[1]:,}"}
    parts, left_out = [], []
    for section in sections():
        missing = [label for label in section.reads if label not in measured]
        found = said(section, measured, words, subject.seed)
        if missing and not (set(section.reads) & set(measured) and found):
            left_out.append((section.title, outcome.reasons[missing[0]]))
        elif not found:
            left_out.append((section.title, NO_NUMBER))
        else:
            parts.append(_part(section, found, outcome, links, out))
    read = {label for section in sections() for label in section.reads}
    left_out += [
        (f"Claim {' and '.join(ids)} of the ledger", outcome.reasons[one.label])
        for one in planned()
        if one.label not in read and one.label in outcome.reasons and (ids := _claims_of(one.label))
    ]
    table, beside = ledger(model.name, measured, family, subject.seed)
    now = datetime.datetime.now(datetime.UTC)
    return Page(
        name=model.name,
        lead=f"{model.dim:,} components at {model.size[0]} x {model.size[1]} pixels, measured on images of "
        f"{subject.source}. Every number below comes from these measurements.",
        parts=parts,
        left_out=[(what, why) for what, why in left_out if why],
        ledger=claims_html(table),
        beside=beside,
        tables=files.write_tables(out, [one for part in parts for one in part.sentences], table),
        settings=settings(subject, family, now),
        times=times(outcome),
    )


def _claims_of(label: str) -> list[str]:
    """The claims that read a measurement."""
    return [claim.id for claim in claims().values() if label in claim.reads]


def _part(
    section: Section,
    found: list[Said],
    outcome: Outcome,
    links: Mapping[str, tuple[files.Link, files.Link]],
    out: Path,
) -> Part:
    labels = [
        label for label in dict.fromkeys([*section.reads, *(of for _, of in section.explorers)]) if label in links
    ]
    figures = [
        Drawn(whole, narrow, section.shows, files.write_figure(out, name, whole.svg))
        for name, whole, narrow in drawn(section, outcome.measured)
    ]
    data = [(label, *links[label]) for label in labels]
    explorers = explored(section, outcome.measured)
    notes = [*_notes(outcome, labels), *_without_sliders(section, outcome)]
    return Part(section.name, section.title, found, figures, explorers, data, notes)


def _without_sliders(section: Section, outcome: Outcome) -> list[str]:
    """Why explorers that the section would have are not there."""
    return [
        f"Sliders are left out here: {outcome.reasons[label]}"
        for _, label in section.explorers
        if outcome.reasons.get(label) and label not in section.reads
    ]


def _notes(outcome: Outcome, labels: list[str]) -> list[str]:
    """Of images that failed, how many and why the first did."""
    return [
        f"Of {len(failed) + _count(outcome, label)} images or pairs of {label} {len(failed)} failed: "
        f"{next(iter(failed.values()))}"
        for label in labels
        if (failed := outcome.failures[label])
    ]


def _count(outcome: Outcome, label: str) -> int:
    sizes = outcome.measured[label].sizes
    return sizes.get("pair", sizes.get("image", 0))
