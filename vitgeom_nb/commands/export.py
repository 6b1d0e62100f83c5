"""vitgeom-nb export: a network and its derivatives as ONNX graphs."""

from __future__ import annotations

import argparse
from pathlib import Path

import vitgeom_nb as vg


def add_to(commands: argparse._SubParsersAction) -> None:
    """Give the command line this command."""
    graphs = commands.add_parser("export", help="write a network and its derivatives as ONNX graphs")
    graphs.add_argument("model", metavar="MODEL", help="name or address of a network, as load() takes it")
    graphs.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder to write to")
    graphs.add_argument("--device", help="cpu or cuda (default: what VITGEOM_DEVICE says, else cpu)")
    graphs.set_defaults(command=export)


def export(options: argparse.Namespace) -> int:
    """Write a network and its derivatives as ONNX graphs, and print the files."""
    folder = vg.export_onnx(vg.load(options.model, device=options.device), options.out)
    for path in (folder / name for name in ("forward.onnx", "pull.onnx", "push.onnx", "weights.bin", "model.json")):
        print(f"{path} {path.stat().st_size:,} bytes", flush=True)
    return 0
