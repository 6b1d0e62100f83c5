import math
import warnings

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import vitgeom_nb as vg
from vitgeom_nb.errors import ArgumentError, ImageError, LabelError, ModelError

from ..tiny_networks import N, linear, pixels, random_network, wrapped

with warnings.catch_warnings():  # foolbox imports what SciPy deprecates
    warnings.simplefilter("ignore")
    import foolbox


def test_two_linear_classes_in_closed_form():
    # along sign(w_1 - w_0) the margin (w_0 - w_1) x falls by ||w_0 - w_1||_1 per unit of epsilon
    own = torch.Generator().manual_seed(0)
    weights = torch.randn(2, N, generator=own)
    model, x = linear(weights), pixels(50)
    labels = model.labels(x)
    w = weights[0].double() - weights[1].double()
    margin = (x.flatten(1) @ w).abs()
    way = vg.travel_distance(model, x, labels, epsilon_max=2.0, grid=100, tolerance=1e-9)
    np.testing.assert_allclose(way.epsilon, margin / w.abs().sum(), atol=2e-9)
    assert set(way.outcome.values) == {"crossed"}
    assert way.label_reached.values.tolist() == (1 - labels).tolist()
    expected = torch.where(labels[:, None].bool(), w, -w).sign().view(-1, 3, 2, 2)
    torch.testing.assert_close(vg.fgsm_direction(model, x, labels), expected, rtol=0, atol=0)
    confidence = torch.sigmoid(margin)
    np.testing.assert_allclose(way.confidence, confidence, atol=1e-12)
    np.testing.assert_allclose(way.psnr, -20 * np.log10(way.epsilon), atol=1e-9)


def test_several_linear_classes_in_closed_form():
    # d is known from the softmax gradient, then the first class to catch up sets the distance
    own = torch.Generator().manual_seed(3)
    weights = torch.randn(6, N, generator=own)
    model, x = linear(weights), pixels(40)
    labels = model.labels(x)
    w, flat = weights.double(), x.flatten(1)
    z = flat @ w.T
    y = torch.nn.functional.one_hot(labels, 6).double()
    d = ((z.softmax(1) - y) @ w).sign()
    torch.testing.assert_close(vg.fgsm_direction(model, x, labels).flatten(1), d, rtol=0, atol=0)
    gap = z.gather(1, labels[:, None]) - z
    speed = d @ w.T
    closing = speed - speed.gather(1, labels[:, None])
    exact = torch.where(closing > 0, gap / closing, torch.inf).amin(1)
    way = vg.travel_distance(model, x, labels, epsilon_max=2.0, grid=400, tolerance=1e-8)
    crossed = way.outcome.values == "crossed"
    np.testing.assert_array_equal(crossed, exact < 2.0)
    np.testing.assert_allclose(way.epsilon.values[crossed], exact[crossed], atol=2e-8)


