"""Tables of spectra and matches say what the measurements say."""

from __future__ import annotations

import json

import numpy as np
import torch
import xarray as xr

import vitgeom_nb as vg
from vitgeom_nb.equivalence import tables

from ..tiny_networks import N, linear, pixels

WEIGHTS = torch.diag(torch.tensor([3.0, 2.0, 1.0])) @ torch.eye(N)[:3]


def test_steepness_of_a_linear_map_is_known() -> None:
    model, images = linear(WEIGHTS.double()), pixels(6)
    spectrum = vg.singular_spectrum(model, images)
    constants = vg.lldlc(model, images, kinds=("random",), directions=4000)
    measured, foretold = tables.steepness(spectrum, constants)
    # ||J||_F^2 = 14 and s_1^2 = 9
    np.testing.assert_allclose(foretold, (N * 9 / 14) ** 0.5)
    np.testing.assert_allclose(measured, foretold, rtol=0.03)
    row = tables.spectrum_summary([spectrum], [constants]).loc["tiny"]
    assert row["pixels"] == "12"
    assert row["stable rank"] == "1.6 [1.6, 1.6]"
    assert row["energy in 10 values, %"] == "100 [100, 100]"
    assert row["sqrt(n / stable rank)"] == "3 [3, 3]"


def test_matches_are_counted_and_few_pairs_have_no_interval() -> None:
    model, images = linear(WEIGHTS.double()), pixels(6)
    some = images[:5]
    found = [vg.match(model, x, x.roll(1, 0), cosine=0.999, residual=0.01) for x in (images, some)]
    both = tables.match_summary(found)
    assert both["pairs"].tolist() == [6, 5]
    assert both["arrived"].tolist() == [int(one.converged.sum()) for one in found]
    assert both["cosine"].iloc[0].startswith(f"{float(found[0].cosine.median()):.4f} [")
    assert both["to the source"].iloc[0].startswith(f"{float(found[0].source_cosine.median()):.2f} [")
    assert both["of the pair"].iloc[1] == f"{float(found[1].pair_cosine.median()):.2f} [too few images]"
    assert both["PSNR, dB"].iloc[1] == f"{float(found[1].psnr.median()):.1f} [too few images]"


def histories(cosine: list[list[float]], psnr: list[list[float]], method: str = "adam") -> xr.Dataset:
    found = xr.Dataset(
        {"cosine_history": (("pair", "step"), cosine), "psnr_history": (("pair", "step"), psnr)},
        {"step": np.arange(1, len(cosine[0]) + 1)},
    )
    return found.assign_attrs(model="tiny", parameters=json.dumps({"method": method}))


def test_what_a_cosine_costs_is_read_at_the_first_image_that_has_it() -> None:
    nan = np.nan
    found = histories(
        [[0.2, 0.9, 0.5, 0.95], [0.1, nan, 0.91, nan], [0.3, 0.4, 0.5, 0.6]],
        [[np.inf, 40, 50, 30], [np.inf, nan, 35, nan], [np.inf, 45, 44, 43]],
    )
    evaluations, psnr = tables.at_cosine(found, (0.3, 0.9, 0.95))
    np.testing.assert_array_equal(evaluations, [[2, 2, 4], [3, 3, np.inf], [1, np.inf, np.inf]])
    np.testing.assert_array_equal(psnr, [[40, 40, 30], [35, 35, -np.inf], [np.inf, -np.inf, -np.inf]])
    evaluations, _ = tables.at_cosine(found, (0.9,), budget=2)
    np.testing.assert_array_equal(evaluations, [[2], [np.inf], [np.inf]])
    (said,) = tables.methods_in_words([found], 0.9, 4)
    in_time = "after 3 evaluations and at 35.0 dB in the median"
    assert said == f"**tiny**: at a cosine of 0.9, adam reaches it in 2 of 3 pairs, {in_time}."
    (said,) = tables.methods_in_words([found, histories([[0.9]], [[np.inf]], "gauss-newton")], 0.95, 4)
    assert (
        said
        == "**tiny**: at a cosine of 0.95, adam reaches it in 1 of 3 pairs; gauss-newton reaches it in 0 of 1 pairs."
    )


def test_what_rounding_leaves_is_tabled() -> None:
    found = xr.Dataset(
        {
            "residual": ("pair", [0.1, 0.05, 0.2]),
            "residual_8bit": ("pair", [0.11, 0.3, 0.2]),
            "cosine_8bit": ("pair", [0.9, 0.99, 0.95]),
        },
        attrs={"model": "tiny"},
    )
    row = tables.rounding_summary([found]).loc["tiny"]
    assert row.tolist() == [3, "0.100 [too few images]", "0.200 [too few images]", "0.9000"]


def test_walk_summary():
    at = ("pair", "step")
    start, gone = np.full((6, 1), 0.5), np.linspace(0.1, 0.6, 6)[:, None]
    drift = np.full((6, 2), 1e-4)
    drift[2, 1] = 2e-3
    walk = xr.Dataset(
        {
            "distance": (at, np.hstack([start, start * (1 - gone)])),
            "psnr_source": (at, np.hstack([np.full((6, 1), np.inf), np.full((6, 1), 20.0)])),
            "straight_drift": (at, np.hstack([0 * start, 2 * start])),
            "drift": (at, drift),
            "failed": (at, drift > 1e-3),
        },
        attrs={"model": "tiny"},
    )
    row = tables.walk_summary([walk]).loc["tiny"]
    assert row.tolist() == [6, 1, "35 [10, 60]", "20.0 [20.0, 20.0]", "1.00 [1.00, 1.00]", "2e-03", 1]
