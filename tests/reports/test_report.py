"""Whole reports of networks whose numbers are known: what they say, what they leave out, what they survive."""

from __future__ import annotations

import inspect
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from PIL import Image

import vitgeom_nb as vg
from vitgeom_nb.__main__ import main
from vitgeom_nb.errors import ArgumentError, DataError
from vitgeom_nb.reports import measuring
from vitgeom_nb.reports.findings import said
from vitgeom_nb.reports.measuring import Subject
from vitgeom_nb.reports.quantities import OWN
from vitgeom_nb.reports.sections import planned, sections
from vitgeom_nb.sweeps import engines
from vitgeom_nb.sweeps.work import Outcome, Task

from ..chapters import ROOT
from .made import HOSTILE, VALUES, blind, curved, headless, here, hostile, known, left_out, page, part, photos

TITLES = {one.name: one.title for one in sections()}


@pytest.fixture(scope="module")
def smooth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a smooth network."""
    return vg.report(curved(), photos(), out=tmp_path_factory.mktemp("smooth"), family="CNN")


def numbers(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "tables" / "summary.csv").set_index("quantity")


def opened(folder: Path) -> dict[str, xr.Dataset]:
    return {path.stem: vg.open_measurement(path) for path in (folder / "measurements").glob("*.nc")}


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Shards of the run: inode and time of each."""
    return {
        p.name + str(p.parent): (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.glob("run/networks/*/*/*.nc")
    }


def test_a_linear_map_has_the_numbers_that_it_has(tmp_path: Path) -> None:
    found = measuring.measure(subject(known(), photos(), n=None), tmp_path).measured
    np.testing.assert_allclose(found["singular_spectrum"].singular_value.values, [VALUES] * 8, rtol=1e-9)
    words = {"components": "3", "pixels": "12"}
    told = {one.quantity: one for section in sections() for one in said(section, found, words, 0)}
    assert told["stable_rank"].estimate == pytest.approx(21 / 16, rel=1e-9)
    assert told["stable_rank"].text == (
        "The stable rank of the Jacobian is 1.31 in the median, of 3 components and 12 pixel values. "
        "(1.31 to 1.31, n = 8)"
    )
    assert told["S4"].estimate == pytest.approx(1)
    assert told["S5"].estimate == pytest.approx(0, abs=1e-9)
    assert told["S6"].estimate == pytest.approx(0, abs=1e-6)
    assert told["K4"].estimate == pytest.approx(0, abs=1e-4)
    assert told["descended"].estimate == 1
    assert told["stable_rank"].n == 8


def test_the_numbers_of_the_page_are_those_of_the_measurements(smooth: Path) -> None:
    measured, told, whole = opened(smooth.parent), numbers(smooth.parent), page(smooth)
    on_page: list[float] = []
    for one in sections():
        if whole.find("section", id=one.name) is None:
            continue
        written = [float(data["value"]) for data in part(whole, one.name).select(".finding data")]
        wanted = [f.quantity for f in one.findings if f.quantity in told.index]
        assert written == pytest.approx(told.estimate[wanted].tolist(), rel=1e-12)
        on_page += written[:1]
        for quantity in wanted:
            found = OWN[quantity](measured)
            value = found[0].value if isinstance(found, tuple) else float(found.interval(0).value)
            assert told.estimate[quantity] == pytest.approx(value, rel=1e-6)
    assert [float(data["value"]) for data in part(whole, "summary").select("data")] == on_page
    assert len(on_page) >= 8


def test_independent_recomputations_agree(smooth: Path) -> None:
    measured, told = opened(smooth.parent), numbers(smooth.parent)
    angle = np.degrees(measured["direction_change"].angle.values)
    assert told.estimate["K4"] == pytest.approx(np.median(angle), rel=0.02)
    way = measured["travel_distance"]
    far = np.where(way.outcome == "crossed", way.epsilon, np.where(way.outcome == "never wrong", np.inf, np.nan))
    assert told.estimate["distance"] == pytest.approx(np.median(far[~np.isnan(far)]))
    hits = measured["predictions"].predicted.values == photos().labels.numpy()  # type: ignore[union-attr]
    assert told.estimate["accuracy"] == hits.mean()
    table = pd.read_csv(smooth.parent / "tables" / "travel_distance.csv")
    np.testing.assert_allclose(table["epsilon"], way.epsilon)


def test_every_section_of_the_table_is_there_or_says_why_not(smooth: Path) -> None:
    whole = page(smooth)
    there = {one.get("id") for one in whole.select("main > section")}
    absent = left_out(whole)
    for name, title in TITLES.items():
        # the leading values are asked for only where all are too many
        assert (name in there) != (title in absent or name == "leading-directions"), name


def test_the_page_is_one_whole_file(smooth: Path) -> None:
    whole = page(smooth)
    assert whole.html is not None
    assert whole.html["lang"] == "en"
    for tag in whole.find_all(True):
        for name in ("src", "srcset", "poster", "data", "action"):
            assert str(tag.get(name, "data:")).startswith("data:"), tag.name
        assert tag.name not in ("link", "iframe", "object", "embed", "base")
    links = [str(a["href"]) for a in whole.select("a[href]")]
    for link in links:
        if link.startswith("#"):
            assert whole.find(id=link[1:]) is not None
        elif not link.startswith("https://arxiv.org/abs/"):
            assert (smooth.parent / link).is_file(), link
    sheet = " ".join(style.text for style in whole.select("style"))
    assert "url(" not in sheet
    assert "@import" not in sheet
    levels = [int(h.name[1]) for h in whole.find_all(re.compile("^h[1-6]$"))]
    assert levels[0] == 1
    assert set(levels[1:]) == {2}
    ids = [tag["id"] for tag in whole.select("[id]")]
    assert len(set(ids)) == len(ids)
    assert len(whole.select("main")) == len(whole.select("header")) == len(whole.select("footer")) == 1


def test_every_figure_is_an_svg_with_a_sentence_and_a_file(smooth: Path) -> None:
    whole = page(smooth)
    pictures = whole.select("figure > .wide img")
    assert len(pictures) >= 9
    for picture in pictures:
        assert str(picture["src"]).startswith("data:image/svg+xml;base64,")
        assert 100 < int(str(picture["width"])) < 1100
        alt = str(picture["alt"])
        assert len(alt.split()) >= 8
        assert alt.endswith((".", ")"))
    drawn = sorted((smooth.parent / "figures").glob("*.svg"))
    assert len(drawn) == len(pictures)
    for path in drawn:
        text = path.read_text()
        assert "<text" in text  # letters that are letters
        assert "http-equiv" not in text


def test_explorers_bring_their_frames(smooth: Path) -> None:
    whole = page(smooth)
    titles = {figure["aria-label"] for figure in whole.select("figure.vg-explorer")}
    assert {"Lipschitz constants at a radius", "The bend at a step size", "Along a straight line of images"} <= titles
    assert {"Along the FGSM path", "Reliability at any number of bins and any temperature"} <= titles
    for figure in whole.select("figure.vg-explorer"):
        assert json.loads(figure.select_one('script[type="application/json"]').text)["controls"]  # type: ignore[union-attr]
    assert len([one for one in whole.select("script") if not one.get("type")]) == 1  # one script for all


def test_the_ledger_stands_beside_what_is_recorded(
    smooth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.read_csv(smooth.parent / "tables" / "claims.csv")
    assert table["network"][0] == "tiny"
    assert "vit" in set(table["network"])
    row = table[(table["claim"] == "K4") & (table["network"] == "tiny")].iloc[0]
    assert row["family"] == "CNN"
    assert row["verdict"] in ("supported", "not supported", "inconclusive")
    from vitgeom_nb.reports import ledger

    def nowhere() -> Path:
        raise DataError("There is no folder evidence here.")

    monkeypatch.setattr(ledger, "evidence_folder", nowhere)
    monkeypatch.setattr(ledger, "opened", lambda run: nowhere())
    alone, words = ledger.ledger("tiny", opened(smooth.parent), "custom", 0)
    assert set(alone["network"]) == {"tiny"}
    assert words.startswith("It stands alone here")
    assert (alone[alone["claim"] == "K4"]["verdict"] == "compared").all()


def test_a_network_that_is_recorded_too_has_a_column_of_its_own(smooth: Path) -> None:
    from vitgeom_nb.reports.ledger import ledger

    both, _ = ledger("vit", opened(smooth.parent), "transformer", 0)
    assert both["network"][0] == "vit, here"
    assert {"vit, here", "vit"} <= set(both["network"])


def test_provenance_says_what_the_numbers_depend_on(smooth: Path) -> None:
    rows = part(page(smooth), "settings")
    said = dict(zip((d.text for d in rows.select("dt")), (d.text for d in rows.select("dd")), strict=True))
    assert said["Digest of the weights"] == curved().digest
    assert said["Seed"] == "0"
    assert said["Precision"] == "float32 on cpu"
    assert f"torch {torch.__version__.split('+')[0]}" in said["Versions"]
    assert said["Labels"] == "Of the images."
    cells = [[cell.text for cell in row.select("th, td")] for row in rows.select("tbody tr")]
    spent = {name: float(seconds) for name, *_, seconds in cells}
    assert set(opened(smooth.parent)) == set(spent) - {"all"}
    assert spent["all"] == pytest.approx(sum(v for k, v in spent.items() if k != "all"), abs=0.1 * len(spent))


def test_the_same_call_measures_nothing_again(smooth: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, summaries = files(smooth.parent), []

    def swept(*args: object, **options: object) -> object:
        summaries.append(vg.sweep(*args, **options))  # type: ignore[arg-type]
        return summaries[-1]

    monkeypatch.setattr(measuring, "sweep", swept)
    again = measuring.measure(subject(curved(), photos(), n=None), smooth.parent / "run")
    assert summaries[0].measured == 0
    assert summaries[0].present > 50
    assert again.seconds["singular_spectrum"] > 0
    assert files(smooth.parent) == before


def command(out: Path, *more: str, model: str = "curved", images: str = "photos") -> list[str]:
    return ["report", here(model), "--images", here(images), "--out", str(out), *more]


def test_a_kill_loses_nothing_that_was_measured(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "vitgeom_nb", *command(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while len(files(tmp_path)) < 4 and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    before = files(tmp_path)
    assert len(before) >= 4
    assert not (tmp_path / "index.html").exists()
    assert main(command(tmp_path)) == 0
    assert before.items() <= files(tmp_path).items()
    assert (tmp_path / "index.html").exists()
    assert not list(tmp_path.rglob("*.part"))


def subject(model: vg.VisionModel, images: object, n: int | None = 2, seed: int = 0, full: bool = False) -> Subject:
    return Subject.of(model, images, full=full, n=n, seed=seed, device=None, dtype="float32")


def lacking(model: vg.VisionModel, images: object, **options: bool) -> dict[str, str | None]:
    """Why each measurement of the table is not made."""
    asked = subject(model, images, n=None, **options)
    return {one.label: asked.lacks(one) for one in planned()}


def test_ctrl_c_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = engines.measure_block, []

    def stopped(task: Task) -> Outcome:
        calls.append(task.entry.label)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(task)

    monkeypatch.setattr(engines, "measure_block", stopped)
    with pytest.raises(vg.errors.Interrupted):
        vg.report(curved(), photos(), out=tmp_path, n=2)
    done = files(tmp_path)
    assert len(calls) == 3
    assert done
    assert not (tmp_path / "index.html").exists()
    monkeypatch.undo()
    measuring.measure(subject(curved(), photos()), tmp_path / "run")
    assert done.items() < files(tmp_path).items()


def test_a_larger_report_goes_on_from_a_smaller_one(tmp_path: Path) -> None:
    first, second = (
        measuring.measure(subject(headless(), photos(6, labels=False), n), tmp_path).measured for n in (2, 4)
    )
    assert second["singular_spectrum"].sizes["image"] == 4
    np.testing.assert_array_equal(
        first["singular_spectrum"].singular_value, second["singular_spectrum"].singular_value.sel(image=[0, 1])
    )
    assert second["trajectory"].sizes["image"] == 1


def test_no_head_no_labels_and_one_image_leave_out_their_sections(tmp_path: Path) -> None:
    path = vg.report(headless(), photos(1, labels=False), out=tmp_path)
    why = left_out(page(path))
    headed = [TITLES[name] for name in ("boundary", "jump", "confidence")]
    assert {why[title] for title in headed} == {"headless has no classifier head."}
    assert why[TITLES["equal-embeddings"]] == "There is one image, and this takes pairs."
    assert why["Claim S2 and S9 of the ledger"] == "The images have no labels."
    assert TITLES["directions"] not in why
    assert part(page(path), "directions").select_one(".finding") is not None


def test_each_dead_end_has_its_sentence() -> None:
    assert lacking(curved(), photos(labels=False))["predictions"] == "The images have no labels."
    assert lacking(curved(), photos(labels=False))["travel_distance"] is None
    other = photos(names=[str(i) for i in range(7)])
    words = "The labels of the images number 7 classes, and tiny knows 5 others."
    assert lacking(curved(), other)["predictions"] == lacking(curved(), other)["corrupted_predictions"] == words
    assert lacking(curved(), other)["class_cosines"] is None
    assert lacking(curved(), photos())["match_gradient_descent"] == (
        "It takes too long for a quick report; a full one measures it."
    )
    assert lacking(curved(), photos(), full=True)["match_gradient_descent"] is None
    assert lacking(curved(), photos())["leading_singular_values"] == ""  # nobody misses them


def test_the_networks_own_labels_stand_in_for_others(tmp_path: Path) -> None:
    found = measuring.measure(subject(curved(), photos(labels=False)), tmp_path).measured["travel_distance"]
    np.testing.assert_array_equal(found.label, curved().labels(photos(2)))


def test_no_gradient_through_a_layer(tmp_path: Path) -> None:
    path = vg.report(blind(), photos(), out=tmp_path, n=2)
    why = left_out(page(path))
    assert "the derivative of this layer is not written" in why[TITLES["directions"]]
    assert TITLES["bend"] not in why  # forward passes are enough for it


def test_a_jacobian_that_costs_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "jacobian_limit", lambda full: 10)
    assert str(lacking(curved(), photos())["singular_spectrum"]).startswith(
        "The whole Jacobian of tiny takes 16 backward passes an image; a full"
    )
    found = measuring.measure(subject(curved(), photos()), tmp_path).measured
    values = found["leading_singular_values"].singular_value
    spectrum = vg.singular_spectrum(curved(), photos(2)).singular_value
    np.testing.assert_allclose(values, spectrum.isel(rank=slice(0, values.sizes["rank"])), rtol=2e-3)
    (section,) = (one for one in sections() if one.name == "leading-directions")
    (sentence,) = said(section, found, {"components": "16", "pixels": "12"}, 0)
    assert sentence.estimate == pytest.approx(float((spectrum[:, 9] / spectrum[:, 0]).median()), rel=2e-3)


def test_markup_in_names_stays_text_and_images_that_fail_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "<i>'\"&"
    for i in range(4):
        (folder / f"{HOSTILE.replace('/', '')}{i % 2}").mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(np.full((4, 4, 3), 40 * i + 9, np.uint8))
        picture.save(folder / f"{HOSTILE.replace('/', '')}{i % 2}" / f"{i}.png")
    damaged = next(folder.rglob("2.png"))
    damaged.write_bytes(b"no picture")
    path = vg.report(hostile(), str(folder), out=tmp_path / "a'<b>", n=4)
    whole = page(path)
    assert not [tag for tag in whole.find_all(True) if any(name.startswith("on") for name in tag.attrs)]
    assert {str(tag["src"])[:5] for tag in whole.select("img")} == {"data:"}
    assert len([one for one in whole.select("script") if not one.get("type")]) == 1
    assert whole.h1 is not None
    assert HOSTILE in whole.h1.text
    assert whole.title is not None
    assert HOSTILE in whole.title.text
    assert str(folder) in whole.select_one(".lead").text  # type: ignore[union-attr]
    assert HOSTILE in part(whole, "boundary").text  # a class, in an explorer
    assert not whole.select("i, b")
    assert "1 failed: it cannot be decoded" in part(whole, "bend").text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing", "--images", "samples:imagenet"], "There is no model 'nothing'"),
        ([here("nothing"), "--images", "samples:imagenet"], "There is no 'nothing' in"),
        ([here("VALUES"), "--images", here("photos")], "gives a tuple"),
        (["/no/such.py:f", "--images", "samples:imagenet"], "There is no file"),
        ([here("curved"), "--images", "/no/such/folder"], "/no/such/folder"),
        ([here("curved"), "--images", "samples:nothing"], "nothing"),
        ([here("curved"), "--images", here("photos"), "--images-count", "0"], "one image or more"),
        ([here("curved"), "--images", here("photos"), "--images-count", "99"], "has 8 images, not 99"),
        ([here("curved"), "--images", here("photos"), "--family", "MLP"], "transformer or CNN"),
        ([here("curved"), "--images", here("photos"), "--dtype", "float8"], "float8"),
    ],
)
def test_bad_input_is_one_sentence(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", *words, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_a_folder_that_cannot_be_one_or_holds_another_report(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be a folder"):
        vg.report(headless(), photos(2), out=tmp_path / "file", n=1)
    out = tmp_path / "out"
    measuring.measure(subject(headless(), photos(2), n=1), out / "run")
    with pytest.raises(DataError, match="other images"):
        vg.report(headless(), photos(3), out=out, n=1)
    other = photos(2)
    with pytest.raises(DataError, match="other images"):  # of the same names
        vg.report(headless(), vg.Images(1 - other.pixels, other.names, "drawn", "none", other.labels), out=out, n=1)
    with pytest.raises(DataError, match="another seed"):
        vg.report(headless(), photos(2), out=out, n=1, seed=1)
    with pytest.raises(ArgumentError):
        vg.report(headless(), photos(2), out=out, family="MLP")


def test_a_network_of_which_nothing_can_be_measured(tmp_path: Path) -> None:
    class Broken(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) * (torch.nan if len(x) and float(x.max()) < 1 else 1.0)

    model = vg.wrap(Broken(), mean=[0.0] * 3, std=[1.0] * 3, size=2, name="broken")
    with pytest.raises(DataError, match=r"^Nothing of broken could be measured: ") as told:
        vg.report(model, vg.Images(photos(2).pixels * 0.5, ["a", "b"], "drawn", "none"), out=tmp_path, n=2)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "index.html").exists()


def test_the_command_prints_the_page_and_takes_what_the_function_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tmp_path, "--images-count", "1", "--seed", "3", model="headless")) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "index.html")
    assert vg.open_run(tmp_path / "run").attrs["seed"] == 3
    assert set(inspect.signature(vg.report).parameters) == {
        "model", "images", "out", "full", "n", "family", "seed", "device", "dtype",
    }  # fmt: skip
    with pytest.raises(SystemExit):
        main(command(tmp_path, "--quick", "--full"))


def test_sizes_are_those_of_the_table_as_far_as_there_are_images() -> None:
    table = {one.label: one for one in planned()}
    quick, whole, three = (
        subject(curved(), photos(7), **more) for more in ({"n": None}, {"n": None, "full": True}, {"n": 3})
    )
    assert quick.images_of(table["additivity"]) == table["additivity"].quick == 6
    assert quick.images_of(table["predictions"]) == 7
    assert whole.images_of(table["additivity"]) == 7
    assert three.images_of(table["predictions"]) == 3
    assert three.images_of(table["trajectory"]) == 1
