"""Recording the evidence: what the list says is swept, reduced, and kept as one file a network and measure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .. import settings
from ..core.arguments import checked
from ..core.measurement import open_measurement, save_measurement
from ..core.provenance import known
from ..core.whole_files import made_folder
from ..errors import ArgumentError, DataError
from ..networks.vision_model import VisionModel
from ..sweeps.plan import Network, slug
from ..sweeps.progress import Summary
from ..sweeps.runs import open_run
from ..sweeps.sweep import sweep
from ..sweeps.work import Source, describe
from .evidence import Planned, evidence, kept_of, networks_of
from .runs import FOLDER

RECORDED, THERE = "recorded", "there before"
COLUMNS = ("network", "measure", "n", "said")
COMPRESSED = {"zlib": True, "complevel": 6, "shuffle": True}


@checked
def record(
    tier: str = "embedded",
    *,
    networks: Sequence[str | VisionModel] | None = None,
    measures: Sequence[str] | None = None,
    run: str | Path | None = None,
    into: str | Path = FOLDER,
    workers: int | None = None,
    scheduler: str | None = None,
    device: str | None = None,
) -> pd.DataFrame:
    """Measure the evidence of a tier, and keep one small file a network and measure, which the claims read.

    Every measurement of `evidence(tier)` is a sweep into one run; whatever ends it, the same call goes on where it was.
    A file is written when its measurement is complete, never before. Files of the same weights, images and parameters
    that are there already stay.

    Parameters
    ----------
    tier
        As for `evidence`.
    networks
        Which, as `sweep` takes them; those of the tier unless told.
    measures
        Which, by their names in the evidence; all unless told.
    run
        Folder of the run; one in the user's cache unless told. It holds everything that was measured.
    into
        Folder of the files, `<network>/<measure>.nc`; `evidence` here unless told.
    workers, scheduler, device
        As for `sweep`.

    Returns
    -------
    pandas.DataFrame
        Columns `network`, `measure`, `n` (images or pairs), and `said`: `recorded`, `there before`, or why not.

    Raises
    ------
    ArgumentError
        If there is no such tier or measure, or workers cannot be had.
    DataError
        If the folder of the run holds other images, another seed or version, or a file cannot be written.
    Interrupted
        If someone stops it.

    Examples
    --------
    >>> import tempfile, vitgeom_nb as vg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     places = {"run": f"{folder}/run", "into": f"{folder}/kept"}
    ...     done = vg.claims.record("pretrained", networks=["resnet"], measures=["step_law"], **places)
    ...     kept = vg.open_measurement(f"{folder}/kept/resnet/step_law.nc")
    >>> done.said.tolist(), kept.sizes["image"]
    (['recorded'], 6)
    """
    plan = _chosen(evidence(tier), measures)
    out = settings.evidence_work(tier) if run is None else Path(run)
    engine = {"workers": workers, "scheduler": scheduler, "device": device}
    asked = networks_of(tier) if networks is None else networks
    found = [(model, describe(Source(model, device))) for model in asked]
    rows = []
    for planned in plan:
        for model, network in found:
            if isinstance(network, Network):
                place = Path(into) / slug(network.name) / f"{planned.name}.nc"
                said = _one(model, network, planned, out, place, engine)
                rows.append((network.name, planned.name, planned.size, said))
    rows += [(str(model), "", 0, why) for model, why in found if not isinstance(why, Network)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _chosen(plan: Sequence[Planned], names: Sequence[str] | None) -> list[Planned]:
    there = [planned.name for planned in plan]
    for name in names or ():
        if name not in there:
            raise ArgumentError(f"There is no measurement {name!r} in this evidence; there are {', '.join(there)}.")
    return [planned for planned in plan if names is None or planned.name in names]


def _one(model: Any, network: Network, planned: Planned, out: Path, place: Path, engine: dict[str, Any]) -> str:
    """Record one measurement of one network, unless its file is there; what became of it, in words."""
    if is_recorded(place, network, planned):
        return THERE
    asked = {planned.name: (planned.measure, planned.parameters)}
    done = sweep([model], data=planned.data, measures=asked, out=out, n=planned.size, seed=planned.seed, **engine)
    if not done.complete:
        return next(_reasons(done))
    of_network = open_run(out)[network.name]
    unit = "pair" if planned.pairs else "image"
    measured = of_network.measured(planned.name).isel({unit: slice(planned.size)})
    kept = kept_of(measured, planned)
    kept.attrs |= {
        "recorded": json.dumps(planned.identity, sort_keys=True),
        "network_weights": network.weights,  # those of an untrained one are fresh
        "run_sha256": known(measured)["sha256"],
        "seconds": round(of_network.seconds(planned.name), 3),
    }
    for variable in kept.variables.values():
        if variable.dtype.kind in "iufb" and variable.size > 100:
            variable.encoding = dict(COMPRESSED)
    made_folder(place.parent)
    save_measurement(kept, place)
    return RECORDED


def is_recorded(place: Path, network: Network, planned: Planned) -> bool:
    """Whether a file holds this measurement of these weights; what else it holds is measured anew."""
    if not place.exists():
        return False
    try:
        attrs = open_measurement(place).attrs
    except DataError:
        return False
    said = json.dumps(planned.identity, sort_keys=True)
    return attrs.get("network_weights") == network.weights and attrs.get("recorded") == said


def _reasons(done: Summary) -> Iterator[str]:
    if done.stopped:
        yield done.stopped
    yield from done.skipped.values()
    for failed in done.failed.values():
        number, why = next(iter(failed.items()))
        yield f"{len(failed)} could not be measured, image {number}: {why}"
    yield "some could not be measured"
