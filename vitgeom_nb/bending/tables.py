"""Measurements of bending as tables, one row a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr

from ..core.measurement import parameters
from ..errors import ArgumentError
from ..statistics.bootstrap import over_images, thinned
from ..statistics.tables import interval, table
from .direction_change import NOISY

AFFINE = ("convolution", "linear", "average pooling")


def angles(bend: xr.Dataset) -> np.ndarray:
    """Direction changes `(image, ...)` in degrees, or evenly spaced quantiles of those of each image.

    Raises
    ------
    ArgumentError
        If the measurement has neither.
    """
    if "angle" in bend:
        values = bend["angle"].transpose("image", ...).values
    elif "angle_quantile" in bend:  # midway between two of them, so that each stands for as many angles
        quantiles = bend["angle_quantile"].transpose("image", "quantile").values
        values = (quantiles[:, 1:] + quantiles[:, :-1]) / 2
    else:
        raise ArgumentError("This measurement has no angles; direction_change() makes them.")
    return np.degrees(values).reshape(len(values), -1)


def direction_change_summary(measurements: Iterable[xr.Dataset]) -> pd.DataFrame:
    """Typical and large angles of measurements of `direction_change`, in degrees, with intervals over images.

    Columns: `images`, `directions`; `median` and `upper`, the 95th percentile, each with the ends `_low` and `_high` of
    its interval; `tail`, upper over median; `precision`, `ok` if the angles stand clear of rounding, `lost` if not, or
    `not kept` where only quantiles of the angles were.
    """
    bends = list(measurements)
    rows = []
    for bend in bends:
        angle = angles(bend)
        directions = bend.sizes["direction"] if "direction" in bend.sizes else parameters(bend)["directions"]
        row: dict[str, object] = {"images": bend.sizes["image"], "directions": directions}
        found = {
            name: over_images(thinned(angle), partial(np.nanquantile, q=q))
            for name, q in (("median", 0.5), ("upper", 0.95))
        }
        for name, ends in found.items():
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
        row["tail"] = found["upper"][0] / found["median"][0]
        precision = "not kept"
        if "noise_floor" in bend:
            floor = np.nanmedian(np.degrees(bend["noise_floor"].values))
            precision = "ok" if floor <= NOISY * found["median"].value else "lost"
        rows.append(row | {"precision": precision})
    return table(bends, rows)


def apart(summary: pd.DataFrame, family: Mapping[str, str]) -> str:
    """How the medians of CNNs stand to those of transformers in a `direction_change_summary`, as words.

    `"turn less than"` or `"turn more than"` if the intervals of the two families do not overlap, else
    `"are not set apart from"`.
    """
    kind = pd.Series({name: family[name] for name in summary.index})
    cnn, transformer = summary[kind == "CNN"], summary[kind == "transformer"]
    # one without an interval keeps its family from being set apart
    if cnn["median_high"].max(skipna=False) < transformer["median_low"].min(skipna=False):
        return "turn less than"
    if cnn["median_low"].min(skipna=False) > transformer["median_high"].max(skipna=False):
        return "turn more than"
    return "are not set apart from"


def step_law_summary(measurements: Iterable[xr.Dataset]) -> pd.DataFrame:
    """Exponents of measurements of `step_law` with their intervals, the decades they were fitted over, and angles.

    The angles are root mean squares in degrees at the shortest step, at 1e-3, and at the longest. Where no exponent
    could be fitted, its place has the reason.
    """
    laws = list(measurements)
    rows = []
    for law in laws:
        rms = law.sel(statistic="rms")
        fitted = law["step_size"].values[rms["fitted"].values.astype(bool)]
        ends = (float(law["step_size"][0]), 1e-3, float(law["step_size"][-1]))
        at = {h: float(np.degrees(rms["typical"].sel(step_size=h, method="nearest"))) for h in ends}
        rows.append(
            {"exponent": str(rms["reason"].values) or interval(rms, "exponent", ".2f")}
            | {"decades": round(float(np.log10(fitted[-1] / fitted[0])), 1) if len(fitted) else 0.0}
            | {f"at {h:.0e}": angle for h, angle in at.items()}
        )
    return table(laws, rows)


def additivity_summary(measurements: Iterable[xr.Dataset], variable: str = "bend") -> pd.DataFrame:
    """Median over the layers of each kind that is not affine, and the kind of the single layer with the largest value.

    Several kinds where layers share it, `none` where there is none.

    `variable` is `"bend"`, in degrees, or `"residual"`.
    """
    each = list(measurements)
    rows = []
    for parts in each:
        layers = parts[variable].median(("image", "direction")) * (180 / np.pi if variable == "bend" else 1)
        curved = layers.isel(layer=~parts["kind"].isin(AFFINE).values)
        kinds = pd.Series(curved.values, curved["kind"].values).groupby(level=0).median()
        row: dict[str, object] = {str(kind): float(middle) for kind, middle in kinds.items()}
        most = np.nanmax(curved.values, initial=-np.inf)
        rows.append(row | {"most": " and ".join(sorted(set(curved["kind"].values[curved.values == most]))) or "none"})
    return table(each, rows)


def ranking(values: pd.Series) -> str:
    """Names from the largest to the smallest value as words: `a, b = c; undefined: d`.

    Examples
    --------
    >>> ranking(pd.Series({"b": 1.0, "a": 2.0, "d": np.nan, "c": 1.0}))
    'a, b = c; undefined: d'
    """
    levels = values.groupby(-values).groups.values()  # groups come in order; what is NaN is in none of them
    words = [", ".join(" = ".join(level) for level in levels)] if len(levels) else []
    unknown = ", ".join(values.index[values.isna()])
    return "; ".join(words + ([f"undefined: {unknown}"] if unknown else []))


def swapped(first: pd.Series, second: pd.Series) -> list[tuple[str, str]]:
    """Pairs of names of which one has the larger value in `first` and the other in `second`.

    Ties and undefined values swap nothing.

    Examples
    --------
    >>> first, second = ({"a": a, "b": 2.0, "c": c} for a, c in ((3.0, 2.0), (1.0, 2.0)))
    >>> swapped(pd.Series(first), pd.Series(second))
    [('a', 'b'), ('a', 'c')]
    """
    pairs = combinations(first.index, 2)
    return [(a, b) for a, b in pairs if (first[a] - first[b]) * (second[a] - second[b]) < 0]
