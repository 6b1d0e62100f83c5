"""`python -m benchmarks`: measure engines, and write `benchmarks/results/<engine>-<device>.json`."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

import torch

from vitgeom_nb.benchmark_records import ENGINES as CONTESTS
from vitgeom_nb.benchmark_records import GROWTH

from .harness import contest, measure_peak, write
from .networks import SMALL, network, of_size, pictures

ENGINES = (*CONTESTS, GROWTH)
RESULTS = Path(__file__).with_name("results")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure each engine against peers and a floor.")
    parser.add_argument("engines", nargs="*", default=[], help=f"of {', '.join(ENGINES)}; all unless named")
    parser.add_argument("--size", choices=("small", "large", "all"), default="small", help="networks to measure")
    parser.add_argument("--networks", nargs="*", help="networks by name instead of by size")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=5, help="rounds that count")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--peak", nargs=3, metavar=("ENGINE", "NETWORK", "CONTENDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    device = torch.device(options.device)
    if unknown := set(options.engines) - set(ENGINES):
        parser.error(f"there is no engine {', '.join(sorted(unknown))}; there are {', '.join(ENGINES)}")
    if options.peak:
        engine, name, wanted = options.peak
        model = network(name, device)
        with torch.no_grad():
            model.embed(pictures(model, 1))
        (contender,) = [c for c in import_module(f"benchmarks.{engine}").contenders(model) if c.name == wanted]
        print(measure_peak(contender, device))
        return
    for engine in options.engines or ENGINES:
        module = import_module(f"benchmarks.{engine}")
        if engine == "growth":
            write(module.records(device, options.repeats), options.out / f"growth-{device.type}.json", device)
            continue
        for name in options.networks or getattr(module, "networks", of_size)(options.size):
            model = network(name, device)
            settings = module.settings(model) | ({"weights": model.digest} if name in SMALL else {})
            records = contest(engine, name, module.contenders(model), device, options.repeats, **settings)
            write(records, options.out / f"{engine}-{device.type}.json", device)
        network.cache_clear()


if __name__ == "__main__":
    main()
