"""Data sets in miniature, in the layouts of their publishers, and the hub replaced by a folder or by nothing."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from vitgeom_nb.core.images import to_bytes
from vitgeom_nb.errors import HubError
from vitgeom_nb.hub import transfer as hub

SIZE = 8
WNIDS = ("n01440764", "n01443537", "n01484850", "n15075141")  # labels 0, 1, 2 and 999


def encoded(seed: int, kind: str = "JPEG") -> bytes:
    """A picture of 12 to 20 pixels a side."""
    draw = np.random.default_rng(seed)
    height, width = draw.integers(12, 21, 2)
    buffer = io.BytesIO()
    Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def pixels(content: bytes, size: int = SIZE) -> torch.Tensor:
    """What `labelled` must make of an encoded picture."""
    return to_bytes(Image.open(io.BytesIO(content)), size).float() / 255


def batch(contents: Sequence[bytes], size: int = SIZE) -> torch.Tensor:
    return torch.stack([pixels(content, size) for content in contents])


def put(root: Path, files: Mapping[str, bytes | str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def table(rows: Sequence[Sequence[object]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


def shard(
    contents: Sequence[bytes | None], labels: Sequence[int], column: str = "image", names: Sequence[str] = (), **options
) -> bytes:
    """A parquet file as the hub's library writes it; `names` go into its schema."""
    rows = [{"bytes": content, "path": None} for content in contents]
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    data = pa.table({column: pa.array(rows, struct), "label": pa.array(labels, pa.int64())})
    if names:
        features = {column: {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
        data = data.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    buffer = io.BytesIO()
    pq.write_table(data, buffer, **options)
    return buffer.getvalue()


@pytest.fixture
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that cannot be reached, and an empty cache."""
    from huggingface_hub import constants

    def refuse(*_: object, **__: object) -> None:
        raise HubError("The hub cannot be reached; check the network.")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "no-cache"))
    monkeypatch.setattr(hub, "listing", refuse)
    monkeypatch.setattr(hub, "fetch", refuse)


@pytest.fixture
def data(tmp_path: Path, no_hub: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that `VITGEOM_DATA` names."""
    root = tmp_path / "data"
    root.mkdir()
    monkeypatch.setenv("VITGEOM_DATA", str(root))
    return root
