"""Networks that are no function of an image, or none that can be measured, and labels of other classes."""

from __future__ import annotations

import threading
import traceback
import warnings

import pytest
import torch

import vitgeom_nb as vg
from tests.tiny_networks import N, linear, pixels, random_network, wrapped
from vitgeom_nb.errors import ArgumentError, ImageError, LabelError, ModelError
from vitgeom_nb.networks.wrapping import call


class Answer(torch.nn.Module):
    """A linear network whose answer a function of it and of the images changes."""

    def __init__(self, change) -> None:
        super().__init__()
        self.head, self.change = torch.nn.Linear(N, 3), change

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.change(self.head(x.flatten(1)), x)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda y, _: y + torch.rand_like(y), "differs between two calls"),
        (lambda y, _: y - y.mean(0), "depends on what else is in the batch"),
        (lambda y, _: y.long(), "must be floats"),
    ],
)
def test_what_is_no_function_of_an_image_is_noticed_when_wrapped(change, words) -> None:
    with pytest.raises(ModelError, match=words):
        wrapped(Answer(change))


def test_normalisation_classes_and_what_cannot_be_copied() -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(N, 3))
    right = {"mean": [0.0] * 3, "std": [1.0] * 3, "size": 2}
    with pytest.raises(ArgumentError, match="mean has 2 values"):
        vg.wrap(net, **right | {"mean": [0.0] * 2})
    with pytest.raises(ArgumentError, match="std holds a value that is not positive"):
        vg.wrap(net, **right | {"std": [1.0, 0.0, 1.0]})
    with pytest.raises(ModelError, match="3 logits and 2 classes"):
        vg.wrap(net, **right, embed=call, logits=call, classes=["a", "b"])
    net.lock = threading.Lock()
    with pytest.raises(ModelError, match="cannot be copied: cannot pickle"):
        vg.wrap(net, **right)


@pytest.mark.parametrize(
    ("width", "options", "warned"),
    [
        (3, {"classes": ["a", "b", "c"]}, True),
        (3, {"logits": call}, True),
        (1000, {}, True),
        (3, {"num_classes": 3}, True),
        (3, {}, False),  # may be anything
        (3, {"num_classes": 5}, False),
        (3, {"classes": ["a", "b", "c"], "embed": call}, False),  # said so
        (3, {"classes": ["a", "b"], "logits": lambda m, x: m(x)[:, :2]}, False),
        (3, {"classes": ["a", "b", "c"], "end": torch.nn.Tanh()}, False),
    ],
)
def test_wrap_warns_where_the_embedding_is_probably_the_logits(width: int, options: dict, warned: bool) -> None:
    options = dict(options)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(N, 4), torch.nn.Tanh(), torch.nn.Linear(4, width))
    if end := options.pop("end", None):
        net.append(end)
    if count := options.pop("num_classes", None):
        net.num_classes = count
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=2, **options)
    assert [str(one.message) for one in seen if "probably its logits" not in str(one.message)] == []
    assert [one.filename for one in seen] == [__file__] * warned


def test_nan_names_its_image_and_is_no_label() -> None:
    # an image of white is where this network breaks down
    model = wrapped(Answer(lambda y, x: y / (x.flatten(1).amin(1, keepdim=True) < 1)), torch.float32)
    x = pixels(3).float()
    x[1] = 1
    for ask in (model.embeddings, model.labels, model.probabilities):
        with pytest.raises(ModelError, match="of image 1 is NaN, infinite or beyond"):
            ask(x)
    assert model.labels(x[[0, 2]]).shape == (2,)


