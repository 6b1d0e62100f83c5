"""The smooth calibration error against integrals on paper, a direct sum, and the authors' package relplot."""

import warnings

import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb import errors
from vitgeom_nb.calibration.smooth_calibration import CELLS, onto_cells, smooth_error, smoothed

with warnings.catch_warnings():  # of what it imports
    warnings.simplefilter("ignore")
    import relplot


def answers(count=2000, seed=0, sharper=1.6):
    """Confidences and hits of a network that is surer than it should be."""
    own = np.random.default_rng(seed)
    truth = 0.5 + 0.5 * own.random(count)
    confidence = truth**sharper / (truth**sharper + (1 - truth) ** sharper)
    return confidence, (own.random(count) < truth).astype(float)


def logits_of(confidence, hits):
    """Two classes whose softmax has this largest value, and labels that are hit as told."""
    z = torch.zeros(len(confidence), 2, dtype=torch.float64)
    z[:, 0] = torch.from_numpy(np.log(confidence / (1 - confidence)))
    return z, torch.from_numpy(1 - hits).long()


def test_the_kernel_is_a_gaussian_that_is_reflected_at_both_ends():
    at, sigma = 0.1, 0.08
    cells = smoothed(onto_cells(np.array([at]), np.ones(1)), sigma)
    t = (np.arange(CELLS) + 0.5) / CELLS
    images = [at, -at, 2 - at, 2 + at, at - 2]
    exact = sum(np.exp(-0.5 * ((t - a) / sigma) ** 2) for a in images) / (sigma * np.sqrt(2 * np.pi)) / CELLS
    np.testing.assert_allclose(cells, exact, atol=2e-7)
    assert cells.sum() == pytest.approx(1, abs=1e-12)


def test_the_error_is_that_of_relplot():
    for seed in range(3):
        confidence, hits = answers(seed=seed)
        theirs, width = relplot.smECE(confidence, hits, return_width=True)
        ours, bandwidth = smooth_error(onto_cells(confidence, hits - confidence) / len(hits))
        assert ours == pytest.approx(theirs, abs=2e-3)  # they search their bandwidth in steps of 2^-10
        assert bandwidth == pytest.approx(width, abs=2e-3)
        assert ours == pytest.approx(bandwidth, abs=1e-4)


def test_one_confidence_for_all_is_off_by_what_it_is_off():
    # all gaps lie at one point: smoothing moves the mass and keeps its size, so the error is |accuracy - confidence|
    z, labels = logits_of(np.full(1000, 0.9), (np.arange(1000) < 600).astype(float))
    assert float(vg.smooth_calibration(logits=z, labels=labels).smece) == pytest.approx(0.3, abs=1e-6)


def test_the_curve_is_the_accuracy_and_its_band_holds_it():
    held = []
    for seed in range(25):
        own = np.random.default_rng(seed)
        truth = 0.5 + 0.5 * own.random(1000)
        z, labels = logits_of(truth, (own.random(1000) < truth).astype(float))
        found = vg.smooth_calibration(logits=z, labels=labels, resamples=200, points=11)
        inside = found.sel(level=[0.7, 0.8], method="nearest")
        held += ((inside.accuracy_low <= inside.level) & (inside.level <= inside.accuracy_high)).values.tolist()
        assert float(found.smece) < 0.06
    assert np.mean(held) >= 0.84  # 95 % less three standard errors of 50
    assert found.accuracy.sel(level=slice(0, 0.3)).isnull().all()  # of two classes, none is named below a half


def test_the_density_is_that_of_the_confidences():
    z, labels = logits_of(np.full(500, 0.8), np.ones(500))
    found = vg.smooth_calibration(logits=z, labels=labels, points=2001)
    width = float(found.bandwidth)
    assert width == pytest.approx(0.2, abs=1e-3)
    reflected = [0.8, 1.2, -0.8]
    exact = sum(np.exp(-0.5 * ((found.level - at) / width) ** 2) for at in reflected) / width / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(found.density, exact, atol=2e-3)
    known = found.accuracy.notnull()  # 500 images reach far, but not to three standard deviations and more
    assert known.sel(level=slice(0.3, 1)).all()
    np.testing.assert_allclose(found.accuracy[known], 1, atol=1e-6)


def test_no_jump_where_a_confidence_crosses_an_edge_of_a_bin():
    hits = (np.arange(400) % 10 < 6).astype(float)
    smooth, binned = [], []
    for confidence in (0.7 - 1e-6, 0.7 + 1e-6):
        mixed = np.where(np.arange(400) < 200, confidence, 0.65)
        hits_of = np.where(np.arange(400) < 200, 1.0, hits)
        z, labels = logits_of(mixed, hits_of)
        smooth.append(float(vg.smooth_calibration(logits=z, labels=labels, resamples=2).smece))
        binned.append(float(vg.reliability(logits=z, labels=labels, bins=10, resamples=2).ece))
    assert abs(smooth[1] - smooth[0]) < 1e-4
    assert abs(binned[1] - binned[0]) > 0.01


def test_a_curve_has_two_points():
    z, labels = logits_of(np.full(10, 0.9), np.ones(10))
    with pytest.raises(errors.ArgumentError, match="points"):
        vg.smooth_calibration(logits=z, labels=labels, points=1)
