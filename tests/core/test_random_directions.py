import torch

from vitgeom_nb.core.random_directions import random_directions, rms, unit


def test_rms_is_norm_over_root_n():
    v = torch.full((2, 3, 4, 4), 0.5)
    torch.testing.assert_close(rms(v), torch.tensor([0.5, 0.5]))
    w = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rms(w), w.flatten(1).norm(dim=1) / 48**0.5)


def test_directions_have_norm_one_and_follow_the_seed():
    like = torch.zeros(3, 4, 4)
    state = torch.get_rng_state()
    v = random_directions(7, like, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert v.shape == (7, 3, 4, 4)
    torch.testing.assert_close(v.flatten(1).norm(dim=1), torch.ones(7))
    assert torch.equal(v, random_directions(7, like, seed=5))
    assert not torch.equal(v, random_directions(7, like, seed=6))


def test_directions_are_isotropic():
    v = random_directions(4000, torch.zeros(3, 2, 2, dtype=torch.float64), seed=0).flatten(1)
    second_moment = v.T @ v / len(v)
    torch.testing.assert_close(second_moment, torch.eye(12, dtype=torch.float64) / 12, atol=6e-3, rtol=0)


def test_unit_divides_each_by_its_own_norm():
    v = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    torch.testing.assert_close(unit(v), torch.tensor([[0.6, 0.8], [0.0, 1.0]]))
