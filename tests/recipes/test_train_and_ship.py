import json
import math
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from vitgeom_nb.core.images import Images
from vitgeom_nb.errors import ArgumentError
from vitgeom_nb.networks import embedded as zoo
from vitgeom_nb.networks.embedded.architectures import ARCHITECTURES, untrained
from vitgeom_nb.networks.loading import embedded
from vitgeom_nb.recipes import ship, train
from vitgeom_nb.recipes.augmentation import augment, distorted, mixed
from vitgeom_nb.recipes.recipe import RECIPE_B, Recipe
from vitgeom_nb.recipes.train import snapshot_epochs

NAMES = tuple(zoo.FAMILIES)


class Tiny(torch.nn.Module):
    """A network of any input size, with batch norm so that its buffers must be resumed too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3, stride=2)
        self.norm = torch.nn.BatchNorm2d(4)
        self.head = torch.nn.Linear(4, 200)

    def forward_features(self, x):
        return self.norm(self.conv(x)).relu()

    def forward_head(self, x, pre_logits=False):
        z = x.mean((2, 3))
        return z if pre_logits else self.head(z)

    def forward(self, x):
        return self.forward_head(self.forward_features(x))


@pytest.fixture
def tiny(monkeypatch):
    """The recipe on 32 random images and a tiny network."""
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (32, 3, 64, 64), generator=draw, dtype=torch.uint8)
    labels = torch.randint(0, 200, (32,), generator=draw)
    monkeypatch.setattr(train, "decoded", lambda name, split: (pixels, labels))
    monkeypatch.setitem(ARCHITECTURES, "vit", lambda dynamic=False, drop_path=0.0: Tiny())
    monkeypatch.setenv("TQDM_DISABLE", "1")
    return pixels, labels


def recipe(epochs, **options):
    return Recipe(epochs=epochs, batch=8, warmup_steps=2, **options)


def weights(folder: Path):
    return torch.load(folder / "vit" / "weights-final.pt", weights_only=True)


CPU = torch.device("cpu")


def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(tiny, tmp_path, monkeypatch):
    train.train("vit", recipe(4), tmp_path / "straight", CPU, every=3)

    for stop in (4, 9, 14):  # in both phases, and between checkpoints
        advance, calls = train.Run.advance, []

        def stopping(self, *data, advance=advance, calls=calls, stop=stop):
            if self.step == stop and not calls:
                calls.append(stop)
                raise KeyboardInterrupt
            return advance(self, *data)

        monkeypatch.setattr(train.Run, "advance", stopping)
        with pytest.raises(KeyboardInterrupt):
            train.train("vit", recipe(4), tmp_path / "stopped", CPU, every=3)
        monkeypatch.setattr(train.Run, "advance", advance)
    train.train("vit", recipe(4), tmp_path / "stopped", CPU, every=3)
    straight, stopped = weights(tmp_path / "straight"), weights(tmp_path / "stopped")
    assert all(torch.equal(straight[k], stopped[k]) for k in straight)


def test_a_finished_training_can_be_made_longer(tiny, tmp_path):
    train.train("vit", recipe(8), tmp_path / "long", CPU)
    train.train("vit", recipe(4), tmp_path / "grown", CPU)
    short = weights(tmp_path / "grown")
    train.train("vit", recipe(8), tmp_path / "grown", CPU)
    long, grown = weights(tmp_path / "long"), weights(tmp_path / "grown")
    assert all(torch.equal(long[k], grown[k]) for k in long)
    assert not torch.equal(short["head.weight"], grown["head.weight"])
    with pytest.raises(ArgumentError, match="more epochs"):
        train.train("vit", recipe(2), tmp_path / "grown", CPU)


def test_a_further_cycle_starts_from_the_weights_that_ship(tiny, tmp_path):
    pixels, _ = tiny
    further = Recipe(epochs=24, before=20, batch=8, warmup_steps=2)
    run = train.Run("resnet", further, len(pixels), tmp_path, CPU)
    state, shipped = run.module.state_dict(), zoo.weights("resnet")
    assert all(torch.equal(state[key], shipped[key]) for key in shipped)
    first, last = further.first(len(pixels)), further.steps(len(pixels))
    assert run.step == first == 20 * len(pixels) // 8
    # the rates are those of a training of four epochs
    short = Recipe(epochs=4, batch=8, warmup_steps=2)
    rates = [further.rate(step, len(pixels)) for step in range(first, last)]
    assert rates == [short.rate(step, len(pixels)) for step in range(last - first)]
    assert further.constant_steps(len(pixels)) == first + short.constant_steps(len(pixels))


def test_a_training_remembers_the_weights_that_it_began_with(tiny, tmp_path, monkeypatch):
    state = untrained("vit", 0).state_dict()
    monkeypatch.setattr(train, "weights", lambda name: state)
    monkeypatch.setattr(train, "card", lambda name: {"sha256": "of the first"})
    run = train.Run("vit", recipe(4, before=2), 32, tmp_path / "vit" / "after-2", CPU)
    run.save()
    monkeypatch.setattr(train, "card", lambda name: {"sha256": "of others that ship since"})
    train.train("vit", recipe(4, before=2), tmp_path, CPU)
    done = torch.load(tmp_path / "vit" / "after-2" / "recipe.pt", weights_only=True)
    assert done["start"] == "of the first"


def test_training_learns(tiny, tmp_path):
    pixels, labels = tiny
    run = train.Run("vit", recipe(200, learning_rate=0.02), len(pixels), tmp_path, CPU)
    losses = [float(run.advance(pixels, labels)) for _ in range(120)]
    assert np.mean(losses[-12:]) < 0.8 * np.mean(losses[:12])


def test_learning_rate_warms_up_stays_and_falls_to_zero():
    r = Recipe(epochs=10, batch=100, warmup_steps=10, learning_rate=1.0, cooldown=0.25)
    images = 10_000  # 1000 steps, constant until 750
    assert [r.rate(s, images) for s in (0, 4, 9, 400, 749, 750, 875)] == pytest.approx([0.1, 0.5, 1, 1, 1, 1, 0.5])
    assert 0 < r.rate(999, images) < 0.005


def test_augment_only_crops_mirrors_and_resamples():
    ramp = torch.arange(64, dtype=torch.uint8).mul(4).expand(16, 3, 64, 64).contiguous()
    whole = Recipe(crop_area=(1.0, 1.0))
    out = augment(ramp, 64, whole, torch.Generator().manual_seed(0))
    same = [torch.allclose(image, ramp[0] / 255, atol=1e-5) for image in out]
    mirrored = [torch.allclose(image, ramp[0].flip(2) / 255, atol=1e-5) for image in out]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert any(same)
    assert any(mirrored)
    cropped = augment(ramp, 32, Recipe(), torch.Generator().manual_seed(0))
    assert cropped.shape == (16, 3, 32, 32)
    span = cropped[:, 0, 16].amax(1) - cropped[:, 0, 16].amin(1)
    assert float(span.min()) > math.sqrt(0.5) * 0.9 * float(ramp[0].max()) / 255


def test_an_untrained_network_follows_from_the_seed_alone():
    before = torch.random.get_rng_state()
    one, same, other = (untrained("vit", seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["head.weight"], other["head.weight"])


def test_snapshots_are_early():
    assert snapshot_epochs(6) == [1, 2, 4]
    assert snapshot_epochs(100) == [1, 2, 4, 8, 16, 32, 64]
    assert snapshot_epochs(1) == []


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_trains_at_every_size_of_the_recipe(name):
    dynamic, fixed = ARCHITECTURES[name](dynamic=True), ARCHITECTURES[name]()
    fixed.load_state_dict(dynamic.state_dict())
    for size in (*Recipe().constant_sizes, 64):
        assert dynamic.train()(torch.rand(2, 3, size, size)).shape == (2, 200)
    x = torch.rand(2, 3, 64, 64)
    fixed.load_state_dict(dynamic.state_dict())
    torch.testing.assert_close(dynamic.eval()(x), fixed.eval()(x))


@pytest.mark.parametrize("name", NAMES)
def test_cards_tell_what_was_made_and_how(name):
    card = zoo.card(name)
    made = {"architecture", "parameters", "data", "recipe", "epochs", "seed", "cycles", "training_precision"}
    measured = {"top1", "ece", "signed_ece"}
    assert made | measured | {"hardware", "date", "sha256", "history", "licence"} <= set(card)
    epochs = [row["epoch"] for row in card["history"]]
    assert epochs == sorted(epochs)
    assert epochs[0] == 0
    assert epochs[-1] == card["epochs"]
    assert abs(card["signed_ece"]) <= card["ece"] + 1e-9
    assert card["architecture"] == ARCHITECTURES[name].__doc__
    assert {key: card[key] for key in card["cycles"][-1]} == card["cycles"][-1]
    assert len(card["classes"]) == 200


def test_the_zoo_is_small_enough_to_ship():
    files = (f"{name}.{kind}" for name in NAMES for kind in ("safetensors", "predictions.npz"))
    assert sum(zoo.zoo_file(file).stat().st_size for file in files) < 60e6  # nothing else in the wheel is large


def test_half_precision_only_where_it_does_no_harm():
    state = {k: v.clone() for k, v in ARCHITECTURES["resnet"]().state_dict().items()}
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    class Some:
        pixels = images

    kept = ship.halved("resnet", state, Some())
    assert kept["conv1.weight"].dtype == torch.float16
    state["conv1.weight"] *= 1e-7  # below what half precision resolves
    assert ship.halved("resnet", state, Some())["conv1.weight"].dtype == torch.float32


def test_shipped_files_describe_each_other(tiny, tmp_path, monkeypatch):
    pixels, labels = tiny
    train.train("vit", recipe(4), tmp_path / "work", CPU)

    class Valid:
        def __init__(self, keep=slice(None)):
            self.pixels, self.labels = pixels[keep].float() / 255, labels[keep]

        def __len__(self):
            return len(self.pixels)

        def __getitem__(self, keep):
            return Valid(keep)

    monkeypatch.setattr(ship, "labelled", lambda name, split: Valid())
    monkeypatch.setattr(ship, "class_names", lambda name: [str(i) for i in range(200)])
    torch.save(untrained("vit", 1).state_dict(), tmp_path / "work" / "vit" / "weights-0.pt")  # measured anew, not read
    card = ship.ship("vit", tmp_path / "work", tmp_path / "zoo", "a test")
    (tmp_path / "any").touch()  # its mode is that of the umask
    assert {path.stat().st_mode for path in (tmp_path / "zoo").iterdir()} == {(tmp_path / "any").stat().st_mode}
    assert json.loads((tmp_path / "zoo" / "vit.json").read_text()) == json.loads(json.dumps(card))
    state = zoo.read_weights(tmp_path / "zoo" / "vit.safetensors", card["sha256"])
    shipped = embedded("vit", state)
    logits = shipped.logits_in_batches(shipped.pixels(Valid()))
    with np.load(tmp_path / "zoo" / "vit.predictions.npz") as stored:
        np.testing.assert_allclose(stored["logits"], logits, atol=1e-2)
        assert stored["logits"].dtype == np.float16
        np.testing.assert_array_equal(stored["labels"], labels)
    assert card["top1"] == float((logits.argmax(1) == labels).double().mean())
    assert [row["epoch"] for row in card["history"]] == [0, 1, 2, 4]
    assert card["history"][-1]["top1"] == card["top1"]
    assert [cycle["epochs"] for cycle in card["cycles"]] == [4]

    # a further cycle from these weights
    monkeypatch.setattr(train, "weights", lambda name: state)
    monkeypatch.setattr(train, "card", lambda name: card)
    train.train("vit", recipe(6, before=4), tmp_path / "work", CPU, autocast=True)
    with pytest.raises(ArgumentError, match="do not ship any more"):
        ship.ship("vit", tmp_path / "work", tmp_path / "zoo", "a test")
    monkeypatch.setattr(ship, "shipped", lambda name: card)
    longer = ship.ship("vit", tmp_path / "work", tmp_path / "zoo", "another test")
    assert [row["epoch"] for row in longer["history"]] == [0, 1, 2, 4, 6]
    assert longer["history"][:4] == card["history"]
    assert [cycle["epochs"] for cycle in longer["cycles"]] == [4, 6]
    assert longer["cycles"][0] == card["cycles"][0]
    assert longer["cycles"][1]["hardware"] == longer["hardware"] == "another test"
    assert [cycle["training_precision"] for cycle in longer["cycles"]] == ["float32", "bfloat16"]


def test_a_control_ships_without_its_predictions(tiny, tmp_path, monkeypatch):
    pixels, labels = tiny
    train.train("vit-b", recipe(2, **RECIPE_B), tmp_path / "work", CPU)
    valid = Images(pixels.float() / 255, [str(i) for i in range(len(pixels))], "drawn", "none", labels)
    monkeypatch.setattr(ship, "labelled", lambda name, split: valid)
    monkeypatch.setattr(ship, "class_names", lambda name: [str(i) for i in range(200)])
    card = ship.ship("vit-b", tmp_path / "work", tmp_path / "zoo", "a test")
    assert {path.name for path in (tmp_path / "zoo").iterdir()} == {"vit-b.json", "vit-b.safetensors"}
    assert (card["name"], card["family"], card["recipe"]["mixup"]) == ("vit-b", "transformer", RECIPE_B["mixup"])
    shipped = embedded("vit-b", zoo.read_weights(tmp_path / "zoo" / "vit-b.safetensors", card["sha256"]))
    assert card["top1"] == float((shipped.labels(valid) == labels).double().mean())


def test_of_equal_trainings_the_latest_is_shipped(tmp_path):
    for age, folder in ((20, "new"), (30, "old"), (10, "short")):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "recipe.pt"
        torch.save({"recipe": {"epochs": 2 if folder == "short" else 4}, "start": folder}, path)
        os.utime(path, (time.time() - age,) * 2)
    folder, run = ship._longest(tmp_path)
    assert folder.name == run["start"] == "new"


def test_autocast_computes_in_bfloat16_and_keeps_float32_weights(tiny, tmp_path):
    pixels, labels = tiny
    first = {}
    for autocast in (False, True):
        run = train.Run("vit", recipe(4), len(pixels), tmp_path / str(autocast), CPU, autocast=autocast)
        seen = []
        run.module.head.register_forward_hook(lambda module, given, out, seen=seen: seen.append(out.dtype))
        first[autocast] = float(run.advance(pixels, labels))
        assert seen == [torch.bfloat16 if autocast else torch.float32]
        assert {p.dtype for p in run.module.parameters()} == {torch.float32}
    assert first[True] == pytest.approx(first[False], rel=2e-2)


def test_nothing_is_shipped_before_a_training_has_finished(tmp_path):
    with pytest.raises(ArgumentError, match="no finished training"):
        ship.ship("vit", tmp_path, tmp_path / "zoo", "a test")


def test_recipe_b_resumes_exactly_too(tiny, tmp_path, monkeypatch):
    train.train("vit-b", recipe(2, **RECIPE_B), tmp_path / "straight", CPU, every=3)
    advance = train.Run.advance

    def stopping(self, *data):
        if self.step == 5:
            raise KeyboardInterrupt
        return advance(self, *data)

    monkeypatch.setattr(train.Run, "advance", stopping)
    with pytest.raises(KeyboardInterrupt):
        train.train("vit-b", recipe(2, **RECIPE_B), tmp_path / "stopped", CPU, every=3)
    monkeypatch.setattr(train.Run, "advance", advance)
    torch.rand(7)  # whatever else drew in between
    train.train("vit-b", recipe(2, **RECIPE_B), tmp_path / "stopped", CPU, every=3)
    ends = [torch.load(tmp_path / k / "vit-b" / "weights-final.pt", weights_only=True) for k in ("straight", "stopped")]
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


def test_mixtures_carry_the_labels_of_their_parts():
    labels = torch.arange(0, 160, 20)
    # the brightness of a picture is its label, so that the label of a mixture can be read off its pixels
    images = (labels / 200).view(-1, 1, 1, 1).expand(-1, 3, 64, 64).contiguous()
    kinds = set()
    for seed in range(12):
        torch.manual_seed(seed)
        pictures, shares = mixed(images, labels, Recipe(**RECIPE_B))
        assert shares.sum(1).tolist() == pytest.approx([1.0] * 8)
        brightness = (shares * torch.arange(200)).sum(1) / 200
        torch.testing.assert_close(pictures.mean((1, 2, 3)), brightness, rtol=0, atol=1e-5)
        kinds.add(bool((pictures.flatten(1).std(1) > 1e-4).any()))
    assert kinds == {True, False}  # pasted squares, and blends
    same, own = mixed(images, labels, Recipe())
    assert torch.equal(same, images)
    assert torch.equal(own, labels)


def test_randaugment_treats_each_image_by_itself():
    picture = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    made = distorted(picture.expand(16, -1, -1, -1), Recipe(**RECIPE_B))
    assert made.dtype == torch.uint8
    assert len({tuple(image.flatten().tolist()) for image in made}) > 8
    assert torch.equal(distorted(picture, Recipe()), picture)


def test_stochastic_depth_is_in_training_alone():
    for name in zoo.CONTROLS.values():
        module, x = untrained(name, 0, drop_path=0.5), torch.rand(4, 3, 64, 64)
        state = untrained(name, 0).state_dict()
        assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
        for norm in (part for part in module.modules() if isinstance(part, torch.nn.BatchNorm2d)):
            torch.nn.init.ones_(norm.weight)  # a branch of a ResNet begins at zero
        first, second = module.eval()(x), module.eval()(x)
        torch.testing.assert_close(first, second, rtol=0, atol=0)
        # batch norm answers alike in both modes but for its statistics, which a repeated batch repeats
        assert not torch.equal(module.train()(x), module.train()(x))


def test_a_training_on_a_processor_gives_way(monkeypatch, tmp_path, capsys):
    done, threads = [], torch.get_num_threads()
    monkeypatch.setattr(train.os, "nice", lambda by: done.append(("nice", by)))
    monkeypatch.setattr(train.torch, "set_num_threads", lambda n: done.append(("threads", n)))
    monkeypatch.setattr(train, "train", lambda name, recipe, *rest, **options: done.append((name, recipe.mixup)))
    monkeypatch.setattr("sys.argv", ["train", "vit", "vit-b", "--device", "cpu", "--work", str(tmp_path)])
    train.main()
    assert done == [("threads", 1), ("nice", 10), ("vit", 0.0), ("vit-b", 0.8)]
    assert torch.get_num_threads() == threads
    monkeypatch.setattr("sys.argv", ["train", "vitt", "--device", "cpu"])
    with pytest.raises(SystemExit):
        train.main()
    assert "there is no network vitt; there are vit, swin" in capsys.readouterr().err


def test_a_training_says_when_it_will_be_done(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TQDM_DISABLE", "0")
    train.train("vit", recipe(2), tmp_path, CPU, every=3)
    assert "done about" in capsys.readouterr().err
