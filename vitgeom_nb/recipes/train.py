"""Train the embedded models: one recipe for all architectures, resumable, on one GPU or beside other work on one core.

The learning rate warms up, stays constant, and falls to zero over the last quarter of the epochs. Before that
last quarter images are shown at 32 or 48 pixels, drawn per batch; in it, at 64. A finished run can be made longer:
it goes on from the end of its constant phase where its checkpoint is at hand, and with `--longer` from the weights
that ship, as a second cycle of the same shape. Everything random follows from the seed and the step alone.
Networks whose name ends in `-b` are trained by recipe B, as transformers usually are: RandAugment, mixup, CutMix and
stochastic depth in the place of label smoothing. On a processor a training gives way to whatever else runs: one thread
unless `--threads` says otherwise, low priority, and threads that sleep while they wait. Where Linux groups processes by
session (`/proc/sys/kernel/sched_autogroup_enabled` is 1), priorities count only within one: `echo 10 >
/proc/PID/autogroup` makes a training give way to other sessions, and a negative number keeps its core.

    python -m vitgeom_nb.recipes.train --epochs 100            # all
    python -m vitgeom_nb.recipes.train vit --epochs 24 --work runs
    python -m vitgeom_nb.recipes.train vit --epochs 40 --longer  # the shipped weights had fewer
"""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F

from ..core.progress import tqdm
from ..data.labelled import decoded
from ..errors import ArgumentError
from ..networks.embedded import CONTROLS, card, weights
from ..networks.embedded.architectures import ARCHITECTURES, MEAN, SIZE, STD, untrained
from ..settings import zoo_work
from .augmentation import augment, distorted, mixed
from .recipe import RECIPE_B, Recipe

DATA = "tiny-imagenet"


def snapshot_epochs(epochs: float) -> list[int]:
    """Epochs after which the weights are kept for the chapter on training: 1, 2, 4, 8, ..."""
    return [2**k for k in range(math.ceil(math.log2(max(2, epochs))) + 1) if 2**k < epochs]


def _save(state: dict, path: Path) -> None:
    temporary = path.with_suffix(".partial")
    torch.save(state, temporary)
    temporary.replace(path)


