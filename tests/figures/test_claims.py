"""The ledger as a picture: every verdict is drawn by colour, symbol and number."""

import matplotlib.colors as colours
import numpy as np
import pytest

import vitgeom_nb as vg
from vitgeom_nb import errors
from vitgeom_nb.claims.rules import WORDS
from vitgeom_nb.figures.claims import LOOKS

from ..claims import simulated as made


@pytest.fixture(scope="module")
def table():
    return vg.claims.table({"vit": made.network(made.TRUE, n=20), "resnet": made.network(made.FALSE_CNN, n=20)})


def test_each_cell_has_the_colour_and_the_symbol_of_its_verdict(table):
    axes = vg.figures.ledger(table).axes[0]
    networks = [label.get_text() for label in axes.get_xticklabels()]
    assert networks == ["ViT", "ResNet", "all networks", "transformers", "CNNs", "transformers − CNNs"]
    claims = [label.get_text().split()[0] for label in axes.get_yticklabels()]
    assert claims == list(dict.fromkeys(table["claim"]))
    mesh = axes.collections[0]
    faces = mesh.get_facecolors().reshape(len(claims), len(networks), 4)
    marks = {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in axes.texts}
    names = {"vit": "ViT", "resnet": "ResNet"}
    seen = set()
    for row in table.to_dict("records"):
        i, j = claims.index(row["claim"]), networks.index(names.get(row["network"], row["network"]))
        colour, symbol = LOOKS[row["verdict"]]
        np.testing.assert_allclose(faces[i, j], colours.to_rgba(colour))
        assert marks[i, j].split("\n")[0] == symbol
        if not np.isnan(row["estimate"]):
            assert float(marks[i, j].split("\n")[1].strip("°dB ").replace("−", "-")) == pytest.approx(
                row["estimate"], rel=0.01, abs=1e-4
            )
        seen.add((i, j))
    assert set(marks) <= seen


def test_verdicts_are_told_apart_without_colour():
    assert set(LOOKS) == set(WORDS)
    assert len({symbol for _, symbol in LOOKS.values()}) == len(LOOKS)
    judged = ("supported", "inconclusive", "not supported")
    light = [np.dot(colours.to_rgb(LOOKS[word][0]), (0.299, 0.587, 0.114)) for word in judged]
    assert min(abs(a - b) for i, a in enumerate(light) for b in light[:i]) > 0.1


def test_the_legend_names_the_verdicts_that_occur(table):
    figure = vg.figures.ledger(table)
    words = [text.get_text().split("  ")[1] for text in figure.legends[0].get_texts()]
    assert set(words) == set(table["verdict"])
    corrected = vg.figures.ledger(table, corrected=True)
    assert {text.get_text().split("  ")[1] for text in corrected.legends[0].get_texts()} == set(table["corrected"])


def test_a_table_without_verdicts_is_refused(table):
    with pytest.raises(errors.ArgumentError, match="holds no verdicts"):
        vg.figures.ledger(table.drop(columns="verdict"))
    with pytest.raises(errors.ArgumentError, match="holds no verdicts"):
        vg.figures.ledger(table.iloc[:0])
