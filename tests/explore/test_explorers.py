"""What every explorer shows is what was measured, on its stops and between them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image

import vitgeom_nb as vg
from vitgeom_nb.errors import ArgumentError
from vitgeom_nb.explore import Explorer, View
from vitgeom_nb.explore.calibration import BINS, cells, edges
from vitgeom_nb.explore.drawing import Probabilities

from ..tiny_networks import crossing_images, random_network
from . import makers
from .makers import MAKERS

BETWEEN = {
    "homotopy": {"s": 0.4},
    "fibre_walk": {"step": 1.5},
    "singular_steps": {"radius": 0.3},
    "lldlc": {"radius": 0.3},
    "step_law": {"h": 3e-4},
    "trajectory": {"s": 0.03},
    "reliability": {"temperature": 1.3, "bins": 33},
    "fgsm_path": {"epsilon": 0.07},
}


@pytest.fixture(scope="module", params=MAKERS)
def made(request: pytest.FixtureRequest) -> tuple[str, Explorer]:
    return request.param, MAKERS[request.param]()


def test_every_setting_has_a_complete_view(made: tuple[str, Explorer]) -> None:
    _, explorer = made
    first = explorer.frame(explorer.start)
    for setting in list(explorer.settings())[::7]:
        view = explorer.frame(setting)
        assert list(view.readout) == list(first.readout)
        assert len(view.panels) == len(first.panels)
        for panel, other in zip(view.panels, first.panels, strict=True):
            assert panel.alt.endswith(".")
            assert len(panel.alt.split()) >= 5
            assert "nan" not in panel.alt
            assert (panel.overlay is None) == (other.overlay is None)
            assert (panel.picture.width, panel.picture.height) == (other.picture.width, other.picture.height)
            if panel.picture.mime == "image/webp":
                assert Image.open(io.BytesIO(panel.picture.data)).size == (panel.picture.width, panel.picture.height)
        assert not any("nan" in value for value in view.readout.values())


def test_pictures_and_numbers_move_with_every_slider(made: tuple[str, Explorer]) -> None:
    _, explorer = made
    for control in explorer.controls:
        if control.name == "network" and made[0] == "lldlc":
            continue
        a, b = ({**explorer.start, control.name: control.values[k]} for k in (0, -1))
        first, last = explorer.frame(a), explorer.frame(b)
        seen = [(p.picture.data, p.overlay) for p in first.panels]
        assert seen != [(p.picture.data, p.overlay) for p in last.panels], control.name
        assert first.readout != last.readout or first.panels != last.panels
        assert [p.alt for p in first.panels] != [p.alt for p in last.panels]


def test_computing_at_a_stop_gives_the_recorded_numbers(made: tuple[str, Explorer]) -> None:
    name, explorer = made
    assert explorer.compute is not None
    setting = {**explorer.start, **{c.name: c.values[len(c.values) // 2] for c in explorer.controls if not c.is_choice}}
    recorded, computed = explorer.frame(setting), explorer.compute(setting, lambda: None)
    numbers = [[float(v) for v in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", " ".join(r.readout.values()))]
               for r in (recorded, computed)]  # fmt: skip
    assert len(numbers[0]) == len(numbers[1]) > 0
    if name not in ("homotopy", "fibre_walk"):  # there the computed point is another one, as good as the recorded one
        np.testing.assert_allclose(*numbers, rtol=2e-2)


def test_between_stops_an_explorer_computes(made: tuple[str, Explorer]) -> None:
    name, explorer = made
    assert explorer.compute is not None
    passes = []
    setting = {**explorer.start, **BETWEEN[name]}
    view = explorer.compute(setting, lambda: passes.append(1))
    assert passes
    assert view.readout != explorer.frame(explorer.snapped(setting)).readout


def test_a_computation_ends_when_nobody_waits_for_it(made: tuple[str, Explorer]) -> None:
    name, explorer = made

    def stop() -> None:
        raise InterruptedError

    assert explorer.compute is not None
    with pytest.raises(InterruptedError):
        explorer.compute({**explorer.start, **BETWEEN[name]}, stop)


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "reliability"])
def test_without_models_there_is_nothing_to_compute_with(name: str) -> None:
    assert MAKERS[name](live=False).compute is None


def readout(explorer: Explorer, **setting: object) -> dict[str, str]:
    return explorer.frame({**explorer.start, **setting}).readout


def test_homotopy_shows_the_measured_numbers() -> None:
    model = makers.smooth()
    a, b = makers.images(2).split(1)
    path = vg.homotopy(model, a, b, steps=4, max_evaluations=60)
    shown = readout(vg.explore.homotopy(path, model), s=0.75)
    one = path.isel(pair=0, s=3)
    assert shown["cosine to target"] == f"{float(one.cosine):.4f}"
    assert shown["PSNR to source"] == f"{float(one.psnr):.1f} dB"
    assert shown["label"] == str(int(one.probability.values.argmax()))
    assert shown["its probability"] == f"{float(one.probability.max()):.1%}"


def test_fibre_walk_shows_the_measured_numbers() -> None:
    model = makers.smooth()
    a, b = makers.images(2).split(1)
    walk = vg.fibre_walk(model, a, b, steps=4)
    shown = readout(vg.explore.fibre_walk(walk), step=4)
    assert shown["drift along the fibre"] == f"{float(walk.drift[0, -1]):.1e}"
    assert shown["drift of the blend"] == f"{float(walk.straight_drift[0, -1]):.1e}"
    assert shown["way covered"] == f"{1 - float(walk.distance[0, -1] / walk.distance[0, 0]):.0%}"


def test_singular_steps_show_the_promise_and_the_change() -> None:
    steps = vg.singular_steps(makers.smooth(), makers.images(1), ranks=(1, 3), radii=(0.01, 0.1, 1.0))
    shown = readout(vg.explore.singular_steps(steps), direction="singular vector 3", radius=1.0)
    one = steps.sel(rank=3, radius=1.0).isel(image=0)
    assert shown["measured"] == f"{float(one.change):.3g}"
    assert shown["promised, r s"] == f"{float(one.singular_value):.3g}"
    null = readout(vg.explore.singular_steps(steps), direction="null direction", radius=1.0)
    assert (null["promised, r s"], null["measured / promised"]) == ("0", "none")


def test_constants_and_bends_are_medians_and_root_mean_squares() -> None:
    model, x = makers.smooth(), makers.images(2)
    found = vg.lldlc(model, x, kinds=("random",), radii=(0.01, 1.0), directions=4)
    expected = np.median(found.lldlc.sel(kind="random", radius=1.0))
    assert readout(vg.explore.lldlc(found), radius=1.0) == {"L, smooth": f"{expected:.3g}"}
    law = vg.step_law(model, x, directions=2)
    h = float(law.step_size[4])
    angle = np.degrees(np.sqrt((law.angle.sel(step_size=h) ** 2).mean()))
    (shown,) = readout(vg.explore.step_law(law), h=h).values()
    assert shown == f"{float(angle):.3g}°"


def test_the_mark_lies_on_the_path() -> None:
    moved = vg.trajectory(makers.smooth(), makers.images(1), shape="line", epsilon=0.1, points=9)
    shown = readout(vg.explore.trajectory(moved), s=float(moved.a[0, 2]))
    assert shown["component 1"] == f"{float(moved.feature[0, 2, 0]):.4g}"
    assert shown["turn at this point"] == f"{np.degrees(float(moved.angle[0, 2])):.2f}°"
    with pytest.raises(ArgumentError, match='shape="line"'):
        vg.explore.trajectory(vg.trajectory(makers.smooth(), makers.images(1)))


def test_the_fgsm_path_shows_label_and_crossing() -> None:
    explorer = makers.fgsm_path()
    start, end = readout(explorer, epsilon=0.0), readout(explorer, epsilon=0.2)
    assert start["label here"] == start["label to leave"] != end["label here"]
    assert start["margin"].startswith("+")
    assert end["margin"].startswith("-")
    assert 0 < float(start["crosses at"]) < 1


def test_every_class_that_wins_on_the_path_has_a_bar() -> None:
    strong, weak = np.full(9, 0.01), np.full(9, 0.04)
    strong[:5] = 0.21, 0.20, 0.19, 0.18, 0.17
    weak[7], weak[0] = 0.09, 0.05  # class 7 wins here with less than others have elsewhere
    bars = Probabilities(np.stack([strong, weak]), np.array(list("abcdefghi")))
    assert [bars.names[k] for k in bars.rows] == ["a", "b", "c", "d", "h"]
    panel = bars.panel(weak, "in the middle")
    assert panel.alt.startswith("Bars of probability in the middle: h 9.0%, a 5.0%, ")
    assert re.findall(r'fill="(#\w+)"', panel.overlay or "") == [*["#767676"] * 4, "#0072B2"]
    assert len(Probabilities(np.eye(7), np.arange(7)).rows) == 7
    assert len(Probabilities(np.eye(7)[:1], np.arange(7)).rows) == 5


def test_every_bin_of_every_number_of_bins_is_a_union_of_cells() -> None:
    p = makers.predictions()["vit"]
    confidence, predicted = p.logits.double().softmax(1).max(1)
    confidence[:3] = torch.tensor([0.25, 0.5, 1.0], dtype=torch.float64)  # on edges
    correct = predicted == p.labels
    found, borders = cells(confidence, correct), edges()
    for bins in BINS:
        count, right = np.zeros(bins, int), np.zeros(bins, int)
        for cell, n, r in zip(found["at"], found["count"], found["correct"], strict=True):
            which = int(np.ceil(float(borders[cell + 1]) * bins - 1e-9)) - 1
            count[which] += n
            right[which] += r
        index = (torch.searchsorted(torch.arange(bins + 1, dtype=torch.float64) / bins, confidence) - 1).clamp(min=0)
        np.testing.assert_array_equal(count, np.bincount(index, minlength=bins))
        np.testing.assert_array_equal(right, np.bincount(index[correct], minlength=bins))
    assert abs(sum(found["sum"]) / 1e6 - float(confidence.sum())) < 1e-3


def test_models_must_be_those_that_were_measured() -> None:
    model = makers.smooth()
    a, b = makers.images(2).split(1)
    walk = vg.fibre_walk(model, a, b, steps=1)
    with pytest.raises(ArgumentError, match="are of smooth; pass these models, in this order, not other"):
        vg.explore.fibre_walk(walk, makers.smooth("other"))
    law = vg.step_law(model, a)
    with pytest.raises(ArgumentError, match="Pass models and images together"):
        vg.explore.step_law(law, model)
    found = vg.lldlc(model, makers.images(2), kinds=("random",), radii=(0.1, 1.0), directions=2)
    with pytest.raises(ArgumentError, match="Pass models and images together"):
        vg.explore.lldlc(found, images=a)


def refused(make: Callable[..., Explorer], name: str, *measurements: xr.Dataset) -> None:
    said = f"The measurements of one and two differ in {name}; compare networks at the same values of it."
    with pytest.raises(ArgumentError) as caught:
        make([m.assign_attrs(model=model) for m, model in zip(measurements, ("one", "two"), strict=True)])
    assert str(caught.value) == said


def test_networks_are_compared_at_the_same_stops() -> None:
    model, x = makers.smooth(), makers.images(2)
    a, b = x.split(1)
    sizes = np.geomspace(1e-4, 1e-1, 5)
    laws = (vg.step_law(model, x, lengths=h, directions=1, resamples=1) for h in (sizes, 2 * sizes))
    refused(vg.explore.step_law, "step_size", *laws)
    several = ((0.1, 1.0), (0.1, 2.0), (0.1, 1.0, 2.0))
    more = [vg.lldlc(model, x, kinds=("random",), radii=radii, directions=2) for radii in several]
    refused(vg.explore.lldlc, "radius", *more[:2])
    refused(vg.explore.lldlc, "radius", more[0], more[2])
    other = vg.lldlc(model, x, kinds=("top",), radii=(0.1, 1.0), directions=2)
    refused(vg.explore.lldlc, "kind", more[0], other)
    refused(
        vg.explore.trajectory, "a", *(vg.trajectory(model, a, shape="line", epsilon=e, points=5) for e in (0.1, 0.2))
    )
    refused(vg.explore.fibre_walk, "step", *(vg.fibre_walk(model, a, b, steps=n) for n in (1, 2)))
    refused(vg.explore.homotopy, "s", *(vg.homotopy(model, a, b, steps=n, max_evaluations=60) for n in (1, 2)))
    for name, ranks, radii in (("rank", (1, 3), (0.1, 1.0)), ("radius", (1, 2), (0.1, 2.0))):
        steps = [vg.singular_steps(model, a, ranks=r, radii=h) for r, h in (((1, 2), (0.1, 1.0)), (ranks, radii))]
        refused(vg.explore.singular_steps, name, *steps)
    net = random_network()
    image, label = crossing_images(net, 1)
    ways = [vg.fgsm_path(net, image, label, lengths=(0.0, e), epsilon_max=1.0) for e in (0.1, 0.2)]
    refused(vg.explore.fgsm_path, "epsilon", *ways)


def test_networks_of_different_precision_are_compared() -> None:
    a, b = makers.images(2).split(1)
    models = [makers.smooth("one"), makers.smooth("two").in_dtype(torch.float32)]
    paths = [vg.homotopy(m, a, b, steps=10, max_evaluations=20, residual=0.5) for m in models]
    assert paths[0].s.dtype != paths[1].s.dtype
    for network, path in zip(("one", "two"), paths, strict=True):
        shown = readout(vg.explore.homotopy(paths), network=network, s=float(paths[0].s[3]))
        assert shown["cosine to target"] == f"{float(path.cosine[0, 3]):.4f}"


def test_reading_a_saved_measurement_gives_the_same_page(tmp_path: object) -> None:
    moved = vg.trajectory(makers.smooth(), makers.images(1), shape="line", points=5)
    path = vg.save_measurement(moved, tmp_path / "line.nc")  # type: ignore[operator]
    again = vg.open_measurement(path)
    assert vg.explore.trajectory(again).to_html() == vg.explore.trajectory(moved).to_html()


def frames_of(explorer: Explorer) -> dict:
    text = re.search(r'<script type="application/json">(.*?)</script>', explorer.to_html(), re.S)
    assert text is not None
    return json.loads(text.group(1))


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "reliability"])
def test_the_page_holds_every_frame(name: str) -> None:
    explorer = MAKERS[name](live=False)
    data = frames_of(explorer)
    settings = list(explorer.settings())
    assert len(data["frames"]) == len(settings)
    for k in (0, len(settings) // 2, len(settings) - 1):
        view: View = explorer.frame(settings[k])
        panels, values = data["frames"][k]
        assert values == list(view.readout.values())
        for (image, over, alt, title), panel in zip(panels, view.panels, strict=True):
            assert data["pool"][image] == panel.picture.uri
            assert data["pool"][over] == (panel.overlay or "")
            assert (alt, title) == (panel.alt, panel.title)
    assert len(set(data["pool"])) == len(data["pool"])  # nothing is stored twice
