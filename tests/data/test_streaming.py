"""Images are decoded when asked for, a little ahead, by any number of workers, without the damaged ones."""

from __future__ import annotations

import logging
import pickle
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image, ImageOps

import vitgeom_nb as vg
from vitgeom_nb.core.images import Images, to_bytes
from vitgeom_nb.data import decoding, labelled, streaming
from vitgeom_nb.data import parquet_files as shards
from vitgeom_nb.data import tar_files as archives
from vitgeom_nb.errors import ArgumentError, DataError
from vitgeom_nb.networks.wrapping import call

from ..tiny_data import SIZE, batch, data, encoded, no_hub, put, shard, tar  # noqa: F401

COUNT = 23
PICTURES = [encoded(i, "PNG" if i % 3 else "JPEG") for i in range(COUNT)]
NAMES = [f"{i:02d}.{'png' if i % 3 else 'jpg'}" for i in range(COUNT)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of images: those before 10, and the others."""
    put(tmp_path, {f"{'ab'[i >= 10]}/{NAMES[i]}": PICTURES[i] for i in range(COUNT)})
    return tmp_path


@pytest.fixture
def damaged(folder: Path) -> tuple[Path, list[int]]:
    """The folder with images that are cut, empty, or none at all, and the positions of the others."""
    put(folder, {"a/03.jpg": PICTURES[3][:-200], "a/04.png": "not an image", "b/10.png": PICTURES[10][:60]})
    put(folder, {"b/21.jpg": b"", "b/22.png": PICTURES[22][:-40]})
    return folder, [i for i in range(COUNT) if i not in (3, 4, 10, 21, 22)]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What has been decoded so far."""
    seen: list[object] = []
    real = decoding.decode
    monkeypatch.setattr(decoding, "decode", lambda stored: seen.append(stored) or real(stored))
    return seen


def joined(batches: list[Images]) -> tuple[torch.Tensor, list[str], list[int], set[str]]:
    return (
        torch.cat([b.pixels for b in batches]),
        [name for b in batches for name in b.names],
        torch.cat([b.labels for b in batches]).tolist(),
        {name for b in batches for name in b.skipped},
    )


def test_nothing_is_decoded_before_it_is_asked_for(folder: Path, decoded: list[object]) -> None:
    images = vg.labelled(folder, size=SIZE)
    assert len(images) == len(images.names) == COUNT
    assert images.labels.tolist() == [0] * 10 + [1] * 13
    assert f"{COUNT} x (3, {SIZE}, {SIZE})" in repr(images)
    stream = images.batches(4)
    assert decoded == []
    assert torch.equal(images[5].pixels, batch(PICTURES[5:6]))
    assert [path.name for path in decoded] == [NAMES[5]]
    next(stream)
    assert torch.equal(images.pixels, batch(PICTURES))
    seen = len(decoded)
    assert images.pixels is images.pixels
    assert len(decoded) == seen


def test_only_a_few_batches_are_decoded_ahead(folder: Path, decoded: list[object]) -> None:
    images = vg.labelled(folder, size=SIZE)
    for k, _ in enumerate(images.batches(2, workers=2)):
        time.sleep(0.01)
        # the batch in hand, the one that waits until the next is known not to be empty, and those ahead
        assert len(decoded) <= 2 * (k + 1 + 1 + decoding.PREFETCHED)
    assert len(decoded) == COUNT


def test_leaving_a_stream_stops_its_workers(folder: Path) -> None:
    before = threading.active_count()
    stream = vg.labelled(folder, size=SIZE).batches(2, workers=3)
    next(stream)
    assert threading.active_count() > before
    stream.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_batches_are_the_same_images_whatever_their_size(damaged, size: int, workers: int) -> None:
    folder, whole = damaged
    batches = list(vg.labelled(folder, size=SIZE).batches(size, workers))
    pixels, names, labels, skipped = joined(batches)
    assert torch.equal(pixels, batch([PICTURES[i] for i in whole]))
    assert [name[2:] for name in names] == [NAMES[i] for i in whole]
    assert labels == [int(i >= 10) for i in whole]
    assert skipped == {"a/03.jpg", "a/04.png", "b/10.png", "b/21.jpg", "b/22.png"}
    assert sum(len(b) + len(b.skipped) for b in batches) == COUNT
    assert all(len(b) for b in batches)
    if size == 7:
        assert [name[2:] for name in batches[1].names] == [NAMES[i] for i in range(7, 14) if i in whole]


def test_damaged_images_are_left_out_counted_and_named(damaged, caplog: pytest.LogCaptureFixture) -> None:
    folder, whole = damaged
    images = vg.labelled(folder, size=SIZE)
    with caplog.at_level(logging.WARNING, "vitgeom_nb"):
        some = images[2:6]
    assert caplog.messages == [
        "2 of 4 images cannot be decoded and are left out "
        "(a/03.jpg: image file is truncated (" + caplog.messages[0].split("truncated (")[1]
    ]
    assert [name[2:] for name in some.names] == [NAMES[2], NAMES[5]]
    assert some.skipped == ("a/03.jpg", "a/04.png")
    assert some[:1].skipped == some.skipped
    assert some.labels.tolist() == [0, 0]
    caplog.clear()
    assert len(images[:]) == len(whole)
    list(images.batches(5))
    assert [message[:60] for message in caplog.messages] == [caplog.messages[0][:60]] * 2
    assert caplog.messages[0].startswith("5 of 23 images")
    with pytest.raises(
        DataError, match=r"^5 of 23 images cannot be decoded \(a/03\.jpg, a/04\.png, b/10\.png, \.\.\.\); "
    ):
        _ = images.pixels
    assert "not an image of a kind that Pillow knows" in (images[4], caplog.messages[-1])[1]
    assert images[4].pixels.shape == (0, 3, SIZE, SIZE)
    assert images[[4]].skipped == ("a/04.png",)


def test_a_folder_of_nothing_but_damage(tmp_path: Path) -> None:
    put(tmp_path, {"a.png": "", "b.png": PICTURES[1][:50]})
    images = vg.labelled(tmp_path, size=SIZE)
    with pytest.raises(DataError, match=r"None of the 2 images can be decoded \(a\.png: "):
        list(images.batches())
    assert images[:].skipped == ("a.png", "b.png")


def test_a_missing_image_in_a_shard_is_damage(data: Path) -> None:  # noqa: F811
    put(data, {"cifar10/plain_text/test-0.parquet": shard([PICTURES[0], None, PICTURES[2][:70]], [1, 2, 3], "img")})
    images = vg.labelled("cifar10", "test", size=SIZE)
    assert images[:].labels.tolist() == [1]
    assert images[:].skipped == ("cifar10 test 1", "cifar10 test 2")
    pixels, labels = labelled.decoded("cifar10", "test", size=SIZE)
    assert labels.tolist() == [1]
    assert torch.equal(pixels.float() / 255, batch(PICTURES[:1]))


@pytest.mark.parametrize(
    "index",
    [3, -1, slice(4, 9), slice(None, None, -3), [5, 1, 5], torch.tensor([2, 22]), np.array([7, 0]), np.int64(4), []],
    ids=str,
)
def test_images_are_chosen_as_from_a_sequence(folder: Path, index: object) -> None:
    images = vg.labelled(folder, size=SIZE)
    wanted = np.atleast_1d(np.arange(COUNT)[np.asarray(index, int) if isinstance(index, list) else index]).tolist()
    chosen = images[index]
    assert [name[2:] for name in chosen.names] == [NAMES[i] for i in wanted]
    assert chosen.labels.tolist() == [int(i >= 10) for i in wanted]
    expected = batch([PICTURES[i] for i in wanted]) if wanted else torch.empty(0, 3, SIZE, SIZE)
    assert torch.equal(chosen.pixels, expected)
    assert chosen.class_names == ["a", "b"]
    with pytest.raises(IndexError):
        images[COUNT]


def test_a_seed_draws_a_subset_that_repeats(folder: Path) -> None:
    state = torch.random.get_rng_state()
    first = vg.labelled(folder, n=9, size=SIZE, seed=3)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(17)
    again = vg.labelled(folder, n=9, size=SIZE, seed=3)
    torch.random.set_rng_state(state)
    assert first.names == again.names
    assert torch.equal(first.pixels, again.pixels)
    assert torch.equal(first.labels, again.labels)
    assert len(set(first.names)) == 9
    assert set(first.labels.tolist()) == {0, 1}
    assert first.names != vg.labelled(folder, n=9, seed=4).names
    assert first.names == vg.labelled(folder, n=20, seed=3).names[:9]
    assert first.labels.tolist() == [name.startswith("b") for name in first.names]
    assert sorted(vg.labelled(folder, seed=3).names) == vg.labelled(folder).names
    assert vg.labelled(folder, n=9).names == vg.labelled(folder).names[:9]
    assert len(vg.labelled(folder, n=99, seed=0)) == COUNT


def test_a_transform_of_ones_own(folder: Path) -> None:
    def grey(image: Image.Image) -> torch.Tensor:
        assert image.mode == "RGB"
        return torch.full((3, 2, 5), image.width / 100, dtype=torch.float64)

    images = vg.labelled(folder, transform=grey)
    widths = torch.tensor([to_width(content) for content in PICTURES]) / 100
    assert images.pixels.dtype == torch.float32
    assert torch.equal(images.pixels, widths.float()[:, None, None, None].expand(-1, 3, 2, 5))
    assert torch.equal(torch.cat([b.pixels for b in images.batches(4)]), images.pixels)
    bytes_of = vg.labelled(folder, transform=lambda image: to_bytes(ImageOps.mirror(image), SIZE))
    assert torch.equal(bytes_of[1].pixels, batch(PICTURES[1:2]).flip(3))
    assert "own transform" in repr(images)


def to_width(content: bytes) -> int:
    return decoding.decode(content).width


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (lambda image: image, r"not JpegImageFile as for a/00\.jpg"),
        (lambda image: torch.zeros(4, 4), r"not \(4, 4\)"),
        (lambda image: torch.zeros(3, 4, 4, dtype=torch.int32), "not torch.int32"),
        (lambda image: torch.zeros(3, image.height, image.width), "all images one size"),
    ],
)
def test_a_transform_that_does_not_fit_is_one_sentence(folder: Path, transform, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        list(vg.labelled(folder, transform=transform).batches())


def test_what_a_transform_raises_is_not_damage(folder: Path) -> None:
    def broken(image: Image.Image) -> torch.Tensor:
        raise OSError("mine")

    before = threading.active_count()
    with pytest.raises(OSError, match="mine"):
        vg.labelled(folder, transform=broken)[:]
    assert threading.active_count() == before


def test_pictures_need_not_be_square(folder: Path) -> None:
    oblong = vg.labelled(folder, n=3, size=(6, 10))
    assert repr(oblong).startswith("LabelledImages(3 x (3, 6, 10)")
    assert oblong.pixels.shape == (3, 3, 6, 10)
    wide = vg.labelled(folder, n=3, size=10)  # the pictures are square: rows are cropped
    assert torch.equal(oblong.pixels, wide.pixels[:, :, 2:8])


def test_bad_requests_are_one_sentence(folder: Path) -> None:
    images = vg.labelled(folder)
    with pytest.raises(ArgumentError, match="size is 0"):
        images.batches(0)
    with pytest.raises(ArgumentError, match="workers is 0"):
        images.batches(workers=0)
    with pytest.raises(ArgumentError, match="at least one pixel"):
        vg.labelled(folder, size=0)
    with pytest.raises(ArgumentError, match="size and transform both decide"):
        vg.labelled(folder, size=8, transform=lambda image: image)
    with pytest.raises(ArgumentError, match="at least one image"):
        vg.labelled(folder, n=0)


def test_more_pixels_than_memory_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, decoded) -> None:
    images = vg.labelled(folder, size=SIZE)
    need = COUNT * 3 * SIZE * SIZE * 4
    monkeypatch.setattr(streaming, "GATHERED", 2)
    monkeypatch.setattr(streaming, "free_memory", lambda device: 2 * need - 1)
    with pytest.raises(ArgumentError, match=r"23 images of .* use batches\(\), or ask for fewer with n="):
        _ = images.pixels
    assert len(decoded) < COUNT / 2
    with pytest.raises(ArgumentError, match="more than half"):
        images[:]
    assert len(images[:22]) == 22
    assert len(list(images.batches(8))) == 3
    monkeypatch.setattr(streaming, "free_memory", lambda device: 2 * need)
    assert len(images[:]) == COUNT


