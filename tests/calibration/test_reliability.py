import json
import math

import numpy as np
import pytest
import torch
import torchmetrics.functional.classification as reference
from scipy.stats import bootstrap, ttest_1samp

import vitgeom_nb as vg
from vitgeom_nb.calibration.predictions import Predictions
from vitgeom_nb.calibration.reliability import bin_edges, in_bins
from vitgeom_nb.errors import ArgumentError, LabelError, ModelError
from vitgeom_nb.networks.wrapping import call


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
    table = vg.reliability(logits=logits, labels=labels, bins=5)
    assert table["count"].values.tolist() == [0, 0, 2, 1, 2]
    np.testing.assert_allclose(table.accuracy, [math.nan, math.nan, 0.5, 1.0, 0.5])
    np.testing.assert_allclose(table.confidence, [math.nan, math.nan, 0.57, 0.7, 0.925])
    assert float(table.ece) == pytest.approx((2 * 0.07 + 0.3 + 2 * 0.425) / 5, abs=1e-12)
    assert float(table.sece) == pytest.approx((2 * -0.07 + 0.3 - 2 * 0.425) / 5, abs=1e-12)
    assert float(table.top1) == pytest.approx(0.6)
    assert float(table.mean_confidence) == pytest.approx(3.69 / 5, abs=1e-12)
    np.testing.assert_allclose(table.lower_edge, [0, 0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(table.upper_edge, [0.2, 0.4, 0.6, 0.8, 1.0])


def test_bins_are_closed_on_the_right_and_one_is_in_the_last():
    confidence = torch.tensor([0.1, 0.3, 0.30000000000000004, 0.7, 0.9999, 1.0], dtype=torch.float64)
    index = in_bins(confidence, torch.ones(6), 10).which
    assert index.tolist() == [0, 2, 3, 6, 9, 9]
    assert bin_edges(10)[3] == 0.3


def test_confidence_of_exactly_one_counts():
    logits = torch.tensor([[1000.0, 0.0], [1000.0, 0.0], [1000.0, 0.0], [0.0, 1000.0]])
    table = vg.reliability(logits=logits, labels=torch.tensor([0, 0, 1, 1]), bins=10)
    assert table["count"].values.tolist() == [0] * 9 + [4]
    assert float(table.ece) == 0.25
    assert float(table.sece) == -0.25


@pytest.mark.parametrize("bins", [1, 10, 15, 20])
def test_ece_equals_torchmetrics(bins):
    logits, labels = random_case()
    theirs = reference.multiclass_calibration_error(logits, labels, num_classes=7, n_bins=bins, norm="l1")
    assert float(vg.reliability(logits=logits, labels=labels, bins=bins, resamples=1).ece) == pytest.approx(
        float(theirs), abs=1e-6
    )


def test_where_torchmetrics_and_we_differ():
    # its bins are closed on the left and it puts a confidence of exactly 1 in a bin of its own: the two gaps,
    # +0.05 and -0.1, lie in one bin (0.9, 1] and partly cancel; kept apart their magnitudes add up
    sure, nearly = torch.tensor([1.0, 0.0]).repeat(10, 1), torch.tensor([0.95, 0.05]).repeat(10, 1)
    probabilities = torch.cat([sure, nearly]).double()
    labels = torch.tensor([0] * 9 + [1] + [0] * 10)
    logits = torch.cat([torch.tensor([[1000.0, 0.0]]).repeat(10, 1).double(), two_class([0.95] * 10)])
    ours = float(vg.reliability(logits=logits, labels=labels, bins=10, resamples=1).ece)
    theirs = float(reference.multiclass_calibration_error(probabilities, labels, num_classes=2, n_bins=10))
    assert ours == pytest.approx(0.5 * abs(0.05 - 0.1), abs=1e-9)
    assert theirs == pytest.approx(0.5 * (0.05 + 0.1), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_signed_error_is_smaller_and_independent_of_the_bins(seed):
    logits, labels = random_case(400, 4, seed)
    tables = [vg.reliability(logits=logits, labels=labels, bins=bins, resamples=1) for bins in (1, 3, 10, 15, 100)]
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
    plain = vg.reliability(logits=logits, labels=labels, resamples=1)
    order = torch.randperm(500, generator=torch.Generator().manual_seed(3))
    shifted = vg.reliability(logits=logits[order] + 5 * torch.arange(500)[:, None], labels=labels[order], resamples=1)
    for key in ("count", "accuracy", "confidence", "ece", "sece", "top1"):
        np.testing.assert_allclose(shifted[key], plain[key], atol=1e-12)


def test_numpy_and_float32_logits_are_taken():
    logits, labels = random_case(200)
    ours = vg.reliability(logits=logits, labels=labels, resamples=1)
    again = vg.reliability(logits=logits.numpy(), labels=labels.numpy(), resamples=1)
    assert float(again.ece) == float(ours.ece)
    assert float(vg.reliability(logits=logits.float(), labels=labels, resamples=1).sece) == pytest.approx(
        float(ours.sece), abs=1e-6
    )


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
        table = vg.reliability(logits=two_class(confidence), labels=labels, bins=10, resamples=200, seed=trial)
        covered["ece"] += float(table.ece_low) <= true_ece <= float(table.ece_high)
        covered["sece"] += float(table.sece_low) <= true_sece <= float(table.sece_high)
        assert table.ece_low <= table.ece <= table.ece_high
        assert table.sece_low <= table.sece <= table.sece_high
    assert covered["ece"] >= 90
    assert 90 <= covered["sece"] <= 99


def test_the_interval_of_a_calibrated_network_reaches_zero_where_bca_and_percentile_never_do():
    own = torch.Generator().manual_seed(1)
    reached = {"ours": 0, "BCa": 0, "percentile": 0}
    for trial in range(20):
        confidence = 0.5 + 0.5 * torch.rand(300, generator=own, dtype=torch.float64)
        labels = (torch.rand(300, generator=own, dtype=torch.float64) >= confidence).long()
        table = vg.reliability(logits=two_class(confidence), labels=labels, bins=10, resamples=200, seed=trial)
        assert float(table.ece) > 0
        reached["ours"] += float(table.ece_low) == 0
        gap = (1 - labels - confidence).numpy()
        which = in_bins(confidence, 1 - labels, 10).which.numpy()

        def ece(drawn, axis=-1, gap=gap, which=which):
            sums = [np.where(which[drawn] == b, gap[drawn], 0).sum(axis) for b in range(10)]
            return np.abs(sums).sum(0) / drawn.shape[-1]

        assert ece(np.arange(300)) == pytest.approx(float(table.ece), abs=1e-12)
        for method in ("BCa", "percentile"):
            theirs = bootstrap((np.arange(300),), ece, n_resamples=200, method=method, rng=trial).confidence_interval
            reached[method] += theirs.low <= 0.005
    assert reached["ours"] >= 17
    assert reached["BCa"] == reached["percentile"] == 0


def test_the_interval_of_the_signed_error_is_students():
    logits, labels = random_case(40)
    table = vg.reliability(logits=logits, labels=labels, resamples=1)
    gap = (logits.argmax(1) == labels).double() - logits.softmax(1).amax(1)
    ends = ttest_1samp(gap.numpy(), 0).confidence_interval(0.95)
    np.testing.assert_allclose([table.sece_low, table.sece_high], ends, rtol=1e-12)


def test_fewer_than_six_images_have_no_interval_of_either_error():
    table = vg.reliability(logits=two_class([0.6, 0.7, 0.8, 0.9, 0.95]), labels=torch.tensor([0, 1, 0, 0, 0]), bins=5)
    for key in ("ece", "sece"):
        assert np.isfinite(table[key])
        assert np.isnan(table[f"{key}_low"])
        assert np.isnan(table[f"{key}_high"])


def test_seeds_repeat_and_the_global_states_are_left_alone():
    logits, labels = random_case(300)
    state, numpys = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    first, again, other = (vg.reliability(logits=logits, labels=labels, resamples=50, seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpys[1])  # noqa: NPY002
    assert float(first.ece_low) == float(again.ece_low)
    assert float(first.ece_low) != float(other.ece_low)
    assert float(first.ece) == float(other.ece)


def tiny_model():
    own = torch.Generator().manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 4))
    net[1].weight.data = torch.randn(4, 12, generator=own)
    net[1].bias.data.zero_()
    return vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=2, embed=call, logits=call, name="tiny"), net


@pytest.fixture
def labelled_images():
    pixels = torch.rand(40, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    return vg.Images(pixels, [str(i) for i in range(40)], "made up", "none", labels=torch.arange(40) % 4)


@pytest.mark.parametrize("function", [vg.reliability, vg.temperature])
def test_a_model_its_predictions_and_its_logits_say_the_same(function, labelled_images, tmp_path):
    (model, net), images = tiny_model(), labelled_images
    said = vg.predict(model, images)
    plain = function(logits=net(images.pixels), labels=images.labels)
    for same in (
        function(model, images),
        function(model, images.pixels, images.labels),
        function(said),
        function(said, labels=images.labels),
    ):
        for name, values in plain.items():
            np.testing.assert_allclose(same[name], values, atol=1e-12)
    ours = function(model, images)
    assert ours.attrs["model"] == "tiny"
    assert ours.attrs["weights"] == model.digest
    assert plain.attrs["model"] == "none"
    assert all({"units", "long_name"} <= set(v.attrs) for v in ours.variables.values())
    assert vg.open_measurement(vg.save_measurement(ours, tmp_path / "r.nc")).identical(ours)


def test_labels_given_replace_those_carried_and_a_name_is_kept(labelled_images):
    model, _ = tiny_model()
    said = vg.predict(model, labelled_images)
    own = said.logits.argmax(1)
    assert float(vg.reliability(model, labelled_images, own).top1) == 1
    assert float(vg.reliability(said, labels=own).top1) == 1
    assert float(vg.reliability(said).top1) < 1
    assert vg.reliability(said, name="other").attrs["model"] == "other"


def test_damaged_images_are_counted():
    said = Predictions(torch.eye(3).repeat(4, 1), torch.arange(12) % 3, "made up", skipped=5)
    assert json.loads(vg.reliability(said).attrs["parameters"])["skipped"] == 5


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
        function(logits=logits, labels=labels)


@pytest.mark.parametrize("options", [{"bins": 0}, {"temperature": 0.0}, {"temperature": -1.0}, {"resamples": 0}])
def test_bad_parameters(options):
    with pytest.raises(ArgumentError, match=next(iter(options))):
        vg.reliability(logits=torch.zeros(3, 2), labels=[0, 1, 0], **options)


@pytest.mark.parametrize("function", [vg.reliability, vg.temperature])
def test_neither_too_little_nor_too_much_is_passed(function, labelled_images):
    model, images = tiny_model()[0], labelled_images
    for too_little in ({}, {"images": images}, {"labels": images.labels}):
        with pytest.raises(ArgumentError, match="either a model with images"):
            function(**too_little)
    with pytest.raises(ArgumentError, match="either a model with images"):
        function(model, images, logits=torch.eye(3))
    with pytest.raises(ArgumentError, match="images that tiny"):
        function(model)
    with pytest.raises(ArgumentError, match="go with a model"):
        function(vg.predict(model, images), images)
    with pytest.raises(ArgumentError, match="go with a model"):
        function(images=images, logits=torch.eye(3))
    with pytest.raises(ModelError, match=r"takes a model .* or predictions .*, not a value of type Tensor"):
        function(torch.eye(3), labels=torch.arange(3))
    with pytest.raises(LabelError, match="no labels"):
        function(model, images.pixels)
