"""Networks of the second recipe: where their files are, what is said where they are not, and what lists them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

import vitgeom_nb as vg
from vitgeom_nb.__main__ import main
from vitgeom_nb.claims import runs
from vitgeom_nb.claims.evidence import networks_of
from vitgeom_nb.core.measurement import Variable, measurement, save_measurement
from vitgeom_nb.errors import DataError, ModelError, WeightsError
from vitgeom_nb.networks import embedded as zoo
from vitgeom_nb.networks import loading, tables
from vitgeom_nb.networks.embedded.architectures import untrained
from vitgeom_nb.networks.untrained import untrained as before_training


@pytest.fixture
def controls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder where those of the controls are looked for."""
    real, folder = zoo.zoo_file, tmp_path / "controls"
    folder.mkdir()

    def file(name: str) -> Path:
        return folder / name if name.partition(".")[0] in zoo.CONTROLS else real(name)

    for module in (zoo, loading, tables, runs):
        monkeypatch.setattr(module, "zoo_file", file)
    zoo.card.cache_clear()
    yield folder
    zoo.card.cache_clear()


def trained(folder: Path, name: str = "convnext-b", weights: bool = True) -> str:
    """Write the files of a control, whose weights are those of another seed; returns their digest."""
    data = save(untrained(name, seed=3).state_dict())
    digest = hashlib.sha256(data).hexdigest()
    (folder / f"{name}.json").write_text(json.dumps(zoo.card(zoo.CONTROLS[name]) | {"name": name, "sha256": digest}))
    if weights:
        (folder / f"{name}.safetensors").write_bytes(data)
    return digest


def test_files_of_controls_lie_beside_those_that_ship() -> None:
    assert zoo.zoo_file("vit-b.json").parent.name == "controls"
    assert zoo.zoo_file("vit.json").parent.name == "embedded"
    assert zoo.zoo_file("vit-b.json").parents[1] == zoo.zoo_file("vit.json").parents[1]


def test_a_control_that_nobody_trained_is_one_sentence(controls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        WeightsError, match=r"'vit-b' is not in this installation: `make zoo` trains it, .*recipes.train vit-b`"
    ):
        vg.load("vit-b")
    assert vg.models("controls").empty
    assert main(["models", "--tier", "controls"]) == 0
    assert capsys.readouterr().out == "None of the tier controls is here; `make zoo` trains the controls, in hours.\n"
    assert networks_of("controls") == []
    with pytest.raises(ModelError, match="did you mean 'vit-b'"):
        vg.load("vit-bb")


def test_a_card_without_weights_says_where_these_are(controls: Path) -> None:
    trained(controls, weights=False)
    with pytest.raises(WeightsError, match=r"come with a working copy of the repository and not with the package"):
        vg.load("convnext-b")


def test_a_trained_control_is_a_network_like_the_others(controls: Path) -> None:
    digest = trained(controls)
    model = vg.load("convnext-b")
    assert (model.name, model.family, model.dim, model.digest) == ("convnext-b", "CNN", 256, digest)
    assert model.source["repository"] == "vitgeom_nb/networks/controls"
    module = untrained("convnext-b", seed=3).eval()
    images = vg.samples("photographs", n=2, size=64)
    with torch.no_grad():
        want = module((images.pixels - torch.tensor(zoo.MEAN).view(3, 1, 1)) / torch.tensor(zoo.STD).view(3, 1, 1))
    torch.testing.assert_close(model.logits_in_batches(images.pixels), want, rtol=1e-4, atol=1e-5)
    assert before_training(model, seed=0).digest == before_training(vg.load("convnext"), seed=0).digest
    table = vg.models("controls")
    assert table[["family", "tier"]].to_dict("index") == {"convnext-b": {"family": "CNN", "tier": "controls"}}
    assert "convnext-b" not in vg.models().index
    assert networks_of("controls") == ["convnext-b"]
    assert len(vg.training_history("convnext-b").epoch) == len(vg.training_history("convnext").epoch)


def test_damaged_weights_of_a_control_are_refused(controls: Path) -> None:
    trained(controls)
    with (controls / "convnext-b.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(WeightsError, match="damaged"):
        vg.load("convnext-b")


def test_what_is_recorded_of_controls_is_asked_for_by_name(
    controls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = trained(controls)
    monkeypatch.chdir(tmp_path)
    whole = torch.arange(40)
    for weights, name in ((digest, "convnext-b"), (zoo.card("vit")["sha256"], "vit")):
        variables = {key: Variable(["image"], whole % 2, "1", key) for key in ("label", "predicted")}
        variables["confidence"] = Variable(["image"], 0.5 + whole / 100, "1", "confidence")
        found = measurement(variables).assign_attrs(model=name, weights=weights, seed=0)
        (tmp_path / "evidence" / name).mkdir(parents=True)
        save_measurement(found, tmp_path / "evidence" / name / "predictions.nc")
    assert set(vg.claims.table(chapter="reliability").network) >= {"vit"}
    assert "convnext-b" not in set(vg.claims.table(chapter="reliability").network)
    asked = vg.claims.table(networks=["convnext-b"], chapter="reliability").set_index("claim")
    assert asked.loc["K1", "n"] == 40
    assert [one.attrs["model"] for one in vg.claims.recorded("predictions")] == ["vit"]
    assert set(vg.claims.recipes("K1").network) == set()  # nothing of convnext
    (tmp_path / "evidence" / "convnext-b" / "predictions.nc").unlink()
    save_measurement(found.assign_attrs(weights="0" * 64), tmp_path / "evidence" / "convnext-b" / "predictions.nc")
    with pytest.raises(DataError, match="other weights than convnext-b has now"):
        vg.claims.table(networks=["convnext-b"], chapter="reliability")


def test_the_evidence_of_controls_is_what_their_chapters_show() -> None:
    assert [planned.name for planned in vg.claims.evidence("controls")] == ["predictions", "direction_change"]
    of_others = {planned.name: planned for planned in vg.claims.evidence()}
    for planned in vg.claims.evidence("controls")[1:]:
        other = of_others[planned.name]  # of the same images along the same lines
        for part in ("measure", "data", "seed", "images", "parameters"):
            assert getattr(planned, part) == getattr(other, part)
