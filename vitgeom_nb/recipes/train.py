"""Train the embedded models: one recipe for four architectures, resumable, on one GPU or a few CPU cores.

The learning rate warms up, stays constant, and falls to zero over the last quarter of the epochs. Before that
last quarter images are shown at 32 or 48 pixels, drawn per batch; in it, at 64. A finished run can be made longer:
it goes on from the end of its constant phase where its checkpoint is at hand, and with `--longer` from the weights
that ship, as a second cycle of the same shape. Everything random follows from the seed and the step alone.

    python -m vitgeom_nb.zoo.train --epochs 100            # all four
    python -m vitgeom_nb.zoo.train vit --epochs 24 --work runs
    python -m vitgeom_nb.zoo.train vit --epochs 40 --longer  # the shipped weights had fewer
"""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from ..data import decoded
from ..errors import ArgumentError
from ..progress import tqdm
from . import card, weights
from .architectures import ARCHITECTURES, MEAN, SIZE, STD, untrained

DATA = "tiny-imagenet"


@dataclass(frozen=True)
class Recipe:
    """What every network is trained with; only `epochs` differs between a long and a short run.

    `before` counts the epochs behind the weights that it starts from, `epochs` those and its own.
    """

    epochs: float = 100
    before: float = 0
    batch: int = 128
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    warmup_steps: int = 500
    cooldown: float = 0.25
    label_smoothing: float = 0.1
    gradient_clip: float = 1.0
    crop_area: tuple[float, float] = (0.5, 1.0)
    constant_sizes: tuple[int, ...] = (32, 48)
    seed: int = 0

    def steps(self, images: int) -> int:
        return int(self.epochs * images / self.batch)

    def first(self, images: int) -> int:
        """The step at which this cycle starts."""
        return int(self.before * images / self.batch)

    def constant_steps(self, images: int) -> int:
        first = self.first(images)
        return first + int((self.steps(images) - first) * (1 - self.cooldown))

    def rate(self, step: int, images: int) -> float:
        """Learning rate at a step: linear warm-up, constant, linear to zero."""
        first, flat, last = self.first(images), self.constant_steps(images), self.steps(images)
        up, down = (step + 1 - first) / self.warmup_steps, (last - step) / max(1, last - flat)
        return self.learning_rate * min(1.0, up, down)


def default_work() -> Path:
    """Where checkpoints are kept between runs: `VITGEOM_ZOO_WORK`, or a folder in the user's cache."""
    return Path(os.environ.get("VITGEOM_ZOO_WORK", "~/.cache/vitgeom/zoo")).expanduser()


def snapshot_epochs(epochs: float) -> list[int]:
    """Epochs after which the weights are kept for the chapter on training: 1, 2, 4, 8, ..."""
    return [2**k for k in range(math.ceil(math.log2(max(2, epochs))) + 1) if 2**k < epochs]


def augment(pixels: torch.Tensor, size: int, recipe: Recipe, generator: torch.Generator) -> torch.Tensor:
    """Random square crop of `crop_area` and random mirror image, resampled to `size`; uint8 -> [0,1] floats."""
    count, low, high = len(pixels), *recipe.crop_area
    draw = torch.rand(4, count, generator=generator)
    side = (low + (high - low) * draw[0]).sqrt()
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = torch.where(draw[1] < 0.5, -side, side)
    theta[:, 1, 1] = side
    theta[:, :, 2] = (2 * draw[2:].T - 1) * (1 - side)[:, None]
    images = pixels.float() / 255
    grid = F.affine_grid(theta.to(pixels.device), list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    if size != images.shape[-1]:
        images = F.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return images.clamp(0, 1)


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
        self.module = untrained(name, recipe.seed)
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
        images = augment(pixels[chosen].to(self.device), size, recipe, generator)
        mean, std = (torch.tensor(v, device=self.device).view(1, 3, 1, 1) for v in (MEAN, STD))
        images = ((images - mean) / std).contiguous(memory_format=torch.channels_last)
        return images, labels[chosen].to(self.device)

    def advance(self, pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """One optimiser step; returns the loss."""
        recipe = self.recipe
        images, targets = self.batch(pixels, labels)
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.rate(self.step, len(pixels))
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
    with tqdm(total=last, initial=run.step, desc=name, mininterval=10) as bar:
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
    parser.add_argument("names", nargs="*", default=list(ARCHITECTURES), help="networks; all four unless named")
    parser.add_argument("--epochs", type=float, default=Recipe.epochs)
    parser.add_argument("--longer", action="store_true", help="start a further cycle from the weights that ship")
    parser.add_argument("--work", type=Path, default=default_work(), help="folder of the checkpoints")
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
    for name in options.names:
        before = card(name)["epochs"] if options.longer else 0
        if options.epochs <= before:
            parser.error(f"{name} ships with {before:g} epochs; a longer training needs more, not {options.epochs:g}.")
        train(name, Recipe(epochs=options.epochs, before=before), options.work, device, autocast=autocast)


if __name__ == "__main__":
    main()
