"""Where measurements come from: the recorded evidence, or any mapping from networks to measurements."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import xarray as xr

from .. import settings
from ..core.arguments import checked
from ..core.measurement import Variable, measurement, open_measurement
from ..errors import ArgumentError, DataError, EvidenceWarning
from ..networks.catalogue import CATALOGUE, PUBLISHED
from ..networks.embedded import CONTROLS, FAMILIES, architecture, card, zoo_file
from ..sweeps.runs import open_run, with_summary

FOLDER = "evidence"
NOT_HERE = (
    "The recorded measurements are not at hand, for they come with a working copy of the repository and not with the "
    "package; put its folder evidence where you work to have them, or go on with what is measured here."
)


def evidence_folder() -> Path:
    """The folder of the recorded measurements: of the working copy, or beside or above where we are.

    Raises
    ------
    DataError
        If there is none.
    """
    found = _evidence_folder()
    if found is None:
        raise DataError(
            "There is no folder evidence here; put that of a working copy of the repository where you work, pass a run,"
            " or record one in a working copy with make evidence."
        )
    return found


def _evidence_folder() -> Path | None:
    here = Path.cwd()
    places = (here, here.parent, Path(__file__).resolve().parents[2])
    return next((place / FOLDER for place in places if (place / FOLDER).is_dir()), None)


class Recorded(Mapping[str, Mapping[str, xr.Dataset]]):
    """The folders of networks in a folder, each a mapping from the names of measurements to what their files hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, network: str) -> RecordedNetwork:
        if network not in list(self):
            raise KeyError(network)
        return RecordedNetwork(self.folder / network)

    def __iter__(self) -> Iterator[str]:
        return iter(_in_order(path.name for path in self.folder.iterdir() if any(path.glob("*.nc"))))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Shipped(Recorded):
    """What there is where the evidence is not at hand: the predictions that ship with the embedded networks."""

    def __init__(self) -> None:
        super().__init__(Path(FOLDER))

    def __iter__(self) -> Iterator[str]:
        return iter(FAMILIES)


