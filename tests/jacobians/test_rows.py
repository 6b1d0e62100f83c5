"""The Jacobian against maps whose Jacobian is known, central differences and NumPy."""

import numpy as np
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb import errors
from vitgeom_nb.jacobians.gram import project_null, right_vectors, spectrum
from vitgeom_nb.jacobians.rows import jacobian_rows
from vitgeom_nb.networks.embedded import FAMILIES

N = 48
EMBEDDED = tuple(FAMILIES)


def wrapped(*layers, size=4, dtype=torch.float32, std=1.0):
    return vg.wrap(torch.nn.Sequential(*layers), mean=[0.0] * 3, std=[std] * 3, size=size, dtype=dtype)


def linear(weight, dtype=torch.float32):
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = weight.clone()
    return wrapped(torch.nn.Flatten(), layer, dtype=dtype)


def smooth(dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    return wrapped(
        torch.nn.Conv2d(3, 6, 3, padding=1),
        torch.nn.GELU(),
        torch.nn.Flatten(),
        torch.nn.Linear(96, 7),
        torch.nn.Tanh(),
        dtype=dtype,
        std=0.25,
    )


def matrix(rows, seed=0):
    return torch.randn(rows, N, generator=torch.Generator().manual_seed(seed))


def images(count, size=4, seed=1):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_the_jacobian_of_a_linear_map_is_its_matrix():
    weight = matrix(5)
    J = vg.jacobian(linear(weight), images(3)).jacobian
    assert J.dims == ("image", "component", "channel", "y", "x")
    for each in J.values.reshape(3, 5, N):
        np.testing.assert_array_equal(each, weight.numpy())


def test_normalisation_is_inside_the_jacobian():
    weight = matrix(5)
    model = wrapped(torch.nn.Flatten(), torch.nn.Linear(N, 5), std=0.5)
    model.module[1].weight.data = weight
    np.testing.assert_allclose(jacobian_rows(model, images(1)[0]), 2 * weight, rtol=1e-6)


def test_a_two_layer_relu_network_by_hand():
    first, second = matrix(9, seed=2), matrix(4, seed=3)[:, :9].contiguous()
    net = [torch.nn.Flatten(), torch.nn.Linear(N, 9), torch.nn.ReLU(), torch.nn.Linear(9, 4)]
    net[1].weight.data, net[3].weight.data = first, second
    model = wrapped(*net, dtype=torch.float64)
    x = images(1).double()
    active = (x.flatten() @ first.double().T + net[1].bias.double() > 0).double()
    assert 0 < active.sum() < 9
    by_hand = second.double() @ torch.diag(active) @ first.double()
    np.testing.assert_allclose(jacobian_rows(model, x[0]), by_hand.detach(), atol=1e-13)
    assert int(vg.singular_spectrum(model, x).numerical_rank[0]) == min(4, int(active.sum()))


@pytest.mark.parametrize("name", EMBEDDED)
def test_products_of_embedded_networks_agree_with_differences_and_each_other(name):
    model = vg.load(name, dtype=torch.float64)
    x = model.pixels(images(1, model.size[0]))
    generator = torch.Generator().manual_seed(4)
    v = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    v = v / v.norm()
    u = torch.randn(1, model.dim, generator=generator, dtype=torch.float64)
    forward = vg.jvp(model, x, v)
    # a step small enough that no kink of a ReLU network is likely to lie on it, far above float64 rounding
    h = 1e-7 if name in ("resnet", "mobilenetv2") else 1e-5
    with torch.no_grad():
        ahead, behind = model.embed(torch.cat([x + h * v, x - h * v]))
    central = (ahead - behind) / (2 * h)
    assert float((forward - central).norm() / central.norm()) < 1e-6
    row = jacobian_rows(model, x[0], u)
    assert float((u * forward).sum()) == pytest.approx(float(row[0] @ v.flatten()), rel=1e-9)


def test_products_agree_with_the_matrix():
    model, x = smooth(), images(2).double()
    generator = torch.Generator().manual_seed(5)
    v = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    u = torch.randn(2, 7, generator=generator, dtype=torch.float64)
    for i in range(2):
        J = jacobian_rows(model, x[i])
        np.testing.assert_allclose(vg.jvp(model, x, v)[i], J @ v[i].flatten(), atol=1e-13)
        np.testing.assert_allclose(vg.vjp(model, x, u)[i].flatten(), J.T @ u[i], atol=1e-13)


def test_chunks_and_batches_change_nothing():
    model, x = smooth(), images(3).double()
    whole = jacobian_rows(model, x[0])
    for chunk in (1, 3, 7, 100):
        np.testing.assert_allclose(jacobian_rows(model, x[0], chunk=chunk), whole, atol=1e-14)
    together, alone = vg.singular_spectrum(model, x), vg.singular_spectrum(model, x[1:2])
    np.testing.assert_allclose(together.singular_value[1], alone.singular_value[0], rtol=1e-12)


def test_single_rows_are_not_vectorised(monkeypatch):
    model, x = smooth(), images(1).double()
    whole = jacobian_rows(model, x[0])
    monkeypatch.setattr(torch.func, "vmap", None)
    np.testing.assert_allclose(jacobian_rows(model, x[0], chunk=1), whole, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "most"), [("vit", 0.05), ("swin", 0.05), ("resnet", 0.4), ("mobilenetv2", 0.4), ("convnext", 0.05)]
)
def test_rows_in_reduced_precision_are_near_for_every_chunk(name, most):
    model, x = vg.load(name), images(1, 64)
    u = torch.eye(model.dim)[:8]
    exact = jacobian_rows(model, x[0], u)
    for chunk in (8, 1):
        less = jacobian_rows(model, x[0], u, chunk, precision=torch.bfloat16)
        assert 1e-4 < (less - exact).norm() / exact.norm() < most


