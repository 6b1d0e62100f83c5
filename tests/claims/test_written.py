"""The table for readers: words in cells, links to chapters, files that hold what the table holds."""

import math

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

import vitgeom_nb as vg
from vitgeom_nb import __main__ as command
from vitgeom_nb.claims.written import in_words, number

from . import simulated as made


@pytest.fixture(scope="module")
def run():
    return {name: made.network(made.TRUE, n=20, seed=i) for i, name in enumerate(("vit", "swin"))}


@pytest.fixture
def folder(tmp_path):
    for name in ("mine", "yours"):
        (tmp_path / "run" / name).mkdir(parents=True)
        seen = made.predictions(np.random.default_rng(0), 2000, -0.1)
        vg.save_measurement(seen, tmp_path / "run" / name / "predictions.nc")
    return tmp_path / "run"


def test_numbers_and_cells_in_words():
    assert [number(v, u) for v, u in ((-0.12345, "1"), (26.02, "dB"), (8.0, "degrees"), (math.inf, "1"))] == [
        "−0.123", "26 dB", "8°", "∞",
    ]  # fmt: skip
    assert [number(v, "1") for v in (-4.81e-6, 1.37e-5, -0.00689)] == ["0", "0", "−0.00689"]
    row = pd.Series({"verdict": "supported", "corrected": "inconclusive", "estimate": 0.5, "low": 0.4, "high": 0.6})
    row = pd.concat([row, pd.Series({"n": 1200, "unit": "1"})])
    assert in_words(row) == "supported (inconclusive after correction): 0.5 [0.4, 0.6], n = 1,200"
    row["estimate"] = math.nan
    row["verdict"] = row["corrected"] = "not measured yet"
    assert in_words(row) == "not measured yet"


def test_every_cell_is_a_link_to_the_chapter_of_its_claim(run):
    table = vg.claims.table(run)
    page = BeautifulSoup(vg.claims.html(table, link="{chapter}.html"), "html.parser")
    heads = [head.text for head in page.thead.find_all("th", scope="col")]
    assert heads == ["claim", "vit", "swin", "all networks"]
    chapters = vg.claims.sentences().chapter
    for line in page.tbody.find_all("tr"):
        claim = line.th.a.text
        assert line.th["scope"] == "row"
        assert {link["href"] for link in line.find_all("a")} == {f"{chapters[claim]}.html"}
        for name, cell in zip(heads[1:], line.find_all("td"), strict=True):
            rows = table[(table["claim"] == claim) & (table["network"] == name)]
            assert cell.text == ("" if rows.empty else in_words(rows.iloc[0]))
    assert page.caption.text


def test_the_command_prints_and_writes_the_table(folder, tmp_path, capsys):
    out = tmp_path / "out"
    status = command.main(
        ["claims", "--run", str(folder), "--models", "mine", "--family", "mine=CNN", "--out", str(out)]
    )
    said, wrong = capsys.readouterr()
    assert (status, wrong) == (0, "")
    assert "K1  Transformers are not over-confident, CNNs are." in said
    assert "yours" not in said
    (line,) = (line for line in said.splitlines() if "supported:" in line)
    assert line.split()[:2] == ["mine", "supported:"]
    again = pd.read_csv(out / "claims.csv")
    table = vg.claims.table(folder, networks=["mine"], families={"mine": "CNN"})
    assert list(again.columns) == list(table.columns)
    assert again["verdict"].tolist() == table["verdict"].tolist()
    np.testing.assert_allclose(again["estimate"], table["estimate"])
    page = BeautifulSoup((out / "claims.html").read_text(), "html.parser")
    assert page.html["lang"] == "en"
    assert len(page.tbody.find_all("tr")) == 21


def test_the_command_says_in_a_sentence_what_it_cannot_do(folder, tmp_path, capsys):
    for arguments in (["--run", str(tmp_path / "nowhere")], ["--run", str(folder), "--family", "mine=MLP"]):
        assert command.main(["claims", *arguments]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "file").write_text("")
    assert command.main(["claims", "--run", str(folder), "--out", str(tmp_path / "file")]) == 2
    assert "--out" in capsys.readouterr().err


def test_a_sweep_is_judged_by_its_path_and_as_what_open_run_gives(tmp_path, capsys):
    vg.sweep(["resnet"], data="samples:cifar10", measures=["step_law:directions=1"], out=tmp_path, n=1)
    assert (
        set(vg.claims.table(tmp_path)["network"])
        == set(vg.claims.table(vg.open_run(tmp_path))["network"])
        == {"resnet"}
    )
    assert command.main(["claims", "--run", str(tmp_path)]) == 0
    assert "resnet" in capsys.readouterr().out
