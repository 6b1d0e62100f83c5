"""The live side, by the callbacks of its widgets: previews at once, computing, stopping, clamping, closing."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import ipywidgets
import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.equivalence.embedding_line import homotopy_at
from vitgeom_nb.equivalence.fibre_walk import fibre_at
from vitgeom_nb.errors import ModelError
from vitgeom_nb.explore import Control, Display, Explorer, Panel, View
from vitgeom_nb.explore.drawing import picture
from vitgeom_nb.explore.live import Live

from .makers import MAKERS, images, smooth
from .test_explorers import BETWEEN

PICTURE = picture(images(1)[0])


def counting(compute: object = None, log: bool = False) -> Explorer:
    def frame(setting: dict) -> View:
        return View((Panel("p", PICTURE, "Some picture of no interest."),), {"k": f"recorded {setting['k']}"})

    values = (0.1, 1.0, 10.0) if log else (0, 5, 10)
    control = Control("k", "Size", values, "{:g}", log=log)
    return Display("Counting", "Nothing to see.", (control, Control("word", "Word", ("a", "b"))), frame, compute)


def computed(setting: dict, before: object) -> View:
    before()  # type: ignore[operator]
    return View((Panel("p", PICTURE, "Some picture of no interest."),), {"k": f"computed {setting['k']:g}"})


@pytest.mark.parametrize("name", MAKERS)
def test_every_explorer_computes_between_its_stops(name: str) -> None:
    explorer = MAKERS[name]()
    live = Live(explorer)
    before = live.picture.value
    for control, value in BETWEEN[name].items():
        live.sliders[control].widget.value = min(value, live.sliders[control].control.values[-1])
        live.wait(60)
    setting = live.setting
    assert explorer.compute is not None
    expected = explorer.compute(setting, lambda: None).readout
    assert all(text in live.picture.value for text in expected.values())
    assert live.picture.value != before
    assert live.status.value == ""
    live.close()


def test_the_preview_is_there_before_the_computation_ends() -> None:
    go = threading.Event()

    def slow(setting: dict, before: object) -> View:
        go.wait(30)
        return computed(setting, before)

    live = Live(counting(slow))
    live.sliders["k"].widget.value = 4
    assert "recorded 5" in live.picture.value
    assert not live.stop.disabled
    go.set()
    live.wait(30)
    assert "computed 4" in live.picture.value
    assert live.stop.disabled
    live.close()


def test_progress_is_shown_and_stop_ends_it() -> None:
    def endless(setting: dict, before: object) -> View:
        while True:
            time.sleep(0.01)
            before()  # type: ignore[operator]

    live = Live(counting(endless))
    live.sliders["k"].widget.value = 4
    end = time.monotonic() + 30
    while "network pass" not in live.status.value and time.monotonic() < end:
        time.sleep(0.01)
    assert "network pass" in live.status.value
    live.stop.click()
    live.wait(30)
    assert "Stopped" in live.status.value
    assert "recorded 5" in live.picture.value
    assert live.stop.disabled
    live.close()


def test_only_the_last_setting_counts() -> None:
    def slow(setting: dict, before: object) -> View:
        for _ in range(20):
            time.sleep(0.005)
            before()  # type: ignore[operator]
        return computed(setting, before)

    live = Live(counting(slow))
    workers = []
    for value in (1, 2, 3):
        live.sliders["k"].widget.value = value
        workers.append(live._worker)
    for worker in workers:
        assert worker is not None
        worker.join(30)
    assert "computed 3" in live.picture.value
    live.close()


@pytest.mark.parametrize(("typed", "shown"), [(99, "10"), (-3, "0")])
def test_a_value_outside_the_range_is_clamped_with_a_note(typed: float, shown: str) -> None:
    live = Live(counting(computed))
    live.sliders["k"].field.value = typed
    live.wait(30)
    assert f"{typed} lies outside the range; {shown} is shown" in live.status.value
    assert f"recorded {shown}" in live.picture.value
    assert live.sliders["k"].field.value == live.sliders["k"].widget.value == float(shown)
    live.close()


def test_logarithmic_sliders_take_any_value_of_their_range() -> None:
    live = Live(counting(computed, log=True))
    live.sliders["k"].field.value = 3.7
    live.wait(30)
    assert live.sliders["k"].widget.value == pytest.approx(3.7)
    assert "computed 3.7" in live.picture.value
    live.sliders["word"].widget.value = "b"
    live.wait(30)
    assert live.setting == {"k": pytest.approx(3.7), "word": "b"}
    live.close()


def test_without_a_network_the_slider_has_the_recorded_stops_only() -> None:
    live = Live(counting())
    assert isinstance(live.sliders["k"].widget, ipywidgets.SelectionSlider)
    live.sliders["k"].widget.value = 10
    assert "recorded 10" in live.picture.value
    live.close()


def test_an_error_is_a_sentence_and_the_frame_stays() -> None:
    def failing(setting: dict, before: object) -> View:
        raise ModelError("The model is made of cheese; use another.")

    live = Live(counting(failing))
    live.sliders["k"].widget.value = 4
    live.wait(30)
    assert "made of cheese; use another." in live.status.value
    assert "Not computed" in live.status.value
    assert "recorded 5" in live.picture.value
    live.close()


def test_closing_frees_the_memory_and_ends_the_computation() -> None:
    ended = threading.Event()

    def endless(setting: dict, before: object) -> View:
        try:
            while True:
                time.sleep(0.005)
                before()  # type: ignore[operator]
        finally:
            ended.set()

    explorer = counting(endless)
    live = Live(explorer)
    live.sliders["k"].widget.value = 4
    gone = weakref.ref(explorer)
    live.shut.click()
    assert ended.wait(30)
    live.wait(30)
    del explorer
    gc.collect()
    assert gone() is None  # the measurement behind it goes with it
    assert live.box.comm is None


def test_a_kernel_gets_both_and_a_page_only_html(monkeypatch: pytest.MonkeyPatch) -> None:
    explorer = counting()
    monkeypatch.setenv("VITGEOM_WIDGETS", "1")
    assert {"text/html", "application/vnd.jupyter.widget-view+json"} <= set(explorer._repr_mimebundle_())
    monkeypatch.setenv("VITGEOM_WIDGETS", "0")
    assert set(explorer._repr_mimebundle_()) == {"text/plain", "text/html"}


def test_a_kernel_computes_in_usual_modes_whatever_is_around_it() -> None:
    seen: list[tuple[bool, str]] = []
    matmul = torch.backends.cuda.matmul

    def modes(setting: dict, before: object) -> View:
        seen.append((torch.is_grad_enabled(), matmul.fp32_precision))
        return computed(setting, before)

    live, before = Live(counting(modes)), matmul.fp32_precision
    try:
        matmul.fp32_precision = "tf32"
        live.sliders["k"].widget.value = 4
        live.wait(30)
    finally:
        matmul.fp32_precision = before
    assert seen == [(True, "ieee")]
    live.close()


@pytest.mark.parametrize("mode", [torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_points_between_recorded_ones_are_computed_in_usual_modes(mode) -> None:
    model, (a, b) = smooth(), images(2).split(1)
    way, walk = vg.homotopy(model, a, b, steps=2, max_evaluations=60), vg.fibre_walk(model, a, b, steps=2)
    expected = homotopy_at(model, way, 0.3).path.values, fibre_at(model, walk, 0.5).path.values
    with mode():
        inside = homotopy_at(model, way, 0.3), fibre_at(model, walk, 0.5)
    assert [one.attrs["float32_products"] for one in inside] == ["ieee"] * 2
    assert all((one.path.values == there).all() for one, there in zip(inside, expected, strict=True))
