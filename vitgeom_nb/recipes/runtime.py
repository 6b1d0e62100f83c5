"""Make the script that brings ONNX Runtime Web to a page from its unpacked npm package.

python -m vitgeom_nb.recipes.runtime PACKAGE/dist --into book/_assets/onnxruntime-web
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from ..core.whole_files import write_whole
from ..in_page.packing import as_script, squeezed

PARTS = {"module": "ort.wasm.bundle.min.mjs", "wasm": "ort-wasm-simd-threaded.wasm"}


def main(arguments: list[str] | None = None) -> None:
    """Write the script, and print the digests that belong into the README beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("--into", type=Path, required=True)
    options = parser.parse_args(arguments)
    data = {part: (options.package / name).read_bytes() for part, name in PARTS.items()}
    write_whole(options.into / "runtime.js", as_script("runtime", {part: squeezed(raw) for part, raw in data.items()}))
    for part, name in PARTS.items():
        print(f"{hashlib.sha256(data[part]).hexdigest()}  {name}")


if __name__ == "__main__":
    main()
