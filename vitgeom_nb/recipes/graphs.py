"""Export the graphs of embedded architectures anew, for the page that computes with them; no weights are needed.

python -m vitgeom_nb.recipes.graphs [NAME ...]
"""

from __future__ import annotations

import argparse

import torch

from ..core.random_directions import generator
from ..core.whole_files import write_whole
from ..in_page.export import exported
from ..in_page.kept import Kept, inputs_digest, kept_file, packed
from ..networks.embedded.architectures import ARCHITECTURES, MEAN, SIZE, STD
from ..networks.vision_model import VisionModel
from ..networks.wrapping import call, timm_embed


def stand_in(name: str) -> VisionModel:
    """An embedded architecture with weights that no two tensors share: where one goes into a graph is then certain."""
    module, draw = ARCHITECTURES[name](), generator(0)
    state = module.state_dict()
    for tensor in state.values():
        if tensor.is_floating_point():
            tensor.copy_(0.5 + 0.1 * torch.rand(tensor.shape, generator=draw))
    module.load_state_dict(state)
    fixed = {"size": SIZE, "mean": MEAN, "std": STD, "embed": timm_embed, "logits": call}
    return VisionModel(module, name=name, family="custom", **fixed)  # type: ignore[arg-type]


def graphs_of(name: str) -> Kept:
    """The graphs of an embedded architecture, exported now."""
    model = stand_in(name)
    graphs, weights, own = exported(model)
    return Kept(graphs, weights[own:], inputs_digest(model))


def main(arguments: list[str] | None = None) -> None:
    """Write the graphs of the architectures named, of all unless told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(ARCHITECTURES), metavar="NAME")
    for name in parser.parse_args(arguments).names:
        path = kept_file(name)
        path.parent.mkdir(exist_ok=True)
        write_whole(path, packed(graphs_of(name)))
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
