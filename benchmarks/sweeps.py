"""`python -m benchmarks.sweeps`: how a sweep scales with workers, and what its engine costs beside the measurement."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import vitgeom_nb as vg
from vitgeom_nb.sweeps.image_by_image import predictions

from .harness import hardware

FILE = Path(__file__).resolve()
RESULTS = FILE.with_name("results") / "sweeps"
LARGE = 32  # images at ViT-B size


def vit_b() -> vg.VisionModel:
    """ViT-B/16 at 224 pixels with random weights: the time of a pass does not depend on them."""
    import timm

    torch.manual_seed(0)
    net = timm.create_model("vit_base_patch16_224", pretrained=False)
    return vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=224, name="vit-b16, random weights")


def pictures() -> vg.Images:
    """Random pictures of 224 pixels."""
    pixels = torch.rand(LARGE, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(LARGE, dtype=torch.int64)
    return vg.Images(pixels, [str(i) for i in range(LARGE)], "drawn", "none", labels)


def scaling(rounds: int, images: int) -> dict[str, Any]:
    """Seconds a shard with one worker and with two, in turn; each worker has one thread."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for workers, times in seconds.items():
            with tempfile.TemporaryDirectory() as out:
                done = vg.sweep(
                    ["vit"], data="tiny-imagenet:valid", measures=["travel_distance:grid=200"], out=out, n=images,
                    block=4, workers=workers,
                )  # fmt: skip
                assert done.complete, str(done)
                times.append(a_shard(Path(out)))
    ratios = sorted(one / two for one, two in zip(*seconds.values(), strict=True))
    return {"seconds": {str(k): v for k, v in seconds.items()}, "ratios": ratios, "median": ratios[len(ratios) // 2]}


def a_shard(out: Path) -> float:
    """Seconds a shard takes in the second half of a run, when all workers have been up for long."""
    times = sorted(path.stat().st_mtime for path in out.glob("networks/*/*/*.nc"))
    later = times[len(times) // 2 :]
    return (later[-1] - later[0]) / (len(later) - 1)


def overhead(rounds: int) -> dict[str, Any]:
    """What a sweep in process takes beyond the bare calls, in turn, with the network loaded."""
    model, images = vit_b(), pictures()
    bare, swept = [], []
    for _ in range(rounds + 1):
        start = time.process_time()
        for first in range(0, LARGE, 32):
            predictions(model, images[list(range(first, first + 32))])
        bare.append(time.process_time() - start)
        with tempfile.TemporaryDirectory() as out:
            start = time.process_time()
            done = vg.sweep([model], data=images, measures=["predictions"], out=out, block=32)
            swept.append(time.process_time() - start)
            assert done.complete, str(done)
    shares = sorted(b / a - 1 for a, b in zip(bare[1:], swept[1:], strict=True))  # the first round does not count
    return {
        "network": model.name, "images": LARGE, "bare_seconds": bare[1:], "sweep_seconds": swept[1:],
        "clock": "processor time", "shares": shares, "median": shares[len(shares) // 2],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.sweeps", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=64, help="of the scaling with workers")
    parser.add_argument("--only", choices=("scaling", "overhead"))
    parser.add_argument("--out", type=Path, default=RESULTS / "scaling-cpu.json")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    found = json.loads(options.out.read_text()) if options.out.exists() else {}
    found |= {"hardware": hardware(torch.device("cpu")), "load": os.getloadavg()}
    if options.only != "scaling":
        found["overhead"] = overhead(options.rounds)
    if options.only != "overhead":
        found["scaling"] = scaling(options.rounds, options.images)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
