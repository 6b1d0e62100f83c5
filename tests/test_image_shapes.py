"""Measurements on images of 4 x 16 pixels equal those on the same pixels as 8 x 8, room by room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image
from torch import nn

import vitgeom_nb as vg
from vitgeom_nb.errors import ArgumentError, ImageError

N = 3 * 8 * 8
LABELS = torch.tensor([1, 0])


def network(*size: int) -> vg.VisionModel:
    """A network that reads pixels one after the other, in whichever rows they come."""
    draw = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(N, 12), nn.Tanh(), nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 3))
    for p in net.parameters():
        p.data = torch.randn(p.shape, generator=draw) * (1.5 / p.shape[-1]) ** 0.5
    functions = {"embed": lambda m, x: m[:4](x), "logits": lambda m, x: m(x)}
    return vg.wrap(net, mean=[0.4] * 3, std=[0.5] * 3, size=size, name="net", dtype=torch.float64, **functions)


def pictures(model: vg.VisionModel, count: int = 2) -> torch.Tensor:
    drawn = torch.rand(count, N, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return drawn.view(count, 3, *model.size) * 0.8 + 0.1


def _own(model: vg.VisionModel, measure: Callable[..., xr.Dataset], **options: object) -> xr.Dataset:
    x = pictures(model)
    return measure(model, x, model.labels(x), **options)


def _plane(model: vg.VisionModel) -> xr.Dataset:
    x = pictures(model, 60)
    ways = vg.random_jump(model, x, model.labels(x), epsilon_max=1.0)
    x = x[(ways.outcome == "crossed").all("path").values][:2]
    assert len(x) == 2
    return vg.path_plane(model, x, model.labels(x), epsilon_max=1.0, head=model.module[4:])


MEASUREMENTS: dict[str, Callable[[vg.VisionModel], xr.Dataset]] = {
    "jacobian": lambda m: vg.jacobian(m, pictures(m)),
    "singular spectrum": lambda m: vg.singular_spectrum(m, pictures(m), vectors=True),
    "leading singular values": lambda m: vg.leading_singular_values(m, pictures(m), k=2),
    "step response": lambda m: vg.step_response(m, pictures(m)),
    "singular steps": lambda m: vg.singular_steps(m, pictures(m), ranks=(1, 3)),
    "direction change": lambda m: vg.direction_change(m, pictures(m), directions=3),
    "step law": lambda m: vg.step_law(m, pictures(m), directions=3),
    "curvature": lambda m: vg.curvature(m, pictures(m), directions=3),
    "trajectory": lambda m: vg.trajectory(m, pictures(m, 1)),
    "additivity": lambda m: vg.additivity(m, pictures(m)),
    "lldlc": lambda m: vg.lldlc(m, pictures(m)),
    **{
        f"match by {method}": lambda m, method=method: vg.match(
            m, pictures(m)[:1], pictures(m)[1:], method=method
        ).drop_vars(
            ["ssim", "ssim_target"]  # which look at windows
        )
        for method in ("minimum-change", "gradient-descent", "adam", "gauss-newton")
    },
    "fibre walk": lambda m: vg.fibre_walk(m, pictures(m)[:1], pictures(m)[1:], steps=3),
    "homotopy": lambda m: vg.homotopy(m, pictures(m)[:1], pictures(m)[1:], steps=2),
    "reliability": lambda m: vg.reliability(m, pictures(m), LABELS),
    "one step of FGSM": lambda m: _own(m, vg.fgsm_step),
    "travel distance": lambda m: _own(m, vg.travel_distance, epsilon_max=1.0, pictures=True),
    "random jump": lambda m: _own(m, vg.random_jump, epsilon_max=1.0, pictures=True),
    "path of FGSM": lambda m: _own(m, vg.fgsm_path),
    "plane of both ways": lambda m: _plane(m),
}


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_rows_and_columns_are_told_apart(name):
    found, expected = (MEASUREMENTS[name](network(*size)) for size in ((4, 16), (8, 8)))
    assert set(found.variables) == set(expected.variables)
    for key in expected.variables:
        one, other = found[key], expected[key]
        assert one.dims == other.dims
        if one.dims[-2:] == ("y", "x"):
            assert one.shape[-2:] == (4, 16)
        if other.dtype.kind == "f":
            np.testing.assert_allclose(one.values.ravel(), other.values.ravel(), rtol=1e-9, atol=1e-12, err_msg=key)
        else:
            assert one.values.ravel().tolist() == other.values.ravel().tolist(), key


def test_figures_of_images_that_are_not_square():
    model = network(4, 16)
    drawn = vg.figures.match(MEASUREMENTS["match by minimum-change"](model))
    assert drawn.axes[0].images[0].get_array().shape == (4, 16, 3)
    page = vg.explore.fibre_walk(MEASUREMENTS["fibre walk"](model)).to_html()
    assert "<img" in page


def test_samples_fit_the_model_and_the_wrong_shape_is_named():
    model = network(4, 16)
    assert model.size == (4, 16)
    assert vg.samples("photographs", n=1, size=model.size).pixels.shape == (1, 3, 4, 16)
    assert model.preprocess(Image.new("RGB", (30, 20))).shape == (3, 4, 16)
    assert repr(model) == "VisionModel('net', 4 x 16 -> 5, cpu, torch.float64)"
    with pytest.raises(ImageError, match=r"takes 4 x 16 pixels, not 16 x 4; samples\(..., model=model\)"):
        model.pixels(torch.zeros(1, 3, 16, 4))
    with pytest.raises(ArgumentError, match=r"size is \(4, 0\); pass"):
        network(4, 0)
