"""Networks read at their layers, against the same networks cut by hand."""

from __future__ import annotations

import threading

import pytest
import timm
import torch
import xarray as xr
from torch import nn

import vitgeom_nb as vg
from vitgeom_nb.errors import ModelError
from vitgeom_nb.networks.differentiation import all_derivatives
from vitgeom_nb.networks.wrapping import call


def wrapped(module: nn.Module, size=4, **options) -> vg.VisionModel:
    options = {"name": "net", "dtype": torch.float64} | options
    return vg.wrap(module, mean=[0.4] * 3, std=[0.5] * 3, size=size, **options)


def pictures(count: int, *size: int) -> torch.Tensor:
    drawn = torch.rand(count, 3, *(size or (4, 4)), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return drawn * 0.8 + 0.1


@pytest.fixture
def stack() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.GELU(), nn.Flatten(), nn.Linear(96, 7), nn.Tanh(), nn.Linear(7, 4)
    )


def cut(stack: nn.Sequential, layers: int) -> vg.VisionModel:
    """The first layers of a stack, in another model."""
    return wrapped(nn.Sequential(*stack[:layers], nn.Flatten()))


def test_a_stack_read_at_a_layer_is_the_stack_cut_there(stack):
    model, x = wrapped(stack), pictures(3)
    assert model.layers == ["0", "1", "2", "3", "4", "embedding"]
    for k in range(6):
        read = model.at(str(k), "all")
        by_hand = cut(stack, k + 1)
        assert read.dim == by_hand.dim
        torch.testing.assert_close(read.embed(x), by_hand.embed(x), rtol=0, atol=0)
    assert torch.equal(model.at("5").embed(x), model.embed(x))
    assert torch.equal(model.at("embedding").embed(x), model.embed(x))


def same(one: xr.Dataset, other: xr.Dataset) -> None:
    assert one.attrs["layer"] != other.attrs["layer"]
    assert one.drop_attrs().equals(other.drop_attrs())


def test_measurements_at_a_layer_are_those_of_the_cut_network(stack):
    read, by_hand, x = wrapped(stack).at("4"), cut(stack, 5), pictures(2)
    same(vg.jacobian(read, x), vg.jacobian(by_hand, x))
    same(vg.singular_spectrum(read, x), vg.singular_spectrum(by_hand, x))
    same(vg.direction_change(read, x, directions=3), vg.direction_change(by_hand, x, directions=3))
    same(vg.curvature(read, x, directions=3), vg.curvature(by_hand, x, directions=3))
    same(vg.match(read, x[:1], x[1:]), vg.match(by_hand, x[:1], x[1:]))
    parts, own = vg.additivity(read, x), vg.additivity(by_hand, x)
    assert parts.layer.values.tolist() == own.layer.values.tolist() == ["0", "1", "3", "4"]
    same(parts, own)


@pytest.mark.parametrize("context", ["jvp", "vmap", "double backward"])
def test_derivatives_at_a_layer_are_those_of_the_cut_network(stack, context):
    x, v = pictures(1), pictures(2)[1:]

    def derivative(model: vg.VisionModel) -> torch.Tensor:
        with all_derivatives():
            if context == "jvp":
                return torch.func.jvp(lambda p: torch.func.jvp(model.embed, (p,), (v,))[1], (x,), (v,))[1]
            if context == "vmap":
                return torch.vmap(torch.func.jacrev(lambda p: model.embed(p[None])[0]))(torch.cat([x, v]))
            leaf = x.clone().requires_grad_()
            (g,) = torch.autograd.grad(model.embed(leaf).square().sum(), leaf, create_graph=True)
            return torch.autograd.grad((g * v).sum(), leaf)[0]

    found = derivative(wrapped(stack).at("3"))
    assert float(found.norm()) > 0
    torch.testing.assert_close(found, derivative(cut(stack, 4)), rtol=0, atol=0)


def test_the_last_block_of_a_transformer_and_its_norm_make_the_embedding():
    model = vg.load("vit", dtype=torch.float64)
    x = model.pixels(vg.samples("imagenet", n=2))
    assert model.layers == ["patch_embed", "pos_drop", *(f"blocks.{k}" for k in range(4)), "norm", "embedding"]
    last = model.at("blocks.3")
    assert (last.layer, last.read, last.dim) == ("blocks.3", "class token", model.dim)
    torch.testing.assert_close(model.module.norm(last.embed(x)), model.embed(x), rtol=0, atol=1e-13)
    torch.testing.assert_close(model.at("norm").embed(x), model.embed(x), rtol=0, atol=0)
    # before the first block the class token knows nothing of the image
    assert model.at("pos_drop").read == "mean over tokens"


