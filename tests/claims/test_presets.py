"""Presets on tiny networks: crops, units and rates against arithmetic."""

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

import vitgeom_nb as vg
from vitgeom_nb import errors
from vitgeom_nb.networks.catalogue import CATALOGUE, PUBLISHED

from ..tiny_networks import N, pixels

STD = (0.2, 0.25, 0.3)


def call(module, x):
    return module(x)


def normalised(classes=3):
    """A linear classifier behind a normalisation with three different standard deviations."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(N, classes))
    net[1].weight.data = torch.randn(classes, N, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    net[1].bias.data = torch.zeros(classes, dtype=torch.float64)
    return vg.wrap(net, mean=[0.5] * 3, std=STD, size=2, embed=call, logits=call, dtype=torch.float64, name="tiny")


@pytest.mark.parametrize(("width", "height"), [(500, 375), (300, 600), (256, 256)])
def test_the_crop_is_the_centre_of_256_pixels_brought_to_224(width, height):
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    left, top = round((width - 256) / 2), round((height - 256) / 2)
    expected = picture.crop((left, top, left + 256, top + 256)).resize((224, 224), Image.Resampling.BILINEAR)
    found = vg.claims.preset("kim2024").prepare(picture)
    assert found.shape == (3, 224, 224)
    np.testing.assert_allclose(found.permute(1, 2, 0).numpy() * 255, np.asarray(expected), atol=1.01)
    assert vg.claims.preset("salman2024").prepare(picture).shape == (3, 224, 224)


def test_small_pictures_get_a_black_border():
    found = vg.claims.preset("kim2024").prepare(Image.new("RGB", (128, 128), (255, 255, 255)))
    assert float(found[:, :40].max()) == 0
    assert float(found[:, 100:124, 100:124].min()) == 1


def test_numbers_are_the_published_ones():
    model, kim = normalised(), vg.claims.preset("kim2024")
    assert kim.parameters("reliability", model) == {"bins": 10}
    way = kim.parameters("travel_distance", model)
    assert way["epsilon_max"] / way["grid"] == 1e-3
    assert way["tolerance"] == 1e-10
    bend = kim.parameters("direction_change", model)
    assert (bend["directions"], bend["epsilon"] / bend["steps"]) == (1000, 1e-3)
    three = kim.parameters("three_points", model)
    assert (three["steps"], three["epsilon"]) == (2, 2e-4)
    assert kim.parameters("random_jump", model)["jump"] == 0.05


def test_lengths_in_normalised_units_shrink_by_the_standard_deviation():
    model = normalised()
    scale = np.sqrt(np.mean(np.square(STD)))
    given = vg.claims.preset("kim2024", units="normalised").parameters("random_jump", model)
    assert given["jump"] == pytest.approx(0.05 * scale)
    assert given["grid"] == 1000
    published = vg.wrap(model.module, mean=[0.5] * 3, std=[0.229, 0.224, 0.225], size=2, embed=call, logits=call)
    jump = vg.claims.preset("kim2024", units="normalised").parameters("random_jump", published)["jump"]
    assert -20 * np.log10(jump) == pytest.approx(38.9, abs=0.1)  # what the jump is in those units


def test_travel_in_normalised_units_is_that_of_the_network_behind_the_normalisation():
    model, x = normalised(), pixels(20)
    labels = model.labels(x)
    kim = vg.claims.preset("kim2024", units="normalised")
    found = kim.measure("travel_distance", model, x, labels, epsilon_max=2.0)
    bare = vg.wrap(model.module, mean=[0.0] * 3, std=[1.0] * 3, size=2, embed=call, logits=call, dtype=torch.float64)
    inside = (x - 0.5) / torch.tensor(STD, dtype=torch.float64).view(3, 1, 1)
    z = inside.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(bare.module(z), labels, reduction="sum")
    sign = torch.autograd.grad(loss, z)[0].sign()
    for i in range(20):
        if found.outcome[i] != "crossed":
            continue
        epsilon = float(found.epsilon_normalised[i])
        both = [bare.module((inside + e * sign)[i : i + 1]).argmax(1) for e in (epsilon - 1e-8, epsilon + 1e-8)]
        assert both[0] == labels[i] != both[1]
    assert int((found.outcome == "crossed").sum()) > 10


def test_the_rate_of_the_mean_squared_error_becomes_one_of_half_the_sum():
    model = normalised(classes=4)
    rate = vg.claims.preset("salman2024").parameters("match", model)["lr"]
    uniform = vg.wrap(model.module, mean=[0.5] * 3, std=[0.25] * 3, size=2, embed=call, dtype=torch.float64)
    ours = vg.claims.preset("salman2024").parameters("match", uniform)["lr"]
    x, t = pixels(1), uniform.embeddings(pixels(1, seed=9))
    normal = ((x - 0.5) / 0.25).requires_grad_()
    loss = (uniform.module(normal.flatten(1).view(1, 3, 2, 2)) - t).square().mean()
    there = normal - 0.09 * torch.autograd.grad(loss, normal)[0]
    start = x.clone().requires_grad_()
    half = (uniform.embed(start) - t).square().sum() / 2
    step = start - ours * torch.autograd.grad(half, start)[0]
    torch.testing.assert_close(step, there * 0.25 + 0.5)
    assert rate == pytest.approx(0.09 * 2 / 4 * np.mean(np.square(STD)))
    assert vg.claims.preset("salman2024").parameters("match", model, rate="folder")["lr"] == pytest.approx(
        rate * 5 / 0.09
    )


@pytest.mark.parametrize("paper", ["kim2024", "salman2024"])
def test_every_measure_runs_on_a_tiny_network(paper):
    model, x = normalised(), pixels(3)
    preset = vg.claims.preset(paper)
    for name in preset.measures:
        options = {"directions": 2} if "directions" in preset.parameters(name, model) else {}
        rest = [pixels(3, seed=5)] if name == "match" else [] if options else [model.labels(x)]
        options |= {"max_evaluations": 5} if name == "match" else {}
        assert preset.measure(name, model, x, *rest, **options).attrs["model"] == "tiny"


def test_networks_have_names_that_say_so_and_are_the_published_ones():
    for paper in ("kim2024", "salman2024"):
        for name in vg.claims.preset(paper).networks:
            assert paper in (CATALOGUE | PUBLISHED)[name].papers
    table = vg.models("published")
    assert list(table.index) == list(PUBLISHED)
    with torch.device("meta"):
        for name in vg.claims.preset("kim2024").networks:
            architecture, tag = PUBLISHED[name].source.removeprefix("torchvision/").split(".")
            assert tag == "IMAGENET1K_V1"
            module = torchvision.models.get_model(architecture, weights=None)
            assert sum(p.numel() for p in module.parameters()) == table.parameters[name]
            last = [part for part in module.modules() if isinstance(part, torch.nn.Linear)][-1]
            assert last.in_features == table.embedding_dim[name]
    assert not set(PUBLISHED) & set(vg.models().index)


def test_unknown_papers_units_measures_and_rates_are_refused():
    for arguments in ({"paper": "nobody2024"}, {"paper": "kim2024", "units": "inch"}):
        with pytest.raises(errors.ArgumentError, match="There"):
            vg.claims.preset(**arguments)
    with pytest.raises(errors.ArgumentError, match="no preset"):
        vg.claims.preset("kim2024").parameters("match", normalised())
    with pytest.raises(errors.ArgumentError, match="rate"):
        vg.claims.preset("salman2024").parameters("match", normalised(), rate="sloth")
