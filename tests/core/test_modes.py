from __future__ import annotations

import os
import threading
import warnings

import pytest
import torch
import xarray as xr

import vitgeom_nb as vg
from tests.tiny_networks import pixels, random_network, wrapped
from vitgeom_nb.core.modes import Shared
from vitgeom_nb.networks.differentiation import all_derivatives, batched_reverse_mode

MATMUL, CONV = torch.backends.cuda.matmul, torch.backends.cudnn.conv


def attention() -> tuple[bool, ...]:
    cuda = torch.backends.cuda
    return cuda.flash_sdp_enabled(), cuda.math_sdp_enabled(), cuda.mem_efficient_sdp_enabled()


def test_products_are_whole_inside_a_model_and_as_they_were_behind_it(device: str) -> None:
    seen = []

    def embed(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        seen.append((MATMUL.fp32_precision, CONV.fp32_precision))
        return module(x)

    model = wrapped(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3)), torch.float32, embed=embed, device=device
    )
    before = MATMUL.fp32_precision, CONV.fp32_precision
    try:
        MATMUL.fp32_precision = CONV.fp32_precision = "tf32"
        model.embed(model.pixels(pixels(1)))
        vg.singular_spectrum(model, pixels(1))
        assert (MATMUL.fp32_precision, CONV.fp32_precision) == ("tf32", "tf32")
    finally:
        MATMUL.fp32_precision, CONV.fp32_precision = before
    assert set(seen) == {("ieee", "ieee")}


def test_interleaved_threads_leave_attention_as_it_was() -> None:
    before, (first, second, third) = attention(), (threading.Event() for _ in range(3))
    inside = []

    def outer() -> None:
        with batched_reverse_mode():
            first.set()
            second.wait(20)
        third.set()

    def inner() -> None:
        first.wait(20)
        with batched_reverse_mode():
            second.set()
            third.wait(20)
            inside.append(attention())  # the other has gone, and it stays unfused for this one

    threads = [threading.Thread(target=target) for target in (outer, inner)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert inside == [(False, True, False)]
    assert attention() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_of_a_measuring_process_measures() -> None:
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with all_derivatives():
            held.set()
            go.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
        child = os.fork()
    if not child:
        with all_derivatives():
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    go.set()
    holder.join(20)


def test_a_shared_setting_is_put_back_after_an_exception() -> None:
    held: list[str] = []

    class Setting:
        def __enter__(self) -> None:
            held.append("on")

        def __exit__(self, *_: object) -> None:
            held.append("off")

    shared = Shared(Setting)
    with pytest.raises(KeyError), shared(), shared():
        raise KeyError
    assert held == ["on", "off"]


def test_two_threads_measure_what_one_does() -> None:
    model, x = random_network(), pixels(2)
    expected = vg.curvature(model, x, directions=2).curvature.values
    found: list[xr.Dataset] = []
    threads = [threading.Thread(target=lambda: found.append(vg.curvature(model, x, directions=2))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [bool((one.curvature.values == expected).all()) for one in found] == [True] * 4


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_modes_around_a_measurement_change_nothing(mode) -> None:
    model, x = random_network(dtype=torch.float32), pixels(2).float()
    expected = vg.singular_spectrum(model, x).singular_value.values
    with mode():
        inside = pixels(2).float()  # made in that mode
        assert (vg.singular_spectrum(model, inside).singular_value.values == expected).all()
        again = random_network(dtype=torch.float32)
    assert (again.digest, again.layers) == (model.digest, model.layers)
    assert (vg.singular_spectrum(again, inside).singular_value.values == expected).all()


@pytest.mark.parametrize("mode", [torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_modes_around_answers_and_layers_change_nothing(mode) -> None:
    def fresh() -> vg.VisionModel:
        return vg.load("vit")  # which finds its layers when it is first asked

    model, x = fresh(), vg.samples("cifar10", n=3)
    answers = [model.embeddings, model.labels, model.probabilities, model.at("blocks.1").embeddings]
    answers += [lambda images: model.embed_in_batches(model.pixels(images))]
    answers += [lambda images: model.logits_in_batches(model.pixels(images))]
    expected = [answer(x) for answer in answers]
    with mode():
        inside = [answer(x) for answer in answers]
        other = fresh()
        layers, read = other.layers, other.at("blocks.1").embeddings(x)
    for before, now in zip(expected, inside, strict=True):
        assert torch.equal(before, now)
        assert now.dtype == before.dtype
    assert layers == model.layers
    assert torch.equal(read, expected[3])
    assert other.at("blocks.1").read == model.at("blocks.1").read
    assert torch.equal(other.at("blocks.1").embeddings(x), expected[3])  # what was found inside is kept
