import math

import numpy as np
import pytest
import torch
import torchmetrics.functional.classification as reference

import vitgeom_nb as vg
from vitgeom_nb.calibration import bin_edges, in_bins, wilson
from vitgeom_nb.errors import ArgumentError, LabelError


def two_class(confidence):
    """Logits whose softmax gives `confidence` to class 0 (all confidences above 1/2)."""
    confidence = torch.as_tensor(confidence, dtype=torch.float64)
    return torch.stack([torch.log(confidence / (1 - confidence)), torch.zeros_like(confidence)], 1)


def random_case(n=3000, classes=7, seed=0, scale=2.0):
    own = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(n, classes, generator=own, dtype=torch.float64)
    labels = torch.multinomial((0.7 * logits).softmax(1), 1, generator=own)[:, 0]
    return logits, labels


def test_a_table_done_on_paper():
    # five bins; confidences 0.55, 0.6 share (0.4, 0.6], 0.7 has (0.6, 0.8], 0.9 and 0.95 share (0.8, 1]
    logits = two_class([0.55, 0.59, 0.7, 0.9, 0.95])
    labels = torch.tensor([0, 1, 0, 0, 1])
    table = vg.reliability(logits, labels, bins=5)
    assert table["count"].values.tolist() == [0, 0, 2, 1, 2]
    np.testing.assert_allclose(table.accuracy, [math.nan, math.nan, 0.5, 1.0, 0.5])
    np.testing.assert_allclose(table.confidence, [math.nan, math.nan, 0.57, 0.7, 0.925])
    assert float(table.ece) == pytest.approx((2 * 0.07 + 0.3 + 2 * 0.425) / 5, abs=1e-12)
    assert float(table.sece) == pytest.approx((2 * -0.07 + 0.3 - 2 * 0.425) / 5, abs=1e-12)
    assert float(table.top1) == pytest.approx(0.6)
    assert float(table.mean_confidence) == pytest.approx(3.69 / 5, abs=1e-12)
    np.testing.assert_allclose(table.low, [0, 0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(table.high, [0.2, 0.4, 0.6, 0.8, 1.0])


def test_bins_are_closed_on_the_right_and_one_is_in_the_last():
    confidence = torch.tensor([0.1, 0.3, 0.30000000000000004, 0.7, 0.9999, 1.0], dtype=torch.float64)
    index = in_bins(confidence, torch.ones(6), 10).which
    assert index.tolist() == [0, 2, 3, 6, 9, 9]
    assert bin_edges(10)[3] == 0.3


def test_confidence_of_exactly_one_counts():
    logits = torch.tensor([[1000.0, 0.0], [1000.0, 0.0], [1000.0, 0.0], [0.0, 1000.0]])
    table = vg.reliability(logits, torch.tensor([0, 0, 1, 1]), bins=10)
    assert table["count"].values.tolist() == [0] * 9 + [4]
    assert float(table.ece) == 0.25
    assert float(table.sece) == -0.25


@pytest.mark.parametrize("bins", [1, 10, 15, 20])
def test_ece_equals_torchmetrics(bins):
    logits, labels = random_case()
    theirs = reference.multiclass_calibration_error(logits, labels, num_classes=7, n_bins=bins, norm="l1")
    assert float(vg.reliability(logits, labels, bins, resamples=1).ece) == pytest.approx(float(theirs), abs=1e-6)


def test_where_torchmetrics_and_we_differ():
    # its bins are closed on the left and it puts a confidence of exactly 1 in a bin of its own: the two gaps,
    # +0.05 and -0.1, lie in one bin (0.9, 1] and partly cancel; kept apart their magnitudes add up
    sure, nearly = torch.tensor([1.0, 0.0]).repeat(10, 1), torch.tensor([0.95, 0.05]).repeat(10, 1)
    probabilities = torch.cat([sure, nearly]).double()
    labels = torch.tensor([0] * 9 + [1] + [0] * 10)
    logits = torch.cat([torch.tensor([[1000.0, 0.0]]).repeat(10, 1).double(), two_class([0.95] * 10)])
    ours = float(vg.reliability(logits, labels, 10, resamples=1).ece)
    theirs = float(reference.multiclass_calibration_error(probabilities, labels, num_classes=2, n_bins=10))
    assert ours == pytest.approx(0.5 * abs(0.05 - 0.1), abs=1e-9)
    assert theirs == pytest.approx(0.5 * (0.05 + 0.1), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_signed_error_is_smaller_and_independent_of_the_bins(seed):
    logits, labels = random_case(400, 4, seed)
    tables = [vg.reliability(logits, labels, bins, resamples=1) for bins in (1, 3, 10, 15, 100)]
    signed = [float(t.sece) for t in tables]
    np.testing.assert_allclose(signed, signed[0], rtol=0, atol=1e-12)
    assert signed[0] == pytest.approx(float(tables[0].top1 - tables[0].mean_confidence), abs=1e-12)
    for table in tables:
        assert abs(float(table.sece)) <= float(table.ece) + 1e-12
        per_bin = table["count"] / table["count"].sum() * (table.accuracy - table.confidence)
        assert float(per_bin.sum()) == pytest.approx(signed[0], abs=1e-12)
        assert float(abs(per_bin).sum()) == pytest.approx(float(table.ece), abs=1e-12)
    assert float(tables[0].ece) == pytest.approx(abs(signed[0]), abs=1e-12)


def test_order_of_images_and_a_shift_of_logits_change_nothing():
    logits, labels = random_case(500)
    plain = vg.reliability(logits, labels, resamples=1)
    order = torch.randperm(500, generator=torch.Generator().manual_seed(3))
    shifted = vg.reliability(logits[order] + 5 * torch.arange(500)[:, None], labels[order], resamples=1)
    for key in ("count", "accuracy", "confidence", "ece", "sece", "top1"):
        np.testing.assert_allclose(shifted[key], plain[key], atol=1e-12)


def test_numpy_and_float32_logits_are_taken():
    logits, labels = random_case(200)
    ours = vg.reliability(logits, labels, resamples=1)
    again = vg.reliability(logits.numpy(), labels.numpy(), resamples=1)
    assert float(again.ece) == float(ours.ece)
    assert float(vg.reliability(logits.float(), labels, resamples=1).sece) == pytest.approx(float(ours.sece), abs=1e-6)


def test_intervals_cover_the_truth_of_a_simulated_network():
    # a two-class network whose accuracy at confidence c is c - 0.1 for c above 0.8 and c below
    own = torch.Generator().manual_seed(0)

    def draw(n):
        confidence = 0.5 + 0.5 * torch.rand(n, generator=own, dtype=torch.float64)
        return confidence, confidence - 0.1 * (confidence > 0.8)

    big, right = draw(400_000)
    index = in_bins(big, right, 10).which
    gaps = torch.bincount(index, right - big, minlength=10) / len(big)
    true_ece, true_sece = float(gaps.abs().sum()), float(gaps.sum())
    covered = {"ece": 0, "sece": 0}
    for trial in range(100):
        confidence, right = draw(1000)
        labels = (torch.rand(1000, generator=own, dtype=torch.float64) >= right).long()
        table = vg.reliability(two_class(confidence), labels, 10, resamples=200, seed=trial)
        covered["ece"] += float(table.ece_low) <= true_ece <= float(table.ece_high)
        covered["sece"] += float(table.sece_low) <= true_sece <= float(table.sece_high)
        assert table.ece_low <= table.ece <= table.ece_high
        assert table.sece_low <= table.sece <= table.sece_high
    assert covered["ece"] >= 90
    assert 90 <= covered["sece"] <= 99


def test_the_interval_of_a_calibrated_network_reaches_zero():
    # where a percentile interval of the ECE never does
    own = torch.Generator().manual_seed(1)
    reached = 0
    for trial in range(20):
        confidence = 0.5 + 0.5 * torch.rand(2000, generator=own, dtype=torch.float64)
        labels = (torch.rand(2000, generator=own, dtype=torch.float64) >= confidence).long()
        table = vg.reliability(two_class(confidence), labels, resamples=200, seed=trial)
        reached += float(table.ece_low) == 0
        assert float(table.ece) > 0
    assert reached >= 16


def test_the_interval_of_the_signed_error_is_that_of_a_mean():
    logits, labels = random_case(2000)
    table = vg.reliability(logits, labels, resamples=2000)
    gap = (logits.argmax(1) == labels).double() - logits.softmax(1).amax(1)
    half = 1.96 * float(gap.std()) / math.sqrt(2000)
    assert float(table.sece_high - table.sece) == pytest.approx(half, rel=0.1)
    assert float(table.sece - table.sece_low) == pytest.approx(half, rel=0.1)


def test_seeds_repeat_and_the_global_state_is_left_alone():
    logits, labels = random_case(300)
    state = torch.get_rng_state()
    first, again, other = (vg.reliability(logits, labels, resamples=50, seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert float(first.ece_low) == float(again.ece_low)
    assert float(first.sece_low) != float(other.sece_low)
    assert float(first.ece) == float(other.ece)


def test_wilson_against_scipy():
    from scipy.stats import binomtest

    low, high = wilson(*torch.tensor([[0.0, 3.0, 10.0, 0.0], [5.0, 10.0, 10.0, 0.0]], dtype=torch.float64))
    for i, (k, n) in enumerate([(0, 5), (3, 10), (10, 10)]):
        expected = binomtest(k, n).proportion_ci(0.95, "wilson")
        assert float(low[i]) == pytest.approx(expected.low, abs=1e-12)
        assert float(high[i]) == pytest.approx(expected.high, abs=1e-12)
    assert low[3].isnan()
    assert high[3].isnan()


def tiny_model():
    own = torch.Generator().manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 4))
    net[1].weight.data = torch.randn(4, 12, generator=own)
    net[1].bias.data.zero_()
    return vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=2, logits=lambda m, x: m(x), name="tiny"), net


def test_a_model_with_images_is_the_same_as_its_logits(tmp_path):
    model, net = tiny_model()
    pixels = torch.rand(40, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(40) % 4
    images = vg.Images(pixels, [str(i) for i in range(40)], "made up", "none", labels=labels)
    ours = vg.reliability(model, images=images)
    plain = vg.reliability(net(pixels), labels, name="other")
    assert float(ours.ece) == pytest.approx(float(plain.ece), abs=1e-12)
    assert float(vg.reliability(model, labels.flip(0), images=pixels).top1) != float(ours.top1)
    assert ours.attrs["model"] == "tiny"
    assert ours.attrs["weights"] == model.digest
    assert plain.attrs["model"] == "other"
    assert all({"units", "long_name"} <= set(v.attrs) for v in ours.variables.values())
    assert vg.open_measurement(vg.save_measurement(ours, tmp_path / "r.nc")).identical(ours)


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_temperature_recovers_the_one_that_made_the_labels(true):
    own = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20_000, 5, generator=own, dtype=torch.float64)
    labels = torch.multinomial((logits / true).softmax(1), 1, generator=own)[:, 0]
    fit = vg.temperature(logits, labels)
    assert float(fit.temperature) == pytest.approx(true, rel=0.04)
    assert float(fit.nll_scaled) <= float(fit.nll)
    scaled = vg.reliability(logits, labels, temperature=float(fit.temperature), resamples=1)
    assert float(scaled.ece) < 0.015
    direct = vg.reliability(logits / float(fit.temperature), labels, resamples=1)
    assert float(scaled.ece) == pytest.approx(float(direct.ece), abs=1e-9)


def test_temperature_in_closed_form_and_its_scale():
    logits = torch.tensor([[3.0, 0.0]], dtype=torch.float64).repeat(10, 1)
    labels = torch.tensor([0] * 9 + [1])
    fit = vg.temperature(logits, labels)
    assert float(fit.temperature) == pytest.approx(3 / math.log(9), abs=1e-9)
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert float(fit.nll_scaled) == pytest.approx(entropy, abs=1e-9)
    assert float(vg.temperature(1000 * logits, labels).temperature) == pytest.approx(3000 / math.log(9), rel=1e-9)
    assert float(vg.temperature(logits / 1000, labels).temperature) == pytest.approx(0.003 / math.log(9), rel=1e-9)


def test_temperature_of_logits_that_mislead_is_infinite_and_gives_the_uniform_distribution():
    logits = torch.tensor([[3.0, 0.0]]).repeat(10, 1)
    labels = torch.tensor([0] + [1] * 9)
    fit = vg.temperature(logits, labels)
    assert float(fit.temperature) == math.inf
    assert float(fit.nll_scaled) == pytest.approx(math.log(2), abs=1e-12)
    table = vg.reliability(logits, labels, temperature=math.inf, resamples=1)
    assert float(table.mean_confidence) == 0.5


def test_temperature_without_an_optimum():
    with pytest.raises(ArgumentError, match="use more images"):
        vg.temperature(torch.eye(3), torch.arange(3))


@pytest.mark.parametrize(
    ("logits", "labels", "kind", "message"),
    [
        (torch.zeros(3), [0, 0, 0], ArgumentError, "shape"),
        (torch.zeros(3, 1), [0, 0, 0], ArgumentError, "two classes"),
        (torch.zeros(3, 2).long(), [0, 0, 0], ArgumentError, "floats"),
        (torch.zeros(0, 2), [], ArgumentError, "at least one image"),
        (torch.tensor([[0.0, math.nan]]), [0], ArgumentError, "leave out"),
        (torch.tensor([[0.0, math.inf]]), [0], ArgumentError, "leave out"),
        (torch.zeros(3, 2), [0, 0, 2], LabelError, "2 classes"),
        (torch.zeros(3, 2), [0, 0, -1], LabelError, "2 classes"),
        (torch.zeros(3, 2), [0, 0], LabelError, "one for each"),
        (torch.zeros(3, 2), None, LabelError, "no labels"),
        (torch.zeros(3, 2), [0.0, 1.0, 0.0], LabelError, "whole numbers"),
    ],
)
@pytest.mark.parametrize("function", [vg.reliability, vg.temperature])
def test_bad_input(function, logits, labels, kind, message):
    with pytest.raises(kind, match=message):
        function(logits, labels)


@pytest.mark.parametrize("options", [{"bins": 0}, {"temperature": 0.0}, {"temperature": -1.0}, {"resamples": 0}])
def test_bad_parameters(options):
    with pytest.raises(ArgumentError, match=next(iter(options))):
        vg.reliability(torch.zeros(3, 2), [0, 1, 0], **options)


def test_a_model_without_images():
    with pytest.raises(ArgumentError, match="images="):
        vg.reliability(tiny_model()[0], [0, 1])
