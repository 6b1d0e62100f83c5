"""Networks on 2 x 2 images, small enough to know everything about."""

import contextlib
import warnings

import torch

import vitgeom_nb as vg
from vitgeom_nb.networks.wrapping import call

N = 12  # pixels of a 2 x 2 image with three channels


def derive_quietly() -> None:
    """Take in what older versions of torch say of themselves, once, at the first forward derivative."""
    with warnings.catch_warnings(), contextlib.suppress(ImportError):
        warnings.simplefilter("ignore")
        import torch._decomp.decompositions_for_jvp  # noqa: F401


def wrapped(net, dtype=torch.float64, **options):
    options = {"embed": call, "logits": call} | options
    return vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=2, name="tiny", dtype=dtype, **options)


def linear(weights, bias=None, dtype=torch.float64):
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(N, len(weights)))
    net[1].weight.data = weights
    net[1].bias.data = torch.zeros(len(weights)) if bias is None else bias
    return wrapped(net, dtype)


def random_network(seed=0, classes=5, hidden=16, dtype=torch.float64, **options):
    own = torch.Generator().manual_seed(seed)
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(N, hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, classes)
    )
    for layer in (net[1], net[3]):
        layer.weight.data = torch.randn(layer.weight.shape, generator=own)
        layer.bias.data = torch.zeros_like(layer.bias)
    return wrapped(net, dtype, embed=lambda m, x: m[:3](x), **options)


def pixels(count, seed=1):
    return torch.rand(count, 3, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def crossing_images(model, count=3):
    x = pixels(40)
    labels = model.labels(x)
    both = torch.tensor((vg.random_jump(model, x, labels, epsilon_max=1.0).outcome == "crossed").all("path").values)
    return x[both][:count], labels[both][:count]
