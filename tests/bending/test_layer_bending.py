import numpy as np
import pytest
import timm
import torch
from torch import nn

import vitgeom_nb as vg
from vitgeom_nb.bending.image_lines import turning_angle
from vitgeom_nb.bending.layer_bending import KINDS, kind_of
from vitgeom_nb.errors import ArgumentError, ModelError


class Tokens(nn.Module):
    """An image as a sequence of 16 tokens of 3 channels."""

    def forward(self, x):
        return x.flatten(2).transpose(1, 2)


class BilinearAttention(nn.Module):
    """A(X) = X Wq Wk^T X^T, attention without softmax."""

    def __init__(self):
        super().__init__()
        self.query, self.key = nn.Linear(3, 5, bias=False), nn.Linear(3, 5, bias=False)

    def forward(self, x):
        return self.query(x) @ self.key(x).transpose(1, 2)


def wrapped(*layers):
    return vg.wrap(nn.Sequential(*layers, nn.Flatten()), mean=[0.0] * 3, std=[1.0] * 3, size=4)


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def images():
    return torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def change():
    """A given direction, and the change of the pixels that it makes at a step of 0.01."""
    direction = torch.randn(1, 1, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    return direction, 0.01 * (direction[0] / direction.square().mean().sqrt()).double()


def trained_norm(norm):
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    nn.init.uniform_(norm.weight)
    nn.init.uniform_(norm.bias)
    return norm


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.Conv2d(3, 4, 3, padding=1), "convolution"),
        (nn.Linear(4, 7), "linear"),
        (trained_norm(nn.BatchNorm2d(3)), "normalisation"),
        (nn.AvgPool2d(2), "average pooling"),
        (nn.AdaptiveAvgPool2d(1), "average pooling"),
    ],
)
def test_affine_components_are_additive_and_straight(layer, kind, images):
    parts = vg.additivity(wrapped(layer), images, directions=2)
    assert parts["kind"].values.tolist() == [kind]
    assert parts["residual"].shape == (2, 2, 1)
    assert float(parts["residual"].max()) < 1e-10
    assert float(parts["bend"].max()) < 1e-10


def test_attention_without_softmax_has_the_residual_of_its_formula(images, change):
    attention = BilinearAttention()
    direction, p = change
    parts = vg.additivity(wrapped(Tokens(), attention), images, step=0.01, along=direction)
    x, p = images.double().flatten(2).transpose(1, 2), p.flatten(2).transpose(1, 2)
    weight = attention.query.weight.double().T @ attention.key.weight.double()
    residual = x @ weight @ p.transpose(1, 2) + p @ weight @ x.transpose(1, 2)
    moved = residual + p @ weight @ p.transpose(1, 2)
    expected = residual.flatten(1).norm(dim=1) / moved.flatten(1).norm(dim=1)
    of_attention = parts.isel(layer=(parts["kind"] == "attention").values)
    assert of_attention.sizes["layer"] == 1
    np.testing.assert_allclose(of_attention["residual"].squeeze(), expected.detach(), rtol=1e-5)
    assert float(parts["residual"].isel(layer=(parts["kind"] == "linear").values).max()) < 1e-10
    # second difference of a quadratic: 2 P W P^T, exactly
    bend = turning_angle(moved.flatten(1), (moved - 2 * p @ weight @ p.transpose(1, 2)).flatten(1))
    np.testing.assert_allclose(of_attention["bend"].squeeze(), bend.detach(), rtol=1e-4)


@pytest.mark.parametrize("inplace", [False, True])
def test_relu_by_hand(inplace, images, change):
    direction, p = change
    model = wrapped(nn.BatchNorm2d(3, affine=False), nn.ReLU(inplace=inplace))
    model.module[0].running_mean += 0.5  # half the inputs of the ReLU are negative
    parts = vg.additivity(model, images, step=0.01, along=direction)
    scale = (1 + 1e-5) ** -0.5
    x, p = (images.double() - 0.5) * scale, p * scale
    moved = torch.relu(x + p) - torch.relu(x)
    expected = (moved - torch.relu(p)).flatten(1).norm(dim=1) / moved.flatten(1).norm(dim=1)
    np.testing.assert_allclose(parts["residual"].sel(layer="1").squeeze(), expected, rtol=1e-5)
    bend = turning_angle(moved.flatten(1), (torch.relu(x) - torch.relu(x - p)).flatten(1))
    np.testing.assert_allclose(parts["bend"].sel(layer="1").squeeze(), bend, rtol=1e-4, atol=1e-7)