class RecordedNetwork(Mapping[str, xr.Dataset]):
    """The measurements of one network, read when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, name: str) -> xr.Dataset:
        path = self.folder / f"{name}.nc"
        if path.exists():
            return _read(path, path.stat().st_mtime_ns)
        if name == "predictions" and self.folder.name in FAMILIES:
            return _shipped_predictions(self.folder.name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        names = {path.stem for path in self.folder.glob("*.nc")}
        return iter(sorted(names | ({"predictions"} if self.folder.name in FAMILIES else set())))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@cache
def _read(path: Path, changed: int) -> xr.Dataset:
    """A recorded measurement, which must be of the weights that ship."""
    found, network = open_measurement(path), path.parent.name
    of_weights = found.attrs.get("network_weights", found.attrs["weights"])
    known = network in FAMILIES or (network in CONTROLS and zoo_file(f"{network}.json").exists())
    if known and of_weights != card(network)["sha256"]:
        raise DataError(f"{path} was measured with other weights than {network} has now; delete it and record it anew.")
    return with_summary(found, found.attrs.get("measure"), int(found.attrs["seed"]))


@checked
def recorded(name: str, live: Sequence[xr.Dataset] = ()) -> list[xr.Dataset]:
    """Measurements at full size: for each live one what is recorded of its network, or itself where there is nothing.

    Recorded is what the run has that `VITGEOM_RUN` names, if any, or else the evidence. Where there is neither, as in
    an installation without a working copy, nothing is, and an `EvidenceWarning` says so.

    Parameters
    ----------
    name
        Of the measurement in the evidence.
    live
        Measurements of the same kind, whose networks are asked for; those of other weights stay as they are. Without
        them, all that is recorded of this name, but of the controls.

    Returns
    -------
    list of xarray.Dataset
        In the order of `live`, or of the networks in tables.

    Raises
    ------
    DataError
        If a recorded file is damaged, or of other weights than ship; or if `VITGEOM_RUN` names no run.

    Examples
    --------
    >>> import vitgeom_nb as vg
    >>> vg.claims.recorded("no_such_measure")
    []
    """
    known: list[Mapping[str, Mapping[str, xr.Dataset]]] = [] if settings.run_folder() is None else [open_run()]
    if not known or _evidence_folder() is not None:
        known.append(opened(None))
    if not live:
        first = {
            network: found[name]
            for some in known[::-1]
            for network, found in some.items()
            if network not in CONTROLS and name in found
        }
        return list(first.values())
    return [_at_full_size(name, one, known) for one in live]


def _at_full_size(name: str, live: xr.Dataset, known: Sequence[Mapping[str, Mapping[str, xr.Dataset]]]) -> xr.Dataset:
    for some in known:
        of_network = some.get(str(live.attrs.get("model")), {})
        if name in of_network:
            found = of_network[name]
            if live.attrs["weights"] in (found.attrs.get("network_weights"), found.attrs.get("weights")):
                return found
    return live


@cache
def _shipped_predictions(network: str) -> xr.Dataset:
    """What the predictions come to that ship with an embedded network: label, predicted label, confidence."""
    from ..calibration.predictions import recorded_predictions

    seen = recorded_predictions(network)
    z = seen.logits.double()
    variables = {
        "label": Variable(["image"], seen.labels, "1", "class of the image"),
        "predicted": Variable(["image"], z.argmax(1), "1", "class that the model names"),
        "confidence": Variable(["image"], z.softmax(1).amax(1), "1", "confidence"),
    }
    return measurement(variables).assign_attrs(model=network, weights=card(network)["sha256"])


def opened(run: Any) -> Mapping[str, Mapping[str, xr.Dataset]]:
    """A run as a mapping: the recorded evidence for None, a sweep or a folder of that layout by its path, or itself.

    Where the evidence is not at hand, `EvidenceWarning` says so, and what ships stands in its place.
    """
    if run is None:
        folder = _evidence_folder()
        if folder is not None:
            return Recorded(folder)
        # of this very line and not of its callers, so that many calls say it once
        warnings.warn(NOT_HERE, EvidenceWarning, stacklevel=1)
        return Shipped()
    if isinstance(run, (str, Path)):
        if not Path(run).is_dir():
            raise DataError(f"{run!s:.200} is not a folder of measurements; pass one, or what open_run returns.")
        swept = any((Path(run) / name).exists() for name in ("run.json", "zarr.json"))
        return open_run(run) if swept else Recorded(Path(run))
    if not isinstance(run, Mapping):
        raise ArgumentError(
            f"A run is a mapping from networks to their measurements, or a folder, not {type(run).__name__}."
        )
    wrong = next((name for name in run if not isinstance(run[name], Mapping)), None) if isinstance(run, dict) else None
    if wrong is not None:
        raise ArgumentError(
            f"What a run holds of {wrong!s:.60} is a mapping from names of measurements to these, not "
            f"{type(run[wrong]).__name__}."
        )
    return run


def family_of(network: str, given: Mapping[str, str]) -> str:
    """The class of a network: as given, as known, or `"custom"`."""
    known = architecture(network)
    if network in given:
        return given[network]
    if known in FAMILIES:
        return FAMILIES[known]
    entry = (CATALOGUE | PUBLISHED).get(network)
    return entry.family if entry else "custom"


def tier_of(network: str) -> str:
    """What a network may be compared with: those of its tier see the same images at the same size."""
    if network in FAMILIES:
        return "embedded"
    if network in CONTROLS:
        return "control"
    entry = (CATALOGUE | PUBLISHED).get(network)
    return entry.tier if entry else "own"


def _in_order(networks: Any) -> list[str]:
    """Networks as tables list them: the embedded ones, their controls, those of the catalogue, others by name."""
    known = list(dict.fromkeys([*FAMILIES, *CONTROLS, *CATALOGUE, *PUBLISHED]))
    return sorted(networks, key=lambda name: (known.index(name) if name in known else len(known), name))