def test_it_is_the_same_model(stack):
    model = wrapped(stack, embed=call, logits=call, classes=list("abcd"))
    x, read = pictures(2), None
    for read in (model.at("3"), model.at("1").at("3"), model.watched(lambda: None).at("3")):
        assert torch.equal(read.embed(x), cut(stack, 4).embed(x))
        assert torch.equal(read.logits(x), model.logits(x))
        assert (read.digest, read.classes, read.size, read.device) == (model.digest, list("abcd"), (4, 4), model.device)
        assert (read.name, read.layer, read.read, read.dim) == ("net at 3", "3", "all", 7)
    half = x.float()
    assert torch.equal(
        model.at("3").in_dtype(torch.float32).embed(half), model.in_dtype(torch.float32).at("3").embed(half)
    )
    assert read.at("embedding").name == model.name == "net"
    assert (model.layer, model.read, model.dim) == ("embedding", "all", 4)
    assert repr(read) == "VisionModel('net at 3' (all), 4 x 4 -> 7, cpu, torch.float64)"
    attrs = vg.singular_spectrum(read, x).attrs
    assert (attrs["model"], attrs["layer"], attrs["read"]) == ("net at 3", "3", "all")
    assert attrs["weights"] == model.digest
    passes: list[int] = []
    assert torch.equal(read.watched(lambda: passes.append(1)).embed(x), read.embed(x))
    assert passes == [1]


def test_matches_at_another_layer_are_not_this_models(stack):
    model, x = wrapped(stack), pictures(2)
    matches = vg.match(model.at("3"), x[:1], x[1:], max_evaluations=2)
    vg.match_remainder(model.at("3"), matches)
    with pytest.raises(vg.errors.ArgumentError, match="their own network"):
        vg.match_remainder(model, matches)


class Counted(nn.Module):
    """Counts its calls, and meets others of its kind on the way where there is a barrier."""

    def __init__(self, barrier: threading.Barrier | None = None) -> None:
        super().__init__()
        self.calls = []
        self.__dict__["barrier"] = barrier

    def __deepcopy__(self, memo: dict) -> Counted:
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.append(threading.get_ident())
        if self.barrier is not None:
            self.barrier.wait(60)
        return 1.0 * x


def test_what_comes_after_the_layer_is_not_computed_and_cannot_change_it():
    after = Counted()
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 5), nn.ReLU(inplace=True), after)
    model, x = wrapped(net), pictures(3)
    read, before = model.at("1"), len(after.calls)
    values = read.embed(x)
    assert len(after.calls) == before
    assert float(values.min()) < 0  # the activation works in place
    torch.testing.assert_close(values, wrapped(net[:2]).embed(x), rtol=0, atol=0)


def hooks(model: vg.VisionModel) -> int:
    return sum(len(part._forward_hooks) for part in model.module.modules())


