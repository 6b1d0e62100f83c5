"""Spectra, constants and matches of several networks as tables, one row a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from ..core.measurement import parameters
from ..statistics.tables import median_in_words, table


def steepness(spectrum: xr.Dataset, constants: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    r"""How much steeper the top direction is than a random one, `(image,)`: as measured, and as foretold.

    .. math:: \frac{s_1}{\sqrt{\operatorname{mean} \lVert J v \rVert^2}} \approx \sqrt{n / \text{stable rank}}

    Parameters
    ----------
    spectrum, constants
        Of the same images, from `singular_spectrum`, and from `lldlc` with random directions and slopes.
    """
    slope = constants["slope"].sel(kind="random")
    foretold = (parameters(constants)["pixels"] / spectrum["stable_rank"]) ** 0.5
    return spectrum["singular_value"][:, 0] / (slope**2).mean("direction") ** 0.5, foretold


def spectrum_summary(spectra: Iterable[xr.Dataset], constants: Iterable[xr.Dataset]) -> pd.DataFrame:
    """Medians over images with their intervals, from measurements of `singular_spectrum` and of `lldlc`.

    Columns: `pixels`, the number n of values of an image; `stable rank`; `energy in 10 values, %`, the share of
    `||J||_F^2` in the ten largest singular values; `top / random` and `sqrt(n / stable rank)`, the two of `steepness`.
    """
    pairs, rows = list(zip(spectra, constants, strict=True)), []
    for spectrum, constant in pairs:
        squares = spectrum["singular_value"] ** 2
        measured, foretold = steepness(spectrum, constant)
        rows.append(
            {
                "pixels": f"{parameters(constant)['pixels']:,}",
                "stable rank": median_in_words(spectrum["stable_rank"]),
                "energy in 10 values, %": median_in_words(
                    100 * squares[:, :10].sum("rank") / squares.sum("rank"), ".0f"
                ),
                "top / random": median_in_words(measured, ".0f"),
                "sqrt(n / stable rank)": median_in_words(foretold, ".0f"),
            }
        )
    return table([spectrum for spectrum, _ in pairs], rows)


def at_cosine(found: xr.Dataset, cosines: Sequence[float], budget: float = np.inf) -> tuple[np.ndarray, np.ndarray]:
    """What each pair of a `match` had spent, and the PSNR that it had kept, at its first image of a cosine or more.

    Parameters
    ----------
    found
        What `match` returned.
    cosines
        Cosines to the embedding of the target, K of them.
    budget
        Evaluations that count.

    Returns
    -------
    tuple of numpy.ndarray
        Evaluations `(P,K)` and PSNR `(P,K)` [dB]. A pair that never comes so near has spent infinitely many for a PSNR
        of minus infinity: it takes part in medians as the worst.

    Examples
    --------
    >>> import xarray as xr
    >>> dims = ("pair", "step")
    >>> histories = {"cosine_history": (dims, [[0.5, 0.92]]), "psnr_history": (dims, [[40.0, 30.0]])}
    >>> at_cosine(xr.Dataset(histories, {"step": [1, 2]}), (0.9, 0.99))
    (array([[ 2., inf]]), array([[ 30., -inf]]))
    """
    counted = found.step.values <= budget
    there = (found["cosine_history"].values[:, :, None] >= np.asarray(cosines)) & counted[None, :, None]
    reached, first = there.any(1), there.argmax(1)
    evaluations = np.where(reached, found.step.values[first], np.inf)
    return evaluations, np.where(reached, np.take_along_axis(found["psnr_history"].values, first, 1), -np.inf)


def methods_in_words(measurements: Iterable[xr.Dataset], cosine: float, budget: int) -> list[str]:
    """One sentence a network: what each method of `match` had spent and kept at a cosine, medians over its pairs."""
    by_model: dict[str, list[str]] = {}
    for found in measurements:
        spent, kept = (column[:, 0] for column in at_cosine(found, (cosine,), budget))
        arrived = int(np.isfinite(spent).sum())
        middle = float(np.median(spent)) if 2 * arrived > len(spent) else np.inf
        said = f"{parameters(found)['method']} reaches it in {arrived} of {len(spent)} pairs"
        if np.isfinite(middle):
            said += f", after {middle:.0f} evaluations and at {np.median(kept):.1f} dB in the median"
        by_model.setdefault(found.attrs["model"], []).append(said)
    return [f"**{name}**: at a cosine of {cosine}, {'; '.join(each)}." for name, each in by_model.items()]


def match_summary(measurements: Iterable[xr.Dataset]) -> pd.DataFrame:
    """How many pairs arrived, and medians over all pairs with their intervals, from measurements of `match`.

    Columns: `pairs`, `arrived`, `cosine` to the target, `to the source`, beside that of source and target, `of the
    pair`; `PSNR, dB` and `SSIM` against the source, `evaluations`.
    """
    matches = list(measurements)
    rows = [
        {
            "pairs": found.sizes["pair"],
            "arrived": int(found["converged"].sum()),
            "cosine": median_in_words(found["cosine"], ".4f"),
            "to the source": median_in_words(found["source_cosine"], ".2f"),
            "of the pair": median_in_words(found["pair_cosine"], ".2f"),
            "PSNR, dB": median_in_words(found["psnr"]),
            "SSIM": median_in_words(found["ssim"], ".2f"),
            "evaluations": median_in_words(found["evaluations"], ".0f"),
        }
        for found in matches
    ]
    return table(matches, rows)


def rounding_summary(measurements: Iterable[xr.Dataset]) -> pd.DataFrame:
    """What rounding to 256 levels does to measurements of `match`: medians over pairs with their intervals.

    Columns: `pairs`, `residual`, `after rounding`, and the `lowest cosine` to the target after rounding.
    """
    matches = list(measurements)
    rows = [
        {
            "pairs": found.sizes["pair"],
            "residual": median_in_words(found["residual"], ".3f"),
            "after rounding": median_in_words(found["residual_8bit"], ".3f"),
            "lowest cosine": f"{float(found['cosine_8bit'].min()):.4f}",
        }
        for found in matches
    ]
    return table(matches, rows)


def walk_summary(measurements: Iterable[xr.Dataset]) -> pd.DataFrame:
    """How far measurements of `fibre_walk` have come: medians over pairs with their intervals.

    Columns: `pairs`; `steps`; `way gone, %`, by which the last step is nearer to the image walked toward, in rms per
    pixel; `PSNR to the start, dB`; `straight blend drifts`, the largest drift on the straight way, and `the walk`, the
    largest of any of its steps; `failed`, walks with a step off the fibre.
    """
    walks = list(measurements)
    rows = [
        {
            "pairs": walk.sizes["pair"],
            "steps": walk.sizes["step"] - 1,
            "way gone, %": median_in_words(100 * (1 - walk["distance"][:, -1] / walk["distance"][:, 0]), ".0f"),
            "PSNR to the start, dB": median_in_words(walk["psnr_source"][:, -1]),
            "straight blend drifts": median_in_words(walk["straight_drift"].max("step"), ".2f"),
            "the walk": f"{float(walk['drift'].max()):.0e}",
            "failed": int(walk["failed"].any("step").sum()),
        }
        for walk in walks
    ]
    return table(walks, rows)