def test_gradient_is_that_of_cross_entropy_and_survives_saturation():
    model, x = random_network(), pixels(20)
    labels = torch.arange(20) % 5
    x.requires_grad_()
    torch.nn.functional.cross_entropy(model.logits(x), labels).backward()
    torch.testing.assert_close(vg.fgsm_direction(model, x, labels), x.grad.sign(), rtol=0, atol=0)
    # at a confidence that rounds to 1 the gradient of cross-entropy is exactly 0, the direction is not
    weights = torch.stack([torch.full((N,), 100.0), torch.full((N,), -100.0)])
    sure, white = linear(weights, dtype=torch.float32), torch.ones(1, 3, 2, 2, requires_grad=True)
    torch.nn.functional.cross_entropy(sure.logits(white), torch.tensor([0])).backward()
    assert float(white.grad.abs().max()) == 0
    assert vg.fgsm_direction(sure, white, torch.tensor([0])).unique().tolist() == [-1.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_fast_gradient_attack_of_foolbox(dtype):
    model, x = random_network(dtype=dtype), pixels(30).to(dtype)
    labels = model.labels(x)
    theirs = foolbox.PyTorchModel(model.module, bounds=(0, 1))
    attack = foolbox.attacks.LinfFastGradientAttack()
    for epsilon in (0.007, 0.05):
        _, adversarial, _ = attack(theirs, x, labels, epsilons=epsilon)
        ours = (x + epsilon * vg.fgsm_direction(model, x, labels)).clamp(0, 1)
        torch.testing.assert_close(ours, adversarial, rtol=0, atol=4 * torch.finfo(dtype).eps)


def test_bisection_equals_a_dense_scan_on_every_image():
    model, x = random_network(), pixels(60)
    labels = torch.arange(60) % 5
    way = vg.travel_distance(model, x, labels, epsilon_max=0.1, grid=50, tolerance=1e-4)
    d = vg.fgsm_direction(model, x, labels)
    dense = torch.arange(1001, dtype=torch.float64) * 1e-4
    wrong = torch.stack([model.logits(x + e * d).argmax(1) != labels for e in dense], 1)
    assert {"crossed", "already wrong", "never wrong"} == set(way.outcome.values)
    for i in range(60):
        if wrong[i, 0]:
            assert way.outcome[i] == "already wrong"
        elif not wrong[i].any():
            assert way.outcome[i] == "never wrong"
        else:
            assert way.outcome[i] == "crossed"
            assert float(way.epsilon[i]) == pytest.approx(float(dense[wrong[i].int().argmax()]), abs=2.01e-4)
        assert np.isnan(way.epsilon[i]) == (way.outcome[i] != "crossed")
        assert np.isnan(way.psnr[i]) == (way.outcome[i] != "crossed")


def test_the_label_is_wrong_at_epsilon_and_right_just_before():
    model, x = random_network(), pixels(40)
    labels = model.labels(x)
    way = vg.travel_distance(model, x, labels, epsilon_max=1.0, tolerance=1e-6)
    crossed = torch.tensor(way.outcome.values == "crossed")
    x, y, d = x[crossed], labels[crossed], vg.fgsm_direction(model, x, labels)[crossed]
    epsilon = torch.tensor(way.epsilon.values)[crossed].view(-1, 1, 1, 1)
    reached = model.logits(x + epsilon * d).argmax(1)
    assert (reached != y).all()
    assert reached.tolist() == way.label_reached.values[crossed].tolist()
    assert (model.logits(x + (epsilon - 1e-6) * d).argmax(1) == y).all()


def band(low, high, dtype=torch.float64):
    """Class 1 only where the mean pixel lies in (low, high): a thin wrong region, right again behind it."""

    class Band(torch.nn.Module):
        def forward(self, x):
            m = x.flatten(1).mean(1)
            inside = (m - low) * (high - m)
            return torch.stack([torch.zeros_like(inside), inside], 1)

    return wrapped(Band(), dtype)


def test_a_thin_region_needs_a_grid_that_is_fine_enough():
    model, x, y = band(0.5502, 0.5518), torch.full((1, 3, 2, 2), 0.5), torch.tensor([0])
    assert vg.fgsm_direction(model, x, y).unique().tolist() == [1.0]
    fine = vg.travel_distance(model, x, y, epsilon_max=0.1, grid=100)
    assert fine.outcome[0] == "crossed"
    assert float(fine.epsilon[0]) == pytest.approx(0.0502, abs=1e-4)
    coarse = vg.travel_distance(model, x, y, epsilon_max=0.1, grid=10)
    assert coarse.outcome[0] == "never wrong"
    assert coarse.attrs["parameters"] != fine.attrs["parameters"]


def test_the_first_of_two_wrong_regions_is_found():
    class Waves(torch.nn.Module):
        def forward(self, x):
            s = torch.sin(2 * math.pi * 5 * (x.flatten(1).mean(1) - 0.5))
            return torch.stack([torch.full_like(s, 0.5), s], 1)

    # sin(2 pi 5 e) first exceeds 1/2 at e = 1/60
    way = vg.travel_distance(wrapped(Waves()), torch.full((1, 3, 2, 2), 0.5), torch.tensor([0]), epsilon_max=0.4)
    assert float(way.epsilon[0]) == pytest.approx(1 / 60, abs=1e-4)


def test_already_wrong_and_never_wrong_are_two_outcomes():
    model = linear(torch.stack([torch.ones(N), -torch.ones(N)]), torch.tensor([0.0, 10.0]))
    x = torch.tensor([0.2, 0.5, 0.9]).view(3, 1, 1, 1).expand(3, 3, 2, 2)  # class 0 from 5/12 on
    way = vg.travel_distance(model, x, torch.zeros(3).long(), epsilon_max=0.2)
    assert way.outcome.values.tolist() == ["already wrong", "crossed", "never wrong"]
    assert way.label_reached.values.tolist() == [1, 1, 0]
    np.testing.assert_allclose(way.epsilon, [math.nan, 0.5 - 5 / 12, math.nan], atol=1e-4)


def test_clamping_keeps_pixels_in_range_and_can_block_the_way():
    # the boundary is at mean -0.05, outside the range of pixels
    model = linear(torch.stack([torch.ones(N), -torch.ones(N)]), torch.tensor([1.2, 0.0]))
    x, y = torch.full((1, 3, 2, 2), 0.02), torch.tensor([0])
    free, kept = (vg.travel_distance(model, x, y, clamp=c, pictures=True) for c in (False, True))
    assert float(free.epsilon[0]) == pytest.approx(0.07, abs=2e-4)
    assert float(free.moved.min()) < 0
    assert kept.outcome[0] == "never wrong"
    assert float(kept.moved.min()) >= 0


def test_epsilon_is_the_rms_of_the_change_and_pictures_show_it():
    model, x = random_network(), pixels(10)
    way = vg.travel_distance(model, x, model.labels(x), epsilon_max=2.0, pictures=True)
    change = (way.moved - way.pixels).values.reshape(10, -1)
    rms = np.sqrt((change.astype(np.float64) ** 2).mean(1))
    np.testing.assert_allclose(rms, np.nan_to_num(way.epsilon), atol=1e-6)


def test_order_and_size_of_batches_change_nothing():
    model, x = random_network(), pixels(23)
    labels = torch.arange(23) % 5
    plain = vg.travel_distance(model, x, labels, epsilon_max=0.5)
    order = torch.randperm(23, generator=torch.Generator().manual_seed(0))
    model.batch_size = 4
    other = vg.travel_distance(model, x[order], labels[order], epsilon_max=0.5)
    for key in ("epsilon", "outcome", "label_reached"):
        np.testing.assert_array_equal(other[key].values, plain[key].values[order])


def test_labels_may_come_with_the_images_and_never_from_nowhere(tmp_path):
    model, x = random_network(), pixels(6)
    labels = model.labels(x)
    assert labels.tolist() == model.logits(x).argmax(1).tolist()
    images = vg.Images(x, list("abcdef"), "made up", "none", labels=labels)
    with_images = vg.travel_distance(model, images, epsilon_max=1.0)
    plain = vg.travel_distance(model, x, labels, epsilon_max=1.0)
    np.testing.assert_array_equal(with_images.epsilon, plain.epsilon)
    assert vg.open_measurement(vg.save_measurement(plain, tmp_path / "t.nc")).identical(plain)
    assert all({"units", "long_name"} <= set(v.attrs) for v in plain.variables.values())
    for function in (vg.travel_distance, vg.fgsm_direction, vg.random_jump, vg.path_plane):
        with pytest.raises(LabelError, match="no labels"):
            function(model, x)


def test_the_correlation_ranks_never_wrong_beyond_and_leaves_already_wrong_out():
    # a linear classifier of two classes: the surer, the farther, exactly
    model = linear(torch.stack([torch.ones(N), -torch.ones(N)]), torch.tensor([0.0, 10.0]))
    x = torch.linspace(0.3, 0.9, 13, dtype=torch.float64).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    way = vg.travel_distance(model, x, torch.zeros(13).long(), epsilon_max=0.3, tolerance=1e-6)
    assert (way.outcome == "never wrong").sum() == 4
    kept = way.outcome.values != "already wrong"
    expected = spearmanr(way.confidence[kept], np.where(way.outcome == "never wrong", 9.0, way.epsilon)[kept])
    assert float(way.rank_correlation) == pytest.approx(expected.statistic, abs=1e-12)
    assert float(way.rank_correlation) > 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon_max": 0.0}, "epsilon_max"),
        ({"epsilon_max": math.inf}, "epsilon_max"),
        ({"grid": 0}, "grid"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"tolerance": 0.2}, "tolerance"),
    ],
)
def test_bad_searches(options, message):
    model, x = random_network(), pixels(2)
    for function in (vg.travel_distance, vg.random_jump, vg.path_plane):
        with pytest.raises(ArgumentError, match=message):
            function(model, x, torch.tensor([0, 1]), **options)


