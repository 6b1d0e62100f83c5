import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.bending.image_lines import Lines
from vitgeom_nb.bending.image_plane import outline
from vitgeom_nb.errors import ArgumentError, ImageError

GREY = torch.full((1, 3, 4, 4), 0.5)


class Bowl(torch.nn.Module):
    """(p, q, height p^2) with p and q the first two pixels, measured from grey."""

    def __init__(self, height):
        super().__init__()
        self.height = height

    def forward(self, x):
        p, q = x.flatten(1)[:, :2].T - 0.5
        return torch.stack([p, q, self.height * p.square()], dim=1)


def wrapped(net):
    return vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=4, dtype=torch.float64)


def first_two_pixels():
    directions = torch.zeros(2, 48)
    directions[0, 0] = directions[1, 1] = 1
    return directions.view(2, 3, 4, 4)


def test_outlines_are_circles_and_grids():
    circle = outline("circle", 3, 9)
    assert circle.shape == (3, 9, 2)
    np.testing.assert_allclose(np.hypot(*circle.T), np.repeat([[1 / 3, 2 / 3, 1]], 9, axis=0), rtol=1e-12)
    np.testing.assert_allclose(circle[:, 0], circle[:, -1], atol=1e-12)
    square = outline("square", 3, 5)
    assert square.shape == (6, 5, 2)
    np.testing.assert_allclose(square[0], [[a, -1] for a in (-1, -0.5, 0, 0.5, 1)])
    np.testing.assert_allclose(square[5], [[1, b] for b in (-1, -0.5, 0, 0.5, 1)])


@pytest.mark.parametrize("shape", ["circle", "square"])
def test_a_linear_network_is_flat_and_its_projection_keeps_distances(shape):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    moved = vg.trajectory(wrapped(net), GREY, shape=shape, epsilon=0.1, curves=2, points=9, seed=3)
    assert float(moved["nonlinear"]) < 1e-20
    assert float(moved["explained"].sum()) == pytest.approx(1)
    # the same plane by NumPy: distances in the picture are distances between embeddings
    axes = Lines.make(wrapped(net), GREY, 2, None, seed=3).directions[0].flatten(1).numpy()
    axes[1] -= axes[1] @ axes[0] / (axes[0] @ axes[0]) * axes[0]
    axes[1] *= np.sqrt(48) / np.linalg.norm(axes[1])
    plane = np.stack([moved["a"], moved["b"]], -1).reshape(-1, 2)
    assert np.abs(plane).max() == pytest.approx(0.1)
    embedded = plane @ axes @ net[1].weight.detach().double().numpy().T
    drawn = moved["feature"].values.reshape(-1, 2)
    expected = np.linalg.norm(embedded[:, None] - embedded[None], axis=-1)
    np.testing.assert_allclose(np.linalg.norm(drawn[:, None] - drawn[None], axis=-1), expected, atol=1e-12)


@pytest.mark.parametrize("shape", ["circle", "square"])
def test_what_is_not_affine_is_what_numpy_finds(shape):
    model = wrapped(Bowl(height=3.0))
    moved = vg.trajectory(model, GREY, shape=shape, epsilon=0.05, along=first_two_pixels())
    p, q = (np.sqrt(48) * moved[name].values.ravel() for name in "ab")
    bowl = 3 * p**2
    total = p.var() + q.var() + bowl.var()
    # by symmetry the square of p has no linear part in p and q
    design = np.column_stack([np.ones_like(p), p, q])
    left = bowl - design @ np.linalg.lstsq(design, bowl, rcond=None)[0]
    assert float(moved["nonlinear"]) == pytest.approx(left.var() / total, rel=1e-9)
    values = np.linalg.eigvalsh(np.cov(np.stack([p, q, bowl])))[::-1]
    np.testing.assert_allclose(moved["explained"], values[:2] / values.sum(), rtol=1e-9)


def test_axes_are_made_orthogonal_and_of_rms_one():
    model = wrapped(torch.nn.Flatten())
    skew = torch.stack([2 * first_two_pixels()[0], first_two_pixels().sum(0)])
    moved = vg.trajectory(model, GREY, shape="square", epsilon=0.05, curves=2, along=skew)
    feature = moved["feature"].values
    np.testing.assert_allclose(
        np.abs(feature), np.sqrt(48) * np.abs(np.stack([moved["a"], moved["b"]], -1)), atol=1e-12
    )


def test_signs_follow_the_plane():
    for seed in range(4):
        torch.manual_seed(seed)
        net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
        moved = vg.trajectory(wrapped(net), GREY, seed=seed, points=5)
        for component, name in enumerate("ab"):
            assert float((moved["feature"].isel(component=component) * moved[name]).sum()) >= 0


def test_file_and_constant_network(tmp_path):
    moved = vg.trajectory(wrapped(Bowl(1.0)), GREY, along=first_two_pixels())
    assert vg.open_measurement(vg.save_measurement(moved, tmp_path / "t.nc")).identical(moved)
    torch.manual_seed(0)
    constant = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    constant[1].weight.data.zero_()
    assert bool(vg.trajectory(wrapped(constant), GREY)["nonlinear"].isnull())


def test_bad_input_is_one_clear_sentence():
    model = wrapped(Bowl(1.0))
    with pytest.raises(ArgumentError, match="circle or square"):
        vg.trajectory(model, GREY, shape="triangle")
    with pytest.raises(ArgumentError, match="positive"):
        vg.trajectory(model, GREY, epsilon=-1)
    with pytest.raises(ArgumentError, match="at least 1 and 3"):
        vg.trajectory(model, GREY, points=2)
    with pytest.raises(ImageError, match="one image"):
        vg.trajectory(model, GREY.repeat(2, 1, 1, 1))
    with pytest.raises(ArgumentError, match="two directions"):
        vg.trajectory(model, GREY, along=torch.ones(1, 3, 4, 4))
    with pytest.raises(ArgumentError, match="parallel"):
        vg.trajectory(model, GREY, along=torch.ones(2, 3, 4, 4))
    with pytest.raises(ArgumentError, match="shape"):
        vg.trajectory(model, GREY, along=torch.ones(3, 4))


def test_a_line_is_a_path_with_known_turns_and_projections():
    model = vg.wrap(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 6), torch.nn.Tanh()),
        mean=[0.0] * 3, std=[1.0] * 3, size=2, dtype=torch.float64,
    )  # fmt: skip
    image = torch.full((1, 3, 2, 2), 0.5, dtype=torch.float64)
    moved = vg.trajectory(model, image, shape="line", epsilon=0.4, points=9)
    assert dict(moved.feature.sizes) == {"curve": 1, "point": 9, "component": 2}
    np.testing.assert_allclose(moved.a[0], np.linspace(-0.4, 0.4, 9))
    assert (moved.b == 0).all()
    places = image.numpy() + moved.a.values[0][:, None, None, None] * moved.axis.values[0]
    with torch.no_grad():
        z = model.embed(torch.from_numpy(places)).numpy()
    np.testing.assert_allclose(moved.feature[0], (z - moved["mean"].values) @ moved.basis.values.T, atol=1e-12)
    np.testing.assert_allclose(moved["mean"], z.mean(0))
    steps = np.diff(z, axis=0)
    cosine = (steps[1:] * steps[:-1]).sum(1) / np.linalg.norm(steps[1:], axis=1) / np.linalg.norm(steps[:-1], axis=1)
    np.testing.assert_allclose(moved.angle[0, 1:-1], np.arccos(cosine), atol=1e-7)
    assert np.isnan(moved.angle[0, [0, -1]]).all()
