"""Tables of spectra and matches say what the measurements say."""

from __future__ import annotations

import numpy as np
import torch

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
    assert both["PSNR, dB"].iloc[1] == f"{float(found[1].psnr.median()):.1f} [too few images]"