def test_the_residual_of_a_layer_norm_grows_like_one_over_the_step(images):
    model = wrapped(Tokens(), nn.LayerNorm(3, eps=1e-12))
    short, long = (vg.additivity(model, images, step=h)["residual"].sel(layer="1").values for h in (1e-5, 1e-4))
    np.testing.assert_allclose(short / long, 10, rtol=0.05)
    short, long = (vg.additivity(model, images, step=h)["bend"].sel(layer="1").values for h in (1e-5, 1e-4))
    np.testing.assert_allclose(long / short, 10, rtol=0.05)


def test_softmax_attention_of_torch_is_one_component(images):
    class SelfAttention(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.MultiheadAttention(3, 1, batch_first=True)

        def forward(self, x):
            return self.inner(x, x, x, need_weights=False)[0]

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix = SelfAttention()

        def forward(self, x):
            return self.mix(x.flatten(2).transpose(1, 2)).flatten(1)

    model = vg.wrap(Network(), mean=[0.0] * 3, std=[1.0] * 3, size=4)
    parts = vg.additivity(model, images, step=0.01)
    assert parts["layer"].values.tolist() == ["mix", "mix.inner"]
    np.testing.assert_allclose(parts["residual"][..., 0], parts["residual"][..., 1], rtol=1e-9)
    assert float(parts["residual"].min()) > 1e-3


def test_a_component_called_twice_is_measured_twice_and_hooks_are_gone(images):
    act = nn.Tanh()
    model = wrapped(nn.Conv2d(3, 4, 3), act, nn.Conv2d(4, 4, 1), act)
    parts = vg.additivity(model, images)
    assert parts["layer"].values.tolist() == ["0", "1", "2", "1#2"]
    assert parts["kind"].values.tolist() == ["convolution", "activation"] * 2
    assert not any(part._forward_pre_hooks for part in model.module.modules())


def test_what_the_embedded_networks_are_made_of():
    common = {"convolution", "linear", "activation"}
    expected = {
        "vit": common | {"normalisation", "attention"},
        "swin": common | {"normalisation", "attention", "softmax", "average pooling"},
        "resnet": common | {"normalisation", "max pooling", "average pooling"},
        "mobilenetv2": common | {"average pooling"},
        "convnext": common | {"normalisation", "average pooling"},
    }
    for name in vg.models("embedded").index:
        assert {kind_of(part) for part in vg.load(name).module.modules()} - {None} == expected[name]
    assert set.union(*expected.values()) < set(KINDS)


def test_a_whole_transformer(images, tmp_path):
    net = timm.models.VisionTransformer(img_size=4, patch_size=2, embed_dim=8, depth=2, num_heads=2, num_classes=3)
    model = vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=4)
    parts = vg.additivity(model, images, directions=2)
    affine = parts.isel(layer=parts["kind"].isin(["linear", "convolution"]).values)
    assert float(affine["residual"].max()) < 1e-8
    assert (parts["kind"] == "attention").sum() == 2
    assert parts.attrs["dtype"] == "float64"
    # the classifier head is not on the way to the embedding
    assert "head" not in parts["layer"].values.tolist()
    assert vg.open_measurement(vg.save_measurement(parts, tmp_path / "a.nc")).identical(parts)


def test_bad_input_is_one_clear_sentence(images):
    with pytest.raises(ArgumentError, match="positive"):
        vg.additivity(wrapped(nn.Conv2d(3, 4, 3)), images, step=0)
    with pytest.raises(ModelError, match="no components"):
        vg.additivity(wrapped(), images)
