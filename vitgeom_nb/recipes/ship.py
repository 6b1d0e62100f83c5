"""Turn finished trainings into the files the package ships: weights, cards, recorded predictions, history.

python -m vitgeom_nb.recipes.ship --work runs --into vitgeom_nb/networks/embedded
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from ..bending.direction_change import direction_change
from ..calibration.reliability import reliability
from ..core.hardware import processor
from ..core.images import Images
from ..core.progress import tqdm
from ..core.whole_files import write_whole
from ..data.labelled import labelled
from ..data.registry import KNOWN, class_names
from ..data.samples import samples
from ..errors import ArgumentError
from ..networks.embedded import CONTROLS, FAMILIES, architecture, zoo_file
from ..networks.embedded import card as shipped
from ..networks.embedded.architectures import ARCHITECTURES, SIZE, untrained
from ..networks.loading import embedded
from ..networks.vision_model import VisionModel
from ..settings import zoo_work
from .train import DATA

# relative change of embeddings that half precision may cause; what is measured is the network that ships, so rounded
HALF_TOLERANCE = 2e-3
# the step of the chapter on curvature, epsilon / steps = 1e-3, on a shorter way
HISTORY: dict[str, Any] = {"top1_images": 2000, "images": 10, "directions": 10, "steps": 10, "epsilon": 0.01, "seed": 0}


def halved(name: str, state: dict[str, torch.Tensor], images: Images) -> dict[str, torch.Tensor]:
    """The weights in half precision, if that moves no embedding by 2e-3 of its norm or more; else as they are."""
    half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    back = {k: v.float() if v.is_floating_point() else v for k, v in half.items()}
    with torch.no_grad():
        full, rounded = embedded(name, state).embed(images.pixels), embedded(name, back).embed(images.pixels)
    moved = float(((full - rounded).norm(dim=1) / full.norm(dim=1)).max())
    return half if moved < HALF_TOLERANCE else state


def history(name: str, folder: Path, images: Images) -> list[dict[str, Any]]:
    """Accuracy and median direction change of each trained snapshot that was kept, in order of epochs."""
    rows = []
    for path in folder.glob("weights-*.pt"):
        label = path.stem.removeprefix("weights-")
        if label in ("0", "final"):
            continue
        model = embedded(name, torch.load(path, weights_only=True))
        rows.append({"epoch": float(label), **_shape(model, images)})
    return sorted(rows, key=lambda row: row["epoch"])


def _shape(model: VisionModel, images: Images) -> dict[str, float]:
    right = (model.labels(images) == images.labels).double().mean()
    # unlike validation images, these ship with the package: a reader can measure the same again
    line = {key: HISTORY[key] for key in ("directions", "steps", "epsilon", "seed")}
    bend = direction_change(model, samples("imagenet", n=HISTORY["images"], size=SIZE), **line)
    first, median, third = np.nanquantile(np.degrees(bend["angle"].values), [0.25, 0.5, 0.75])
    return {
        "top1": float(right),
        "direction_change_median_deg": float(median),
        "direction_change_lower_quartile_deg": float(first),
        "direction_change_upper_quartile_deg": float(third),
    }


def _longest(work: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of the longest finished training of a network, the latest of equal ones, and what it says of it."""
    found = {path: torch.load(path, weights_only=True) for path in work.rglob("recipe.pt")}
    if not found:
        raise ArgumentError(f"There is no finished training in {work}; `python -m vitgeom_nb.recipes.train` makes one.")
    path = max(found, key=lambda path: (found[path]["recipe"]["epochs"], path.stat().st_mtime))
    return path.parent, found[path]


def ship(name: str, work: Path, into: Path, hardware: str) -> dict[str, Any]:
    """Write `<name>.safetensors`, `<name>.json` and `<name>.predictions.npz`; returns the card.

    Predictions of a control are part of the evidence, and do not ship beside it. A training that started from shipped
    weights takes over what their card says of the cycles before.
    """
    folder, run = _longest(work / name)
    recipe = run["recipe"]
    earlier = shipped(name) if recipe["before"] else {}
    if run["start"] != earlier.get("sha256"):
        raise ArgumentError(
            f"{folder} started from weights of {recipe['before']:g} epochs, which do not ship any more."
        )
    valid = labelled(DATA, "valid")
    assert valid.labels is not None
    state = torch.load(folder / "weights-final.pt", weights_only=True)
    state = {k: v.contiguous() for k, v in halved(name, state, valid[:256]).items()}
    model = embedded(name, {k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    logits, shown = model.logits_in_batches(model.pixels(valid)), HISTORY["top1_images"]
    # the untrained network is that of the seed, of this very architecture, whatever a cycle before began with
    start = embedded(name, untrained(name, recipe["seed"]).state_dict())
    rows = [{"epoch": 0.0, **_shape(start, valid[:shown])}, *earlier.get("history", [])[1:]]
    rows += [*history(name, folder, valid[:shown]), {"epoch": recipe["epochs"], **_shape(model, valid[:shown])}]
    scores = reliability(logits=logits.half().float(), labels=valid.labels)
    # nothing is written before everything is known: weights without their card do not load
    into.mkdir(parents=True, exist_ok=True)
    write_whole(into / f"{name}.safetensors", weights := save(state))
    if name not in CONTROLS:
        np.savez_compressed(into / f"{name}.predictions.npz", logits=logits.half().numpy(), labels=valid.labels.short())
    made = {
        "epochs": recipe["epochs"],
        "architecture": (ARCHITECTURES[architecture(name)].__doc__ or "").strip(),
        "training_precision": run["training_precision"],
        "hardware": hardware,
        "torch": str(torch.__version__),
        "date": datetime.date.today().isoformat(),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    card = {
        "name": name,
        "family": FAMILIES[architecture(name)],
        "parameters": sum(p.numel() for p in model.module.parameters()),
        "embedding_dim": model.dim,
        "input_size": SIZE,
        "data": "Tiny-ImageNet, 100,000 training images",
        "licence": f"weights as this package; data: {KNOWN[DATA].licence}",
        "seed": recipe["seed"],
        "recipe": recipe,
        "top1": float((logits.argmax(1) == valid.labels).double().mean()),
        "ece": float(scores["ece"]),
        "signed_ece": float(scores["sece"]),
        "precision": str(next(v.dtype for v in state.values() if v.is_floating_point())).removeprefix("torch."),
        **made,
        "cycles": [*earlier.get("cycles", []), made],
        "history": rows,
        "history_settings": HISTORY,
        "classes": class_names(DATA),
    }
    (into / f"{name}.json").write_text(json.dumps(card, indent=1) + "\n")
    return card


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the files of the embedded models from finished trainings.")
    parser.add_argument("names", nargs="*", default=[*ARCHITECTURES, *CONTROLS])
    parser.add_argument("--work", type=Path, default=zoo_work())
    parser.add_argument("--into", type=Path, help="folder; where `load` looks unless named")
    parser.add_argument(
        "--hardware", default=torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    )
    options = parser.parse_args()
    for name in tqdm(options.names, desc="ship"):
        into = options.into or zoo_file(f"{name}.json").parent
        card = ship(name, options.work, into, options.hardware)
        tqdm.write(f"{name}: top-1 {card['top1']:.1%}, ECE {card['ece']:.3f}, signed ECE {card['signed_ece']:+.3f}")


if __name__ == "__main__":
    main()