def test_bad_images_labels_and_sizes():
    model, x = random_network(), pixels(2)
    y = torch.tensor([0, 1])
    with pytest.raises(LabelError, match="5 classes"):
        vg.travel_distance(model, x, torch.tensor([0, 5]))
    with pytest.raises(LabelError, match="one for each"):
        vg.fgsm_direction(model, x, torch.tensor([0]))
    with pytest.raises(ImageError, match="in \\[0, 1\\]"):
        vg.travel_distance(model, 2 * x, y)
    with pytest.raises(ModelError, match="no classifier head"):
        vg.travel_distance(wrapped(torch.nn.Flatten(), logits=None), x, y)
    for options in ({"jump": 0.0}, {"early_step": 0.0}):
        with pytest.raises(ArgumentError, match="positive"):
            vg.random_jump(model, x, y, **options)
    with pytest.raises(ArgumentError, match="early_steps"):
        vg.random_jump(model, x, y, early_steps=1)
    with pytest.raises(ArgumentError, match="path_plane"):
        vg.path_plane(model, x, y, resolution=1)


def test_directions_of_ones_own_on_a_linear_classifier():
    weights = torch.randn(2, N, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    model, x = linear(weights, torch.zeros(2).double()), pixels(6)
    labels = model.logits(x).argmax(1)
    along = torch.randn(6, 3, 2, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    unit = along / along.square().mean((1, 2, 3), keepdim=True).sqrt()
    margin = model.logits(x).diff(dim=1)[:, 0]
    slope = (unit.flatten(1) @ weights.T).diff(dim=1)[:, 0]
    expected = torch.where(margin * slope < 0, (margin / slope).abs(), torch.nan)
    way = vg.travel_distance(model, x, labels, along=7 * along, epsilon_max=5.0, tolerance=1e-6)
    np.testing.assert_allclose(way.epsilon, expected.where(expected < 5, torch.nan), atol=2e-6)
    assert set(way.outcome.values) == {"crossed", "never wrong"}
    shared = vg.travel_distance(model, x, labels, along=along[:1], epsilon_max=5.0, tolerance=1e-6)
    alone = vg.travel_distance(model, x[:1], labels[:1], along=along[:1], epsilon_max=5.0, tolerance=1e-6)
    np.testing.assert_array_equal(shared.epsilon[:1], alone.epsilon)


def test_the_sign_of_the_gradient_is_the_direction_unless_told():
    model, x = random_network(), pixels(5)
    labels = torch.arange(5)
    given = vg.travel_distance(model, x, labels, along=vg.fgsm_direction(model, x, labels), epsilon_max=0.5)
    np.testing.assert_allclose(given.epsilon, vg.travel_distance(model, x, labels, epsilon_max=0.5).epsilon)


@pytest.mark.parametrize("along", [torch.ones(3, 3, 2, 2), torch.ones(3, 2, 2), "up", torch.zeros(2, 3, 2, 2), 1])
def test_unusable_directions_of_ones_own(along):
    with pytest.raises(ArgumentError, match="along"):
        vg.travel_distance(random_network(), pixels(2), torch.tensor([0, 1]), along=along)


def test_epsilon_is_the_largest_change_and_rms_says_how_much_of_the_image_it_is():
    """A network blind to two of three pixels: their gradients are exactly zero."""
    weights = torch.zeros(2, N)
    weights[0, ::3], weights[1, ::3] = 1.0, -1.0
    model, x = linear(weights), pixels(5)
    way = vg.travel_distance(model, x, model.labels(x), epsilon_max=2.0, tolerance=1e-9, pictures=True)
    change = (way.moved - way.pixels).values.reshape(5, -1)
    np.testing.assert_allclose(np.abs(change).max(1), way.epsilon, atol=1e-6)
    np.testing.assert_allclose(way.rms, np.sqrt((change**2).mean(1)), atol=1e-7)
    np.testing.assert_allclose(way.rms, way.epsilon / np.sqrt(3), atol=1e-7)
    np.testing.assert_allclose(way.psnr, -20 * np.log10(way.rms), atol=1e-4)