class Run:
    """One network in training: its weights, its optimiser, and the files it resumes from."""

    def __init__(
        self, name: str, recipe: Recipe, images: int, folder: Path, device: torch.device, autocast: bool = False
    ) -> None:
        self.recipe, self.images, self.folder, self.device, self.autocast = recipe, images, folder, device, autocast
        folder.mkdir(parents=True, exist_ok=True)
        self.module = untrained(name, recipe.seed, recipe.drop_path)
        if recipe.before:
            self.module.load_state_dict(weights(name))
        self.module.to(device, memory_format=torch.channels_last).train()
        decayed = [p for n, p in self.module.named_parameters() if p.ndim >= 2 and "token" not in n and "pos" not in n]
        ids = {id(p) for p in decayed}
        plain = [p for p in self.module.parameters() if id(p) not in ids]
        self.optimiser = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=recipe.learning_rate,
            betas=recipe.betas,
            fused=True,
        )
        self.start = card(name)["sha256"] if recipe.before else None  # of the weights that this run began with
        self.step = recipe.first(images)
        self._resume()

    def _paths(self) -> tuple[Path, Path]:
        return self.folder / "constant.pt", self.folder / f"cooldown-{self.recipe.epochs:g}.pt"

    def _resume(self) -> None:
        constant, cooldown = self._paths()
        path = cooldown if cooldown.exists() else constant
        if not path.exists():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        if path == constant and state["step"] > self.recipe.constant_steps(self.images):
            raise ArgumentError(
                f"{path} is at step {state['step']}, past the constant phase of {self.recipe.epochs:g} epochs; "
                "ask for more epochs or another --work folder."
            )
        self.module.load_state_dict(state["module"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.start = state["step"], state.get("start", self.start)

    def save(self) -> None:
        """Write the checkpoint; the one at the end of the constant phase is kept for a longer run."""
        state = {"module": self.module.state_dict(), "optimiser": self.optimiser.state_dict()}
        state |= {"step": self.step, "start": self.start}
        constant, cooldown = self._paths()
        _save(state, constant if self.step <= self.recipe.constant_steps(self.images) else cooldown)

    def snapshot(self, label: str) -> None:
        """Keep the weights as they are now, without the optimiser."""
        _save({k: v.detach().cpu() for k, v in self.module.state_dict().items()}, self.folder / f"weights-{label}.pt")

    def batch(self, pixels: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The batch of this step: its images, crops and size depend on seed and step alone."""
        recipe, count = self.recipe, len(pixels)
        per_epoch = count // recipe.batch
        epoch, position = divmod(self.step, per_epoch)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(recipe.seed * 1_000_003 + epoch))
        chosen = order[position * recipe.batch :][: recipe.batch]
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + 7_919 * self.step + 1)
        sizes = recipe.constant_sizes
        drawn = sizes[int(torch.randint(len(sizes), (1,), generator=generator))]
        size = drawn if self.step < recipe.constant_steps(count) else SIZE
        images = augment(distorted(pixels[chosen], recipe).to(self.device), size, recipe, generator)
        images, targets = mixed(images, labels[chosen].to(self.device), recipe)
        mean, std = (torch.tensor(v, device=self.device).view(1, 3, 1, 1) for v in (MEAN, STD))
        images = ((images - mean) / std).contiguous(memory_format=torch.channels_last)
        return images, targets

    def advance(self, pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """One optimiser step; returns the loss."""
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.rate(self.step, len(pixels))
        with torch.random.fork_rng():  # what torchvision and timm draw comes from the global generator
            torch.manual_seed(recipe.seed * 1_000_003 + 7_919 * self.step + 2)
            images, targets = self.batch(pixels, labels)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                loss = F.cross_entropy(self.module(images), targets, label_smoothing=recipe.label_smoothing)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), recipe.gradient_clip)
        self.optimiser.step()
        self.step += 1
        return loss.detach()


def train(
    name: str, recipe: Recipe, work: Path, device: torch.device, every: int = 250, autocast: bool = False
) -> None:
    """Train one network to the end, from its last checkpoint if there is one; a stop loses `every` steps at most."""
    pixels, labels = decoded(DATA, "train")
    count = len(pixels)
    folder = work / name / f"after-{recipe.before:g}" if recipe.before else work / name
    run = Run(name, recipe, count, folder, device, autocast)
    keep = {int(e * count / recipe.batch): e for e in snapshot_epochs(recipe.epochs) if e > recipe.before}
    last = recipe.steps(count)
    line = "{desc}: {percentage:3.0f}% {n_fmt}/{total_fmt} steps, {rate_fmt}, done about {eta:%d %b %H:%M}{postfix}"
    with tqdm(total=last, initial=run.step, desc=name, mininterval=10, bar_format=line) as bar:
        while run.step < last:
            if run.step in keep:
                run.snapshot(f"{keep[run.step]}")
            loss = run.advance(pixels, labels)
            bar.update()
            if run.step % every == 0 or run.step in (last, recipe.constant_steps(count)):
                bar.set_postfix(loss=f"{loss.item():.3f}")
                run.save()
    run.snapshot("final")
    precision = "bfloat16" if autocast else "float32"
    about = {"recipe": asdict(recipe), "images": count, "start": run.start, "training_precision": precision}
    _save(about, folder / "recipe.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the embedded models.")
    parser.add_argument("names", nargs="*", default=[*ARCHITECTURES, *CONTROLS], help="networks; all unless named")
    parser.add_argument("--epochs", type=float, default=Recipe.epochs)
    parser.add_argument("--longer", action="store_true", help="start a further cycle from the weights that ship")
    parser.add_argument("--work", type=Path, default=zoo_work(), help="folder of the checkpoints")
    parser.add_argument("--threads", type=int, default=1, help="threads of a training on a processor")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--autocast",
        action=argparse.BooleanOptionalAction,
        help="bfloat16 in forward and backward passes; on with CUDA unless told (a processor that has instructions "
        "for it is faster with it as well, but for depthwise convolutions)",
    )
    options = parser.parse_args()
    device = torch.device(options.device)
    autocast = device.type == "cuda" if options.autocast is None else options.autocast
    if device.type == "cpu":
        torch.set_num_threads(options.threads)
        os.nice(10)
    for name in options.names:
        if name not in ARCHITECTURES and name not in CONTROLS:
            parser.error(f"there is no network {name}; there are {', '.join([*ARCHITECTURES, *CONTROLS])}.")
        before = card(name)["epochs"] if options.longer else 0
        if options.epochs <= before:
            parser.error(f"{name} ships with {before:g} epochs; a longer training needs more, not {options.epochs:g}.")
        own = RECIPE_B if name in CONTROLS else {}
        train(name, Recipe(epochs=options.epochs, before=before, **own), options.work, device, autocast=autocast)


if __name__ == "__main__":
    main()
