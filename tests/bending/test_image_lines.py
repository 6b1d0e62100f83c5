import math

import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.bending.image_lines import Lines, embeddings_along, turning_angle
from vitgeom_nb.errors import ArgumentError


def wrapped(net, **options):
    return vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=4, **options)


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return wrapped(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5)), dtype=torch.float64)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-5, 0.3, math.pi / 2, 3.0, math.pi - 1e-9, math.pi])
def test_angle_between_vectors_at_a_known_angle(angle):
    a = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    b = torch.tensor([math.cos(angle), math.sin(angle), 0.0], dtype=torch.float64)
    assert float(turning_angle(a, b)) == pytest.approx(angle, rel=1e-12, abs=1e-15)


def test_angle_ignores_rotation_and_scale():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 7, 9, generator=generator, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(9, 9, generator=generator, dtype=torch.float64))[0]
    cosine = (a * b).sum(1) / a.norm(dim=1) / b.norm(dim=1)
    angle = turning_angle(a, b)
    torch.testing.assert_close(angle, torch.acos(cosine), rtol=1e-12, atol=0)
    torch.testing.assert_close(turning_angle(3 * a @ rotation, 0.01 * b @ rotation), angle, rtol=1e-12, atol=1e-14)


def test_a_zero_vector_has_no_angle():
    assert math.isnan(float(turning_angle(torch.zeros(3), torch.ones(3))))


def test_lines_are_seeded_of_rms_one_and_drawn_as_they_are_asked_for(linear):
    x = torch.rand(3, 3, 4, 4)
    lines = Lines.make(linear, x, 5, None, seed=1)
    assert lines.shape == (3, 5)
    torch.testing.assert_close(lines.directions.flatten(2).square().mean(2), torch.ones(3, 5, dtype=torch.float64))
    assert torch.equal(Lines.make(linear, x[1:], 2, None, seed=1).directions, lines.directions[1:, :2])
    assert not torch.equal(lines.directions, Lines.make(linear, x, 5, None, seed=2).directions)
    start, along = lines.start(torch.tensor([2, 0]), torch.tensor([4, 1]))
    assert torch.equal(start, lines.pixels[[2, 0]])
    assert torch.equal(along, lines.directions[[2, 0], [4, 1]])


def test_directions_of_each_image_are_its_own(linear):
    given = torch.arange(1.0, 2 * 2 * 48 + 1).view(2, 2, 3, 4, 4)
    lines = Lines.make(linear, torch.rand(2, 3, 4, 4), 1, given, seed=0)
    image, direction = lines.each()
    assert list(zip(image.tolist(), direction.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    expected = given.double() / given.double().flatten(2).square().mean(2).sqrt().view(2, 2, 1, 1, 1)
    torch.testing.assert_close(lines.start(image, direction)[1], expected.flatten(0, 1))


def test_embeddings_along_a_line_of_a_linear_map(linear):
    lines = Lines.make(linear, torch.rand(2, 3, 4, 4), 1, None, seed=0)
    start, along = lines.start(*lines.each())
    distances = torch.tensor([0.0, 0.1, 0.3], dtype=torch.float64)
    weight, bias = linear.module[1].weight, linear.module[1].bias
    points = start[:, None].flatten(2) + distances.view(1, 3, 1) * along[:, None].flatten(2)
    for batch in (1, 4, 100):
        linear.batch_size = batch
        torch.testing.assert_close(embeddings_along(linear, start, along, distances), points @ weight.T + bias)


def test_another_precision_is_a_copy_and_the_same_one_is_not(linear):
    single = linear.in_dtype(torch.float32)
    assert linear.in_dtype(torch.float64) is linear
    assert (linear.dtype, single.dtype) == (torch.float64, torch.float32)
    x = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    assert single.embed(x.float()).dtype == torch.float32
    torch.testing.assert_close(single.embed(x.float()).double(), linear.embed(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("directions", "message"),
    [
        ((0, None), "at least one"),
        ((torch.ones(1, 1, 3, 4, 4), None), "along= takes your own"),
        ((1, [1.0]), "takes a tensor"),
        ((1, torch.zeros(1, 1, 3, 4, 4)), "not zero"),
        ((1, torch.full((1, 1, 3, 4, 4), math.nan)), "finite"),
        ((1, torch.ones(1, 0, 3, 4, 4)), "at least one"),
        ((1, torch.ones(3, 1, 3, 4, 4)), "shape"),
        ((1, torch.ones(2, 3, 4, 4)), "shape"),
    ],
)
def test_unusable_directions_are_one_clear_sentence(linear, directions, message):
    with pytest.raises(ArgumentError, match=message):
        Lines.make(linear, torch.rand(2, 3, 4, 4), *directions, seed=0)
