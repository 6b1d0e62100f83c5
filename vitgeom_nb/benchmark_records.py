"""Recorded speeds of the engines: what `make bench` wrote, as one table and in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .core.arguments import checked
from .errors import DataError
from .networks.embedded import card, zoo_file

ROLES = ("ours", "variant", "peer", "floor")
NAMES = ("engine", "network", "contender", "role")
NUMBERS = ("share", "median", "ratio", "ratio_lower_quartile", "ratio_upper_quartile", "peak_memory_mb", "at")
MACHINE = ("processor", "accelerator", "cores", "threads", "date", "versions")
COLUMNS = (*NAMES, "device", *NUMBERS, "rounds", "failure", "axis", *MACHINE, "weights")
DEVICES = {"cpu": "CPU", "cuda": "GPU"}
GROWTH = "growth"  # the engine whose records have an axis
PORTIONS = ("batch", "at a time")  # axes along which the same work is done in other portions
# in the order of the book
ENGINES = (
    "jacobian", "spectrum", "whole", "leading", "matching", "forward", "lldlc", "travel", "imports", "busy",
)  # fmt: skip


@checked
def speed(folder: str | Path) -> pd.DataFrame:
    """Read the speeds that `python -m benchmarks` recorded, a row a record.

    Contenders for one task were timed in turn, round by round, in one process. With :math:`t_r` the time of a
    contender in round :math:`r` and :math:`t^o_r` that of this package,

    .. math:: \\text{median} = \\mathrm{med}_r\\, t_r, \\qquad \\text{ratio} = \\mathrm{med}_r\\, t_r / t^o_r .

    Parameters
    ----------
    folder
        Holds the files `<engine>-<device>.json`.

    Returns
    -------
    pandas.DataFrame
        Columns: `engine`, `network`, `contender`, its `role` (`"ours"`; `"variant"`, ours in another setting;
        `"peer"`; `"floor"`, what the machine would need at least) and the `device`; `median` [s], `ratio` and its
        quartiles `ratio_lower_quartile` and `ratio_upper_quartile`, over `rounds` rounds; the `share` of the task
        that was timed (times are for all of it); `peak_memory_mb`, above the loaded network; `failure`, the reason if
        there is no time; `axis` and `at`, what was varied in records of growth; `processor`, `accelerator`, `cores`,
        `threads`, `date`, `versions`; `weights`, the digest of an embedded network's weights; `error`, relative, and
        whatever else was recorded, such as `evaluations`. What a record lacks is NaN.

    Raises
    ------
    DataError
        If there are no records, or a file is damaged.

    Examples
    --------
    >>> import json, pathlib, tempfile, vitgeom_nb as vg
    >>> record = {"engine": "jacobian", "network": "vit", "contender": "ours", "role": "ours",
    ...           "seconds": [0.1, 0.3, 0.2], "median": 0.2, "ratio": 1.0, "machine": {"processor": "mine"}}
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = pathlib.Path(folder.name, "jacobian-cpu.json").write_text(json.dumps({"records": [record]}))
    >>> vg.speed(folder.name)[["network", "device", "median", "rounds", "processor"]]
      network device  median  rounds processor
    0     vit    cpu     0.2       3      mine
    >>> folder.cleanup()
    """
    files = sorted(Path(folder).glob("*-*.json"))
    rows = [row for file in files for row in _rows(file)]
    if not rows:
        raise DataError(f"There are no recorded speeds in {folder}; `make bench` measures them.")
    place = {engine: i for i, engine in enumerate(ENGINES)}
    found = pd.DataFrame(sorted(rows, key=lambda row: place.get(row["engine"], len(place))))
    more = [column for column in found.columns if column not in COLUMNS]
    return found.reindex(columns=[*COLUMNS, *dict.fromkeys(["error", *more])])


def _rows(file: Path) -> list[dict[str, Any]]:
    device = file.stem.rpartition("-")[2]
    try:
        return [_row(record, device) for record in json.loads(file.read_text(encoding="utf-8"))["records"]]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = str(error).split("\n")[0].rstrip(".") or type(error).__name__
        raise DataError(
            f"{file} does not hold recorded speeds ({reason}); remove it, and `make bench` measures them again."
        ) from None


def _row(record: Mapping[str, Any], device: str) -> dict[str, Any]:
    row = dict(record["machine"]) | {k: v for k, v in record.items() if k not in ("machine", "seconds")}
    versions = row.get("versions") or {}
    row["versions"] = ", ".join(f"{package} {number}" for package, number in versions.items())
    # a failure stands in `error` as words; a number there is an accuracy
    row["failure"] = row.pop("error") if isinstance(row.get("error"), str) else ""
    row |= {key: float("nan" if row.get(key) is None else row[key]) for key in NUMBERS}
    row["rounds"] = 0 if row["failure"] else len(record["seconds"])
    missing = [key for key in NAMES if not isinstance(row.get(key), str)]
    if missing or row["role"] not in ROLES or (np.isnan(row["median"]) and not row["failure"]):
        raise ValueError(f"a record without {' and '.join(missing) or 'a role and a time'}")
    return row | {"device": device} | {key: float(value) for key, value in row.items() if isinstance(value, bool)}


def duration(seconds: float) -> str:
    """A time in a fitting unit, to two digits or whole: `"0.85 ms"`, `"23 ms"`, `"4.1 s"`, `"210 s"`."""
    value, unit = (1e3 * seconds, "ms") if seconds < 1 else (seconds, "s")
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.2g} {unit}"


def _between(values: pd.Series, dash: str = " to ") -> str:
    """The range of some ratios."""
    return dash.join(dict.fromkeys(f"{end:.2f}" for end in (values.min(), values.max()))) if len(values) else "–"


def _contests(table: pd.DataFrame) -> pd.DataFrame:
    """Records of contests that were timed."""
    return table[(table.engine != GROWTH) & table["median"].notna()]


def _over_floor(table: pd.DataFrame) -> pd.Series:
    return 1 / table[table.role == "floor"].ratio.dropna()


def falls_short(table: pd.DataFrame) -> pd.Series:
    """Whether a contender reached its goal (`converged`) less often than ours in the same contest, a truth a record."""
    if "converged" not in table:
        return pd.Series(False, index=table.index)
    contest = ["engine", "device", "network"]
    ours = table[table.role == "ours"].groupby(contest).converged.max()
    there = ours.reindex(pd.MultiIndex.from_frame(table[contest]))
    return pd.Series(table.converged.to_numpy(float) < there.to_numpy(float), index=table.index)


def _fastest(table: pd.DataFrame) -> pd.DataFrame:
    """The fastest peer of each contest, of those that reached the goal as often as ours."""
    peers = table[(table.role == "peer") & table.ratio.notna() & ~falls_short(table)]
    return peers.loc[peers.groupby(["engine", "device", "network"], sort=False).ratio.idxmin()]


def faster_peers(table: pd.DataFrame) -> pd.DataFrame:
    """Peers whose median ratio is below one, a row an engine, device and peer, the fastest of an engine first.

    Columns: `engine`, `device`, and `words`, which name the peer, its networks, its ratios, and what it pays for them:
    the largest error of both where one was recorded, and whether it reached its goal less often than ours.
    """
    timed = _contests(table).assign(short=falls_short)
    error = next((name for name in timed.columns if "error" in name), None)
    ours = timed[timed.role == "ours"]
    place = timed.engine.map(list(dict.fromkeys(timed.engine)).index)
    quicker = timed.assign(place=place)[(timed.role == "peer") & (timed.ratio < 1)]
    quicker = quicker.sort_values(["place", "device", "ratio"])
    rows = []
    for (engine, device, name, short), peer in quicker.groupby(["engine", "device", "contender", "short"], sort=False):
        noted = [_between(peer.ratio)]
        if error and peer[error].notna().any():
            beside = ours[(ours.engine == engine) & (ours.device == device) & ours.network.isin(peer.network)]
            noted.append(f"{error} {peer[error].max():.0e}, ours {beside[error].max():.0e}")
        noted += ["reaching the goal less often"] * short
        rows.append((engine, DEVICES.get(device, device), f"{name} on {', '.join(peer.network)} ({'; '.join(noted)})"))
    return pd.DataFrame(rows, columns=["engine", "device", "words"])


def overview(table: pd.DataFrame) -> pd.DataFrame:
    """One row an engine and device: ours over the floor and the fastest peer over ours, as ranges over networks."""
    rows = {}
    for (engine, device), timed in _contests(table).groupby(["engine", "device"], sort=False):
        floor, fastest = _over_floor(timed), _fastest(timed)
        rows[f"{engine}, {DEVICES.get(device, device)}"] = {
            "ours / floor": _between(floor, "–"),
            "fastest peer / ours": _between(fastest.ratio, "–"),
            "a peer is faster on": f"{(fastest.ratio < 1).sum()} of {timed.network.nunique()}",
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def sentence(table: pd.DataFrame, engine: str) -> str:
    """What the records of an engine say in words, a paragraph a device: ours, floor, peers, whoever was faster."""
    one = table[table.engine == engine]
    said = [_said(records, device) for device, records in one.groupby("device", sort=False)]
    return "\n\n".join(said) or f"No speed of “{engine}” is recorded here."


def _said(records: pd.DataFrame, device: str) -> str:
    timed = _contests(records)
    ours = timed[timed.role == "ours"].sort_values("median")
    said = []
    if len(ours):
        ends = [f"{duration(row['median'])} on {row['network']}" for _, row in ours.iloc[[0, -1]].iterrows()]
        said.append(f"On the {DEVICES.get(device, device)}, ours takes {' to '.join(dict.fromkeys(ends))}")
        floor, fastest = _over_floor(timed), _fastest(timed)
        said[-1] += f": {_between(floor)} times the floor." if len(floor) else "."
        if len(fastest):
            said.append(f"The fastest peer takes {_between(fastest.ratio)} times as long as ours.")
            quicker = list(faster_peers(timed).words)
            said.append(f"Faster than ours: {'; '.join(quicker)}." if quicker else "No peer is faster.")
    failed = [f"{_named(r)} ({r['failure']})" for _, r in records[records.failure != ""].iterrows()]
    return " ".join([*said, *([f"Did not finish: {'; '.join(failed)}."] if failed else [])])


def _named(record: pd.Series) -> str:
    return f"{record['contender']} on {record['network']}"


def results(table: pd.DataFrame, engine: str) -> pd.DataFrame:
    """All contenders of an engine, for reading: time, ratio to ours with quartiles, memory, and what else was recorded.

    Ours comes first, then variants of it, then peers by time, then the floor.
    """
    one = table[table.engine == engine]
    rank = one.role.map(dict(zip(ROLES, range(len(ROLES)), strict=True)))
    networks = list(dict.fromkeys(one.network))
    order = one.assign(rank=rank, place=one.network.map(networks.index))
    one = one.loc[order.sort_values(["device", "place", "rank", "median"]).index]
    shown = pd.DataFrame(
        {
            "time": [_time(r) for _, r in one.iterrows()],
            "× ours": one.ratio.map(_number).values,
            "quartiles": [
                f"{r['ratio_lower_quartile']:.2f}–{r['ratio_upper_quartile']:.2f}" for _, r in one.iterrows()
            ],
            "MB": one.peak_memory_mb.map(_number).values,
        },
        index=pd.MultiIndex.from_frame(
            one[[*(["device"] if one.device.nunique() > 1 else []), "network", "contender"]]
        ),
    )
    shown["quartiles"] = shown["quartiles"].where(one.ratio.notna().values, "–")
    for name in _recorded(one):
        shown[name] = one[name].map(_number).values
    return shown


def _recorded(one: pd.DataFrame) -> list[str]:
    """Further columns in which contenders of one contest differ; settings are the same for all of them."""
    contests = one.groupby(["device", "network"])
    more = [name for name in one.columns if name not in COLUMNS and one[name].notna().any()]
    return [name for name in more if (contests[name].nunique(dropna=False) > 1).any()]


def _time(record: pd.Series) -> str:
    if record["failure"]:
        return record["failure"][:60]
    return duration(record["median"]) + (f" (from {record['share']:.0%})" if record["share"] < 1 else "")


def _number(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "–" if pd.isna(value) else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def provenance(table: pd.DataFrame) -> str:
    """The machines, days and versions of the records, as a Markdown list."""
    about = table[["device", *MACHINE]].drop_duplicates()
    lines = []
    for key, each in about.groupby([name for name in about.columns if name != "date"], sort=False, dropna=False):
        one = dict(zip(["device", "processor", "accelerator", "cores", "threads", "versions"], key, strict=True))
        place = [str(one[name]) for name in ("accelerator", "processor") if not pd.isna(one[name])]
        threads = [f"{one[k]:.0f} {k[:-1] if one[k] == 1 else k}" for k in ("cores", "threads") if not pd.isna(one[k])]
        days = sorted({str(day) for day in each.date.dropna()})
        said = "; ".join(filter(None, [", ".join(place + threads), ", ".join(days), one["versions"]]))
        lines.append(f"- {DEVICES.get(one['device'], one['device'])}: {said}")
    return "\n".join(lines)


def earlier_weights(table: pd.DataFrame) -> dict[str, list[str]]:
    """Engines by embedded network whose records were taken with other weights than those that ship, or do not say."""
    named = {name: table[table.network == name] for name in dict.fromkeys(table.network)}
    shipped = {name: card(name)["sha256"] for name in named if zoo_file(f"{name}.json").exists()}
    found = {
        name: list(dict.fromkeys(named[name].engine[named[name].weights != digest])) for name, digest in shipped.items()
    }
    return {name: engines for name, engines in found.items() if engines}


def growth_exponents(table: pd.DataFrame) -> pd.DataFrame:
    """How time grows: the exponent p of `time ~ size^p`, by least squares in logarithms over a whole curve.

    A row is a contender, with its device where there are several; a column is what was varied, unless that is only how
    the same work is split. Proportional is 1, constant is 0.
    """
    grown = table[(table.engine == GROWTH) & (table["median"] > 0) & (table["at"] > 0)]
    grown = grown[~grown.axis.isin(PORTIONS)]
    rows: dict[str, dict[str, float]] = {}
    for (name, device, axis), points in grown.groupby(["contender", "device", "axis"], sort=False):
        if points["at"].nunique() > 1:
            if grown.device.nunique() > 1:
                name = f"{name}, {DEVICES.get(device, device)}"
            slope = np.polyfit(np.log(points["at"]), np.log(points["median"]), 1)[0]
            rows.setdefault(name, {})[axis] = round(float(slope), 2)
    return pd.DataFrame.from_dict(rows, orient="index")
