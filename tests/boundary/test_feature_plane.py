import numpy as np
import pytest
import torch
from scipy.interpolate import RegularGridInterpolator

import vitgeom_nb as vg
from vitgeom_nb.boundary.feature_plane import Plane, classifier_head
from vitgeom_nb.errors import ArgumentError, ModelError

from ..tiny_networks import N, crossing_images, random_network, wrapped


def test_the_plane_holds_its_three_points_and_projects_the_rest():
    own = torch.Generator().manual_seed(0)
    a, b, c, z = torch.randn(4, 9, generator=own, dtype=torch.float64)
    plane = Plane.through(a, b, c)
    torch.testing.assert_close(plane.axes @ plane.axes.T, torch.eye(2, dtype=torch.float64))
    inside, off = plane.coordinates(torch.stack([a, b, c, z]))
    np.testing.assert_allclose(off[:3], 0, atol=1e-12)
    torch.testing.assert_close(plane.points(inside)[:3], torch.stack([a, b, c]))
    torch.testing.assert_close(inside[1], torch.stack([(b - a).norm(), torch.zeros((), dtype=torch.float64)]))
    assert float(inside[2, 1]) > 0
    foot = plane.points(inside[3])
    np.testing.assert_allclose(plane.axes @ (z - foot), 0, atol=1e-12)
    assert float(off[3]) == pytest.approx(float((z - foot).norm()))
    with pytest.raises(ArgumentError, match="one line"):
        Plane.through(a, b, a + 2 * (b - a))


def test_the_boundary_passes_through_both_crossings():
    model = random_network()
    x, labels = crossing_images(model)
    plane = vg.path_plane(model, x, labels, head=model.module[3], epsilon_max=1.0, tolerance=1e-7, resolution=41)
    ways = vg.random_jump(model, x, labels, epsilon_max=1.0, tolerance=1e-7)
    np.testing.assert_allclose(plane.epsilon, ways.epsilon, atol=1e-12)
    for i in range(len(x)):
        grid = (plane.vertical[i].values, plane.horizontal[i].values)
        margin = RegularGridInterpolator(grid, plane.margin[i].values)
        at = [float(margin(c[::-1])[0]) for c in plane.corner_position[i].values]
        scale = float(abs(plane.margin[i]).max())
        assert at[0] > 0
        assert at[1] == pytest.approx(0, abs=5e-3 * scale)
        assert at[2] == pytest.approx(0, abs=5e-3 * scale)
    np.testing.assert_allclose(plane.position.sel(leg="direct")[:, 0], 0, atol=1e-9)
    np.testing.assert_allclose(plane.position.sel(leg="jump")[:, -1], plane.position.sel(leg="jumped")[:, 0], atol=1e-9)
    assert (plane.off_plane_share >= 0).all()
    assert (plane.off_plane_share <= 1 + 1e-9).all()


def test_margins_on_the_way_are_those_of_the_network():
    model = random_network()
    x, labels = crossing_images(model, 2)
    plane = vg.path_plane(model, x, labels, head=model.module[3], epsilon_max=1.0, points=11, resolution=5)
    d = vg.fgsm_direction(model, x, labels)
    for i in range(2):
        for k in range(11):
            size = float(plane.epsilon.sel(path="direct")[i] * plane.fraction.sel(leg="direct")[k])
            z = model.logits(x[i : i + 1] + size * d[i : i + 1])[0]
            margin = z[labels[i]] - torch.cat([z[: labels[i]], z[labels[i] + 1 :]]).max()
            assert float(plane.margin_on_path.sel(leg="direct")[i, k]) == pytest.approx(float(margin), abs=1e-9)
    right = plane.margin_on_path.sel(leg="direct") > 0
    assert right.where(plane.fraction.sel(leg="direct") < 0.999, True).all()


def test_the_plane_of_a_linear_network_has_straight_paths_and_a_straight_boundary(tmp_path):
    own = torch.Generator().manual_seed(2)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(N, 6), torch.nn.Linear(6, 2))
    for layer in (net[1], net[2]):
        layer.weight.data = torch.randn(layer.weight.shape, generator=own)
        layer.bias.data.zero_()
    model = wrapped(net, embed=lambda m, x: m[:2](x))
    x, labels = crossing_images(model, 2)
    plane = vg.path_plane(model, x, labels, head=net[2].double(), epsilon_max=1.0, resolution=9)
    np.testing.assert_allclose(plane.position.sel(leg="direct", axis=1), 0, atol=1e-9)
    # an affine margin has no second differences; the direct path never leaves the plane
    np.testing.assert_allclose(plane.margin.diff("row", 2), 0, atol=1e-9)
    np.testing.assert_allclose(plane.margin.diff("column", 2), 0, atol=1e-9)
    np.testing.assert_allclose(plane.off_plane.sel(leg="direct"), 0, atol=1e-9)
    assert vg.open_measurement(vg.save_measurement(plane, tmp_path / "p.nc")).identical(plane)


def test_the_head_of_an_embedded_network_is_found():
    model = vg.load("resnet")
    images = vg.samples("cifar10", n=1)
    head = classifier_head(model, model.pixels(images))
    with torch.no_grad():
        torch.testing.assert_close(head(model.embed(images.pixels)), model.logits(images.pixels))


def test_bad_heads():
    model = random_network()
    x, labels = crossing_images(model, 1)
    with pytest.raises(ModelError, match="pass head="):
        vg.path_plane(model, x, labels)
    with pytest.raises(ModelError, match="pass head= that does"):
        vg.path_plane(model, x, labels, head=lambda z: z[:, :5])


def test_images_that_do_not_cross_have_no_plane():
    model = random_network()
    x, labels = crossing_images(model, 1)
    with pytest.raises(ArgumentError, match="already wrong on the direct path"):
        vg.path_plane(model, x, (labels + 1) % 5, head=model.module[3])
    with pytest.raises(ArgumentError, match="larger epsilon_max"):
        vg.path_plane(model, x, labels, head=model.module[3], epsilon_max=1e-5, tolerance=1e-6)
