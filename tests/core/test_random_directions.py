import torch

from vitgeom_nb.core.random_directions import random_directions, rms, unit


def test_rms_is_norm_over_root_n():
    v = torch.full((2, 3, 4, 4), 0.5)
    torch.testing.assert_close(rms(v), torch.tensor([0.5, 0.5]))
    w = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rms(w), w.flatten(1).norm(dim=1) / 48**0.5)


def images(count, dtype=torch.float32):
    drawn = torch.randint(256, (count, 3, 4, 4), generator=torch.Generator().manual_seed(1))
    return drawn.to(dtype) / 255


def test_directions_have_norm_one_and_follow_the_seed():
    state = torch.get_rng_state()
    v = random_directions(images(2), 7, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert v.shape == (2, 7, 3, 4, 4)
    torch.testing.assert_close(v.flatten(2).norm(dim=2), torch.ones(2, 7))
    assert torch.equal(v, random_directions(images(2), 7, seed=5))
    assert not torch.equal(v, random_directions(images(2), 7, seed=6))


def test_a_direction_follows_from_seed_image_and_number_alone():
    x = images(5)
    v = random_directions(x, 6, seed=0)
    order = torch.tensor([3, 0])
    assert torch.equal(random_directions(x[order], 2, seed=0), v[order, :2])
    # no two images and no two numbers share one
    flat = v.flatten(0, 1).flatten(1)
    assert float((flat @ flat.T).fill_diagonal_(0).abs().max()) < 0.7
    doubled = random_directions(images(5, torch.float64), 6, seed=0)
    torch.testing.assert_close(doubled, v.double(), rtol=0, atol=1e-7)
    torch.testing.assert_close(random_directions(x.half(), 1, seed=0), v[:, :1].half(), rtol=0, atol=0)
    assert not torch.equal(random_directions(x, 1, seed=-1), v[:, :1])


def test_directions_are_isotropic():
    v = random_directions(torch.zeros(1, 3, 2, 2, dtype=torch.float64), 4000, seed=0)[0].flatten(1)
    second_moment = v.T @ v / len(v)
    torch.testing.assert_close(second_moment, torch.eye(12, dtype=torch.float64) / 12, atol=6e-3, rtol=0)


def test_unit_divides_each_by_its_own_norm():
    v = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    torch.testing.assert_close(unit(v), torch.tensor([[0.6, 0.8], [0.0, 1.0]]))