def test_palettes_alpha_and_grey_are_rgb_without_warnings(tmp_path: Path) -> None:
    palette = Image.new("P", (SIZE, SIZE))
    palette.putpalette([7, 80, 200] * 256)
    palette.save(tmp_path / "p.png", transparency=bytes([0] * 128 + [255] * 128))
    Image.new("LA", (SIZE, SIZE), (90, 0)).save(tmp_path / "la.png")
    Image.new("CMYK", (SIZE, SIZE), (0, 0, 0, 0)).save(tmp_path / "cmyk.jpg")
    images = vg.labelled(tmp_path, size=SIZE)
    assert images.names == ["cmyk.jpg", "la.png", "p.png"]
    colours = (images.pixels[:, :, 0, 0] * 255).round().int().tolist()
    assert colours == [[255, 255, 255], [90, 90, 90], [7, 80, 200]]


@pytest.mark.parametrize("action", ["error", "ignore"])
def test_a_whole_image_beside_damaged_metadata_is_whole(tmp_path: Path, action: str) -> None:
    content = encoded(0)
    end = 4 + int.from_bytes(content[4:6], "big")  # of the JFIF header, whose place this takes
    segment = b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01"
    broken = content[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + content[end:]
    put(tmp_path, {"a.jpg": broken})
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        images = vg.labelled(tmp_path, size=SIZE)[:]
    assert images.skipped == ()
    assert torch.equal(images.pixels, batch([content]))


def numbers(images) -> list[int]:
    return [int(name.split()[-1]) for name in images.names]


def test_row_groups_are_read_once_and_few_are_held(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    files = {
        f"cifar10/plain_text/test-{k:05d}-of-00002.parquet": shard(
            PICTURES[12 * k : 12 * k + 12],
            [i % 10 for i in range(12 * k, min(12 * k + 12, COUNT))],
            "img",
            row_group_size=5,
        )
        for k in range(2)
    }
    put(data, files)
    reads: list[int] = []
    real = pq.ParquetFile.read_row_group
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda self, i, **o: reads.append(i) or real(self, i, **o))
    images = vg.labelled("cifar10", "test", size=SIZE)
    assert reads == []
    monkeypatch.setattr(shards, "HELD_BYTES", 0)
    assert torch.equal(torch.cat([b.pixels for b in images.batches(3)]), batch(PICTURES))
    assert reads == [0, 1, 2, 0, 1, 2]
    reads.clear()
    some = images[[22, 1, 11, 0]]
    assert (numbers(some), some.labels.tolist()) == ([22, 1, 11, 0], [2, 1, 1, 0])
    assert reads == [0, 2, 2]
    reads.clear()
    monkeypatch.setattr(shards, "HELD_BYTES", 1 << 20)
    mixed = vg.labelled("cifar10", "test", size=SIZE, seed=1)
    assert sorted(numbers(mixed)) == list(range(COUNT))
    assert torch.equal(torch.cat([b.pixels for b in mixed.batches(4)]), batch([PICTURES[i] for i in numbers(mixed)]))
    assert len(reads) == 6


def test_an_archive_is_read_through_its_index(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    path = data / "imagenet" / "ILSVRC2012_img_train.tar"
    put(data, {"imagenet/ILSVRC2012_img_train.tar": tar({"n01440764.tar": tar({"n01440764_1.JPEG": PICTURES[0]})})})
    assert len(vg.labelled("imagenet", "train")) == 1
    opened: list[object] = []
    real = archives.tarfile.open
    monkeypatch.setattr(archives.tarfile, "open", lambda *a, **o: opened.append(a) or real(*a, **o))
    images = vg.labelled("imagenet", "train", size=SIZE)
    assert torch.equal(images.pixels, batch(PICTURES[:1]))
    assert opened == []
    two = {f"n01440764_{i}.JPEG": PICTURES[i] for i in (1, 2)}
    path.write_bytes(tar({"n01440764.tar": tar(two)}))
    assert len(vg.labelled("imagenet", "train")) == 2


def test_images_to_come_can_be_sent_to_another_process(folder: Path, data: Path) -> None:  # noqa: F811
    put(data, {"cifar10/plain_text/test-0.parquet": shard(PICTURES[:2], [0, 1], "img")})
    for images in (vg.labelled(folder / "a", size=SIZE), vg.labelled("cifar10", "test", size=SIZE)):
        assert torch.equal(pickle.loads(pickle.dumps(images)).pixels, images.pixels)


def test_measurements_take_them_as_they_take_images(folder: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIZE**2, 2))
    model = vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=SIZE, embed=call, logits=call)
    images = vg.labelled(folder, n=6, size=SIZE)
    assert torch.equal(model.labels(images), model.labels(images[:]))
    assert vg.travel_distance(model, images, epsilon_max=0.1).equals(
        vg.travel_distance(model, images[:], epsilon_max=0.1)
    )