def test_a_chunk_that_does_not_fit_is_halved(monkeypatch):
    model, x = smooth(), images(1).double()
    whole, sizes, vmap = jacobian_rows(model, x[0]), [], torch.func.vmap

    def small_memory(function):
        def call(part):
            sizes.append(len(part))
            if len(part) > 2:
                raise torch.OutOfMemoryError("out of memory")
            return vmap(function)(part)

        return call

    monkeypatch.setattr(torch.func, "vmap", small_memory)
    np.testing.assert_allclose(jacobian_rows(model, x[0], chunk=7), whole, atol=1e-14)
    assert sizes == [7, 3]  # single rows do without


def test_permuting_pixels_permutes_columns_and_keeps_the_spectrum():
    model, x = smooth(), images(1).double()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(6))

    class Permuted(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model.module

        def forward(self, pixels):
            back = torch.empty_like(order)
            back[order] = torch.arange(N)
            return self.inner(pixels.flatten(1)[:, back].view_as(pixels))

    shuffled = vg.wrap(Permuted(), mean=[0.0] * 3, std=[0.25] * 3, size=4, dtype=torch.float64)
    y = x.flatten(1)[:, order].view_as(x)
    np.testing.assert_allclose(jacobian_rows(shuffled, y[0]), jacobian_rows(model, x[0])[:, order], atol=1e-13)
    ours, theirs = vg.singular_spectrum(model, x), vg.singular_spectrum(shuffled, y)
    np.testing.assert_allclose(ours.singular_value, theirs.singular_value, rtol=1e-12)


def test_singular_values_against_numpy():
    model, x = smooth(torch.float32), images(2)
    result = vg.singular_spectrum(model, x)
    for i in range(2):
        s = np.linalg.svd(jacobian_rows(model, x[i]).double().numpy(), compute_uv=False)
        np.testing.assert_allclose(result.singular_value[i], s, rtol=1e-9)
        assert float(result.stable_rank[i]) == pytest.approx((s**2).sum() / s[0] ** 2, rel=1e-9)
        assert float(result.frobenius[i]) == pytest.approx(np.sqrt((s**2).sum()), rel=1e-9)


def test_a_wide_range_of_singular_values_is_resolved():
    generator = torch.Generator().manual_seed(7)
    left = torch.linalg.qr(torch.randn(12, 12, generator=generator, dtype=torch.float64))[0]
    right = torch.linalg.qr(torch.randn(N, 12, generator=generator, dtype=torch.float64))[0]
    values = torch.logspace(2, -3.1, 12, dtype=torch.float64)
    J = left @ torch.diag(values) @ right.T
    parts = spectrum(J)
    np.testing.assert_allclose(parts.values, values, rtol=1e-5)
    assert parts.rank == 11  # the last is 8e-6 of the first: not above the tolerance
    assert spectrum(J, tolerance=1e-6).rank == 12
    assert spectrum(J, tolerance=0.5).rank == 1


def test_vectors_rebuild_the_jacobian():
    model, x = smooth(), images(2).double()
    result = vg.singular_spectrum(model, x, vectors=True)
    for i in range(2):
        s = result.singular_value[i].values
        u, v = result.left_vector[i].values, result.right_vector[i].values.reshape(7, N)
        np.testing.assert_allclose(v @ v.T, np.eye(7), atol=1e-9)
        np.testing.assert_allclose(u @ u.T, np.eye(7), atol=1e-12)
        np.testing.assert_allclose(u.T @ np.diag(s) @ v, jacobian_rows(model, x[i]), atol=1e-12)
        assert (v.sum(1) > 0).all()
    top = vg.singular_spectrum(model, x, k=2, vectors=True)
    assert top.sizes["rank"] == 2
    assert list(top["rank"].values) == [1, 2]
    np.testing.assert_allclose(top.right_vector, result.right_vector[:, :2], atol=1e-14)
    np.testing.assert_array_equal(top.stable_rank, result.stable_rank)


def test_null_directions_have_no_right_vector():
    weight = matrix(4)
    weight[3] = weight[0] + weight[1]
    J = weight.double()
    parts = spectrum(J)
    assert parts.rank == 3
    right = right_vectors(J, parts)
    assert bool(right[3].isnan().all())
    assert not bool(right[:3].isnan().any())
    result = vg.singular_spectrum(linear(weight), images(1))
    assert int(result.null_by_counting) == N - 4
    assert int(result.null_dimensions[0]) == N - 3


def test_more_components_than_pixels():
    weight = torch.randn(60, N, generator=torch.Generator().manual_seed(8))
    result = vg.singular_spectrum(linear(weight), images(1))
    assert result.sizes["rank"] == N
    assert int(result.null_by_counting) == 0
    np.testing.assert_allclose(result.singular_value[0], np.linalg.svd(weight.double(), compute_uv=False), rtol=1e-6)


def test_a_constant_embedding_has_no_normal_space():
    result = vg.singular_spectrum(linear(torch.zeros(3, N)), images(1))
    assert int(result.numerical_rank[0]) == 0
    assert np.isnan(result.stable_rank[0])


def test_the_null_projection_is_the_pseudo_inverse_one():
    weight = matrix(6)
    weight[5] = 2 * weight[4]
    J = weight.double()
    v = matrix(3, seed=9).double()
    expected = v - v @ J.T @ torch.linalg.pinv(J, rtol=1e-8).T
    np.testing.assert_allclose(project_null(J, v), expected, atol=1e-12)
    np.testing.assert_allclose(project_null(J, v[0]), expected[0], atol=1e-12)
    assert float((J @ project_null(J, v).T).abs().max()) < 1e-12
    twice = project_null(J, project_null(J, v))
    np.testing.assert_allclose(twice, expected, atol=1e-12)


@pytest.mark.parametrize(("pooled", "nulls"), [(False, 2), (True, 1)])
def test_layer_norm_leaves_two_null_singular_values_and_one_after_pooling(pooled, nulls):
    class Tokens(torch.nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.mix = torch.nn.Linear(24, 8)
            self.norm = torch.nn.LayerNorm(8, eps=1e-12)
            torch.nn.init.uniform_(self.norm.weight, 0.5, 2)

        def forward(self, pixels):
            tokens = self.norm(self.mix(pixels.unflatten(2, (2, 2)).flatten(3).transpose(1, 2).flatten(2)))
            return tokens.mean(1) if pooled else tokens[:, 0]

    model = vg.wrap(Tokens(), mean=[0.0] * 3, std=[1.0] * 3, size=4, dtype=torch.float64)
    result = vg.singular_spectrum(model, images(2))
    assert list(result.numerical_rank.values) == [8 - nulls] * 2


def test_measurements_survive_a_file(tmp_path):
    result = vg.singular_spectrum(smooth(), images(1), vectors=True)
    path = vg.save_measurement(result, tmp_path / "spectrum.nc")
    assert vg.open_measurement(path).identical(result)
    assert all(v.attrs["units"] and v.attrs["long_name"] for v in result.data_vars.values())


def test_bad_input():
    model = smooth()
    with pytest.raises(errors.ArgumentError, match="k from 1 to 7"):
        vg.singular_spectrum(model, images(1), k=8)
    with pytest.raises(errors.ArgumentError, match="k from 1 to 7"):
        vg.singular_spectrum(model, images(1), k=0)
    with pytest.raises(errors.ArgumentError, match="between 0 and 1"):
        vg.singular_spectrum(model, images(1), tolerance=2)
    with pytest.raises(errors.ImageError, match="4 x 4"):
        vg.jacobian(model, images(1, 5))
    with pytest.raises(errors.ImageError, match="at least one"):
        vg.jacobian(model, images(1)[:0])
    broken = linear(matrix(3))
    broken.module[1].weight.data[0, 0] = torch.nan
    with pytest.raises(errors.ModelError, match="float64"):
        vg.jacobian(broken, images(1))
