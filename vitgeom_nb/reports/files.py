"""The files beside the page of a report: measurements, tables and figures, each whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import xarray as xr

from ..core.measurement import save_measurement
from ..core.whole_files import made_folder, write_whole
from .findings import Said
from .tables import rows

FOLDERS = ("measurements", "tables", "figures")


class Link(NamedTuple):
    """A file beside the page: its address from there, and its size in bytes."""

    address: str
    size: int


def made(out: Path) -> Path:
    """The folder of a report, with those in it.

    Raises
    ------
    DataError
        If it cannot be one.
    """
    for name in FOLDERS:
        made_folder(out / name)
    return out


def write_measurements(out: Path, measured: Mapping[str, xr.Dataset]) -> dict[str, tuple[Link, Link]]:
    """Label -> its measurement as NetCDF and its table as CSV."""
    links = {}
    for label, found in measured.items():
        save_measurement(found, out / "measurements" / f"{label}.nc")
        table = _table(out, label, rows(found))
        links[label] = (_link(out, f"measurements/{label}.nc"), table)
    return links


def write_tables(out: Path, sentences: Sequence[Said], claims: pd.DataFrame) -> dict[str, Link]:
    """The numbers of all sentences, and the ledger."""
    numbers = pd.DataFrame(
        [
            {
                "section": one.section,
                "quantity": one.quantity,
                "estimate": one.estimate,
                "low": one.low,
                "high": one.high,
                "n": one.n,
                "unit": one.unit,
                "sentence": one.text,
            }
            for one in sentences
        ]
    )
    return {"summary": _table(out, "summary", numbers), "claims": _table(out, "claims", claims)}


def write_figure(out: Path, name: str, drawn: bytes) -> Link:
    """A figure as a file of its own."""
    address = f"figures/{name}.svg"
    write_whole(out / address, drawn)
    return _link(out, address)


def _table(out: Path, name: str, table: pd.DataFrame) -> Link:
    address = f"tables/{name}.csv"
    write_whole(out / address, table.to_csv(index=False).encode("utf-8", "backslashreplace"))
    return _link(out, address)


def _link(out: Path, address: str) -> Link:
    return Link(address, (out / address).stat().st_size)