def test_threads_read_one_network_at_different_layers_at_once():
    meeting = Counted()
    net = nn.Sequential(nn.Flatten(), meeting, nn.Linear(48, 5), nn.Linear(5, 4), nn.Linear(4, 3))
    model, x = wrapped(net, embed=call, logits=call), pictures(2)
    reads = [model.at("2").embed, model.at("3").embed, model.embed, model.logits]
    expected = [read(x) for read in reads]
    meeting.__dict__["barrier"] = threading.Barrier(len(reads))  # no pass goes on before all have begun
    found: dict[int, torch.Tensor] = {}
    threads = [
        threading.Thread(target=lambda k=k, read=read: found.update({k: read(x)})) for k, read in enumerate(reads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, right in enumerate(expected):
        assert torch.equal(found[k], right)
    assert hooks(model) == 0


def test_nothing_stays_on_the_module_when_a_pass_fails(stack):
    read = wrapped(stack).at("3")
    with pytest.raises(RuntimeError):
        read.embed(torch.zeros(1, 3, 9, 9, dtype=torch.float64))
    assert hooks(read) == 0


def tokens_of(net: nn.Module, path: str, x: torch.Tensor) -> torch.Tensor:
    kept = []
    handle = net.get_submodule(path).register_forward_hook(lambda part, args, out: kept.append(out))
    net((x - 0.4) / 0.5)
    handle.remove()
    return kept[0]


@pytest.mark.parametrize(
    ("architecture", "prefix", "first"),
    [
        ("vit_tiny_patch16_224", 1, "class token"),
        ("deit_tiny_distilled_patch16_224", 2, "class token"),
        ("vit_base_patch16_siglip_224", 0, "mean over tokens"),
        ("vit_medium_patch16_reg4_gap_256", 4, "mean over tokens"),
    ],
)
def test_tokens_that_are_no_patches_are_left_out_of_the_mean(architecture, prefix, first):
    small = {"img_size": 32, "embed_dim": 12, "depth": 2, "num_heads": 2, "num_classes": 3}
    torch.manual_seed(0)
    net = timm.create_model(architecture, **small).double().eval()
    model, x = wrapped(net, 32), pictures(2, 32, 32)
    assert model.layers[:1] == ["patch_embed"]
    assert [name for name in model.layers if "blocks" in name] == ["blocks.0", "blocks.1"]
    tokens = tokens_of(net, "blocks.1", x)
    assert tokens.shape == (2, prefix + 4, 12)
    assert model.at("blocks.1").read == first
    torch.testing.assert_close(model.at("blocks.1", "mean over tokens").embed(x), tokens[:, prefix:].mean(1))
    torch.testing.assert_close(model.at("blocks.1", "all").embed(x), tokens.flatten(1))
    if first == "class token":
        torch.testing.assert_close(model.at("blocks.1").embed(x), tokens[:, 0])
    else:
        with pytest.raises(ModelError, match="cannot be read as 'class token'; choose mean over tokens or all"):
            model.at("blocks.1", "class token")
    # of the patch embedding nothing is left out
    torch.testing.assert_close(model.at("patch_embed").embed(x), tokens_of(net, "patch_embed", x).mean(1))


class ChannelsLast(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1)


@pytest.mark.parametrize("size", [(8, 8), (4, 8), (7, 5)])
@pytest.mark.parametrize("channels", [3, 4, 5])
def test_places_are_found_by_the_proportions_of_the_image(size, channels):
    net = nn.Sequential(nn.Conv2d(3, channels, 1, 2), ChannelsLast(), nn.Flatten())
    model, x = wrapped(net, size), pictures(2, *size)
    planes = net[0].double()((x - 0.4) / 0.5)
    square = planes.shape[1] == planes.shape[2] == planes.shape[3]
    last = planes.permute(0, 2, 3, 1)
    torch.testing.assert_close(model.at("0").embed(x), planes.mean((2, 3)))
    # where all three agree nobody can tell: channels first
    torch.testing.assert_close(model.at("1").embed(x), last.mean((2, 3) if square else (1, 2)))


def test_swin_transformers_have_their_channels_last():
    model = vg.load("swin")
    assert [name for name in model.layers if name.startswith("layers.1")] == [
        "layers.1.downsample",
        "layers.1.blocks.0",
        "layers.1.blocks.1",
    ]
    assert [model.at(f"layers.{k}.blocks.0").dim for k in range(3)] == [48, 96, 192]
    # what timm says decides where the sides alone do not: 16 channels on 16 x 16 places
    small = {"img_size": 64, "embed_dim": 16, "depths": (1, 1), "num_heads": (2, 2), "num_classes": 3}
    net = timm.create_model("swin_tiny_patch4_window7_224", window_size=4, **small).double().eval()
    x = pictures(1, 64, 64)
    expected = tokens_of(net, "layers.0", x).mean((1, 2))
    torch.testing.assert_close(wrapped(net, 64).at("layers.0").embed(x), expected)


class Several(nn.Module):
    """A network of awkward modules: called twice, with places in the batch, with two outputs, not called."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 2, 2)
        self.act = nn.Tanh()
        self.windows = nn.Linear(4, 4)
        self.pair = Pair()
        self.unused = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.act(self.first(x)))
        x = self.windows(x.permute(0, 2, 3, 1).reshape(-1, 4)).reshape(len(x), 4, 4)
        return 2 * self.pair(x)[0].mean(1)


class Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, int]:
        return x.sin(), 1


def test_awkward_modules():
    model, x = wrapped(Several()), pictures(2)
    assert model.layers == ["first", "pair", "embedding"]
    torch.testing.assert_close(2 * model.at("pair").embed(x), model.embed(x))
    for layer, words in {
        "act": "act is called 2 times in a pass, so it cannot be read",
        "windows": "windows gives no tensor of one row an image",
        "unused": "passes no layer 'unused'",
        "firts": "passes no layer 'firts': did you mean 'first'",
        "zzz": "passes no layer 'zzz': model.layers lists them",
    }.items():
        with pytest.raises(ModelError, match=words):
            model.at(layer)
    for layer, read, words in (
        ("first", "mean over tokens", r"first gives \(B, 4, 2, 2\), which cannot be read as 'mean over tokens'"),
        ("pair", "class token", "choose mean over tokens or all"),
        ("pair", "first", "cannot be read as 'first'"),
        ("embedding", "class token", "leave read out"),
    ):
        with pytest.raises(ModelError, match=words):
            model.at(layer, read)


def test_the_classifier_does_not_read_an_inner_layer():
    model = vg.load("vit")
    images = vg.samples("imagenet", n=1)
    with pytest.raises(ModelError, match="does not read what vit at blocks"):
        vg.path_plane(model.at("blocks.1"), images, model.labels(images))


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, width), nn.Tanh())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


class Stage(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Residual(width), Residual(width)])
        self.side = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x + 0 * self.side(x)


class Bypass(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([Residual(48), Residual(48)])
        self.pool = nn.Linear(48, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = first = self.stages[0](x.flatten(1))
        return self.pool(self.stages[1](x)) + self.pool.weight.sum() * first.mean(1, keepdim=True)


def test_layers_are_what_everything_passes():
    net = nn.Sequential(nn.Flatten(), nn.Identity(), Stage(48), nn.Sequential(Stage(48)), nn.Linear(48, 3))
    # what stands beside the blocks of a stage is no layer, and neither is what passes on what it gets
    assert wrapped(net).layers == ["0", "2.blocks.0", "2.blocks.1", "3.0.blocks.0", "3.0.blocks.1", "embedding"]
    # the second stage and the pooling are bypassed
    assert wrapped(Bypass()).layers == ["stages.0", "embedding"]
    assert wrapped(Bypass()).at("stages.1").dim == 48  # and can be read for all that
