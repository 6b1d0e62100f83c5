"""Measurements of bending as tables, one row a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import numpy as np
import pandas as pd
import xarray as xr

from .summary import interval

AFFINE = ("convolution", "linear", "average pooling")
ALIKE = 0.1  # angles that differ by less than this part are called alike


def over_images(
    values: np.ndarray, statistic: Callable[[np.ndarray], float], seed: int = 0, resamples: int = 1000
) -> tuple[float, float, float]:
    """A statistic of `values` `(image, ...)`, and the ends of its 95 % bootstrap interval over images."""
    generator = np.random.default_rng(seed)
    count = len(values)
    drawn = [statistic(values[generator.integers(0, count, count)]) for _ in range(resamples)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(statistic(values)), float(low), float(high)


def _table(measurements: Iterable[xr.Dataset], rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), index=[m.attrs["model"] for m in measurements])


def direction_change_summary(measurements: Iterable[xr.Dataset]) -> pd.DataFrame:
    """Typical and large angles of measurements of `direction_change`, in degrees, with intervals over images.

    Columns: `images`, `directions`; `median` and `upper`, the 95th percentile, each with the ends `_low` and `_high` of
    its interval; `tail`, upper over median; `precision`, `ok` if the angles stand clear of rounding, else `lost`.
    """
    bends = list(measurements)
    rows = []
    for bend in bends:
        angle = np.degrees(bend["angle"].values)
        row: dict[str, object] = {"images": bend.sizes["image"], "directions": bend.sizes["direction"]}
        found = {
            name: over_images(angle, partial(np.nanquantile, q=q)) for name, q in (("median", 0.5), ("upper", 0.95))
        }
        for name, ends in found.items():
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
        row["tail"] = found["upper"][0] / found["median"][0]
        rows.append(row | {"precision": bend.attrs["precision"].split(":")[0]})
    return _table(bends, rows)


def apart(table: pd.DataFrame, family: Mapping[str, str]) -> str:
    """How the medians of CNNs stand to those of transformers in a `direction_change_summary`, as words.

    `"turn less than"` or `"turn more than"` if the intervals of the two families do not overlap, else
    `"are not set apart from"`.
    """
    kind = pd.Series({name: family[name] for name in table.index})
    cnn, transformer = table[kind == "CNN"], table[kind == "transformer"]
    if cnn["median_high"].max() < transformer["median_low"].min():
        return "turn less than"
    if cnn["median_low"].min() > transformer["median_high"].max():
        return "turn more than"
    return "are not set apart from"


def step_law_summary(measurements: Iterable[xr.Dataset]) -> pd.DataFrame:
    """Exponents of measurements of `step_law` with their intervals, the decades they were fitted over, and angles.

    The angles are root mean squares in degrees at the shortest step, at 1e-3, and at the longest.
    """
    laws = list(measurements)
    rows = []
    for law in laws:
        rms = law.sel(statistic="rms")
        fitted = law["step_size"].values[rms["fitted"].values.astype(bool)]
        ends = (float(law["step_size"][0]), 1e-3, float(law["step_size"][-1]))
        at = {h: float(np.degrees(rms["typical"].sel(step_size=h, method="nearest"))) for h in ends}
        rows.append(
            {"exponent": interval(rms, "exponent", ".2f")}
            | {"decades": round(float(np.log10(fitted[-1] / fitted[0])), 1) if len(fitted) else 0.0}
            | {f"at {h:.0e}": angle for h, angle in at.items()}
        )
    return _table(laws, rows)


def additivity_summary(measurements: Iterable[xr.Dataset], variable: str = "bend") -> pd.DataFrame:
    """Median over the layers of each kind that is not affine, and the kind of the single layer with the largest value.

    `variable` is `"bend"`, in degrees, or `"residual"`.
    """
    each = list(measurements)
    rows = []
    for parts in each:
        layers = parts[variable].median(("image", "direction")) * (180 / np.pi if variable == "bend" else 1)
        curved = layers.isel(layer=~parts["kind"].isin(AFFINE).values)
        kinds = curved.groupby(curved["kind"]).median()
        row: dict[str, object] = {str(kind): float(kinds.sel(kind=kind)) for kind in kinds["kind"].values}
        rows.append(row | {"most": str(curved["kind"].values[int(np.nanargmax(curved.values))])})
    return _table(each, rows)


def training_summary(measurements: Iterable[xr.Dataset]) -> pd.DataFrame:
    """Accuracy at the end and direction change along the training of measurements of `training_history`, in degrees."""
    each = list(measurements)
    rows = []
    for history in each:
        epoch, bend = history["epoch"].values, np.degrees(history["direction_change"].values)
        rows.append(
            {
                "epochs": float(epoch[-1]),
                "top-1, %": round(100 * float(history["top1"][-1]), 1),
                "untrained": bend[0],
                "largest": bend.max(),
                "largest at epoch": float(epoch[bend.argmax()]),
                "trained": bend[-1],
                "training left it": _compared(bend[-1] / bend[0]),
            }
        )
    return _table(each, rows)


def _compared(ratio: float) -> str:
    if abs(ratio - 1) < ALIKE:
        return "as bent as before"
    return "more bent" if ratio > 1 else "straighter"