def test_what_the_readers_module_raises_keeps_its_type_and_says_where() -> None:
    def change(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        if bool((x == 1).all()):
            raise KeyError("white")
        return y

    model = wrapped(Answer(change), torch.float32)
    with pytest.raises(KeyError) as caught:
        vg.singular_spectrum(model, torch.ones(1, 3, 2, 2))
    assert "in the embedding of tiny, of pixels" in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("function", [len, int, torch.nn.Flatten(), lambda x: x])
@pytest.mark.parametrize("argument", ["embed", "logits"])
def test_a_function_of_a_module_and_images_takes_both(argument: str, function) -> None:
    with pytest.raises(ArgumentError, match=f"a function of two arguments, .* as {argument}, not "):
        vg.wrap(torch.nn.Flatten(), mean=[0.0] * 3, std=[1.0] * 3, size=2, **{argument: function})


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, ZeroDivisionError, KeyError, RuntimeError])
@pytest.mark.parametrize("least", [1, 3])  # images in a pass: wrap() asks for one first, and then for three
def test_what_the_readers_module_raises_in_wrap_keeps_its_type(error: type[Exception], least: int) -> None:
    def change(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        if len(x) >= least:
            raise error("of the reader")
        return y

    if (error, least) == (torch.OutOfMemoryError, 3):  # later batches are halved, too
        assert len(wrapped(Answer(change), torch.float32).embeddings(pixels(3))) == 3
        return
    with pytest.raises(error, match="of the reader") as caught:
        wrapped(Answer(change), torch.float32)
    assert "in the embedding of tiny, of pixels" in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda m: m.class_name("a"), LabelError, "whole numbers, not str"),
        (lambda m: m.class_name([999]), LabelError, "go from 999 to 999, and the classes of tiny from 0 to 2"),
        (lambda m: m.class_name([-2]), LabelError, "go from -2"),
        (lambda m: m.class_name(0.5), LabelError, "whole numbers, not torch.float32"),
        (lambda m: m.in_dtype("float64"), ArgumentError, r"in_dtype\(\) takes a torch.dtype .* not 'float64'"),
        (lambda m: m.preprocess("x"), ImageError, "takes a PIL picture, not str"),
        (lambda m: m.embed("x"), ImageError, r"take a tensor \(B, 3, H, W\), not str; embeddings"),
        (lambda m: m.embed(torch.zeros(3, 2, 2)), ImageError, r"not \(3, 2, 2\)"),
        (lambda m: m.logits(pixels(1).numpy()), ImageError, "not ndarray"),
        (lambda m: m.at(3), ArgumentError, r"at\(\) takes a string as layer, not 3"),
        (lambda m: m.embeddings("x"), ImageError, "not str"),
    ],
)
def test_methods_of_a_model_have_a_door_too(ask, error, words) -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(N, 3))
    model = wrapped(net, torch.float32, classes=["cat", "dog", "fish"], embed=lambda m, x: m[0](x))
    with pytest.raises(error, match=words) as caught:
        ask(model)
    assert "\n" not in str(caught.value)


def test_a_label_that_is_not_known_yet_has_no_name() -> None:
    model = wrapped(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(N, 3)), torch.float32)
    assert model.class_name([[-1, 2]]).tolist() == [["none", "2"]]
    model.classes = ["cat", "dog", "fish"]
    assert model.class_name([-1, 2]).tolist() == ["none", "fish"]


def test_a_network_without_derivative_says_so() -> None:
    model = wrapped(Answer(lambda y, _: y.detach().round()), torch.float32)
    assert model.embeddings(pixels(2)).shape == (2, 3)
    with pytest.raises(ModelError, match="has no derivative"):
        vg.jacobian(model, pixels(1))


def test_where_j_is_zero_values_are_the_documented_ones() -> None:
    model = linear(torch.zeros(3, N, dtype=torch.float64))
    spectrum = vg.singular_spectrum(model, pixels(1))
    assert (spectrum.singular_value == 0).all()
    assert int(spectrum.numerical_rank[0]) == 0
    assert vg.direction_change(model, pixels(1), directions=1, steps=3).angle.isnull().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_reduced_precision_is_measured_to_its_rounding(dtype: torch.dtype) -> None:
    half, whole, x = random_network(dtype=dtype), random_network(), pixels(2)
    found = vg.singular_spectrum(half, x).singular_value.values[:, 0]
    assert found == pytest.approx(vg.singular_spectrum(whole, x).singular_value.values[:, 0], rel=0.05)
    jump = vg.random_jump(half, x, half.labels(x), epsilon_max=1.0, grid=5, resamples=3)
    assert jump.attrs["dtype"] == str(dtype).removeprefix("torch.")


def test_labels_of_other_classes_are_refused() -> None:
    model = wrapped(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(N, 3)),
        torch.float32,
        classes=["tench, Tinca", "cat", "dog"],
    )
    labels = torch.tensor([0, 1])

    def images(*names: str) -> vg.Images:
        return vg.Images(pixels(2).float(), ["a", "b"], "drawn", "none", labels, list(names))

    for foreign in (("car", "ship", "frog"), ("tench", "cat")):
        for measure in (vg.travel_distance, vg.predict, vg.reliability):
            with pytest.raises(LabelError, match="others"):
                measure(model, images(*foreign))
    assert len(vg.predict(model, images("Tench", "cat", "wolf")).labels) == 2


def test_probabilities_are_no_logits() -> None:
    with pytest.raises(ArgumentError, match="pass their logarithms"):
        vg.reliability(logits=torch.tensor([[0.9, 0.1], [0.3, 0.7]]), labels=[0, 1])


def test_an_explorer_shows_one_measurement_of_a_network() -> None:
    law = vg.step_law(random_network(), pixels(2), directions=2, resamples=3)
    with pytest.raises(ArgumentError, match="Two of the measurements are of tiny"):
        vg.explore.step_law([law, law])
    with pytest.raises(ArgumentError, match="image from 0 to 0"):
        vg.explore.singular_steps(vg.singular_steps(random_network(), pixels(1), ranks=(1,), radii=(0.1,)), image=3)
