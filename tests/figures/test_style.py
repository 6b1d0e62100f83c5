"""What figures share, against values worked out by hand."""

import io

import numpy as np
import pytest
import torch
import xarray as xr

import vitgeom_nb as vg
from tests import tiny_networks
from vitgeom_nb.figures.style import by_network, look, panels, quartiles, subplots, whiskers


@pytest.mark.parametrize(
    ("count", "columns", "grid"),
    [(1, None, (1, 1)), (4, None, (1, 4)), (5, None, (2, 3)), (7, None, (2, 4)), (4, 3, (2, 3)), (1, 2, (1, 1))],
)
def test_panels_stand_in_rows_and_none_is_empty(count, columns, grid):
    figure, axes = panels(count, 2, 3, (0.5, 1), columns)
    assert axes.shape == grid
    assert len(figure.axes) == count
    assert tuple(figure.get_size_inches()) == (2 * grid[1] + 0.5, 3 * grid[0] + 1)


def test_whiskers_are_never_negative():
    np.testing.assert_allclose(whiskers(0.5, 0.2, 0.6), [[0.3], [0.1]])
    np.testing.assert_array_equal(whiskers(np.array([1.0, 2.0]), np.array([0.0, 3.0]), 2.5), [[1, 0], [1.5, 0.5]])


def test_quartiles_are_a_band_about_the_median():
    _, axes = subplots()
    quartiles(axes, [1.0, 2.0], np.array([[0, 10], [1, 11], [2, 12], [3, 13], [9, 90.0]]), "--", "#0072B2", label="a")
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xydata(), [[1, 2], [2, 12]])
    assert (line.get_label(), line.get_linestyle()) == ("a", "--")
    band = axes.collections[0].get_paths()[0].vertices
    assert {tuple(v) for v in band} == {(1, 1), (1, 3), (2, 11), (2, 13)}


def test_every_network_has_its_own_look():
    measured = [xr.Dataset(attrs={"model": name}) for name in ("mine", "vit", "other")]
    drawn = by_network(measured)
    assert [label for _, label, _, _ in drawn] == ["mine", "ViT", "other"]
    assert len({colour for *_, colour, _ in drawn}) == 3
    assert all(data is m and tuple(rest) == look(m.attrs["model"], i)
               for i, ((data, *rest), m) in enumerate(zip(drawn, measured, strict=True)))  # fmt: skip
    assert by_network(measured[1])[0][1:] == look("vit")


@pytest.mark.parametrize("name", ["$d_$", "$", r"\$x^$", "a_b"])
def test_a_name_is_drawn_letter_by_letter(name):
    model = tiny_networks.random_network()
    named = vg.wrap(
        model.module,
        mean=[0.0] * 3,
        std=[1.0] * 3,
        size=2,
        embed=lambda m, x: m[:3](x),
        logits=lambda m, x: m(x),
        name=name,
        classes=[name] * 5,
    )
    images = vg.Images(tiny_networks.pixels(2).float(), [name] * 2, "ours", "ours", torch.zeros(2).long(), [name] * 5)
    for figure in (
        vg.figures.sample_images([images]),
        vg.figures.fgsm_step(vg.fgsm_step(named, images)),
        vg.figures.singular_spectrum(vg.singular_spectrum(named, images)),
        vg.figures.lldlc(vg.lldlc(named, images, directions=2, radii=(0.1, 1.0))),
    ):
        figure.savefig(io.BytesIO())
