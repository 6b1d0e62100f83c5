"""Colours that are seen side by side differ to every kind of colour vision, and what they say is said without them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb
from skimage.color import deltaE_ciede2000, rgb2lab

import vitgeom_nb as vg
from vitgeom_nb.explore.drawing import dot
from vitgeom_nb.figures import benchmark_records, boundary, equivalence, jacobians
from vitgeom_nb.figures.claims import LOOKS as VERDICTS
from vitgeom_nb.figures.style import LOOKS, SPARE, STYLE, look
from vitgeom_nb.networks.catalogue import CATALOGUE
from vitgeom_nb.statistics.verdicts import INCONCLUSIVE, NOT_SUPPORTED, SUPPORTED

# what linear RGB becomes to those who lack one kind of cone: Machado, Oliveira and Fernandes (2009), severity 1
VISIONS = {
    "every cone": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
APART = 10.0  # CIEDE2000; 2 is just noticed between two patches that touch
EMBEDDED = ["vit", "swin", "resnet", "mobilenetv2", "convnext"]
PAPER = [name for name, entry in CATALOGUE.items() if name in LOOKS and entry.source[:4] != "pip/"]


def of_paper(key: str) -> list[str]:
    return [name for name in PAPER if key in CATALOGUE[name].papers]


def seen(colour: str, vision: str) -> np.ndarray:
    """sRGB of a colour as someone with this vision sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = (VISIONS[vision] @ linear).clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def apart(one: str, other: str) -> float:
    """The least CIEDE2000 distance of two colours over all visions."""
    pairs = ((rgb2lab(seen(one, vision)), rgb2lab(seen(other, vision))) for vision in VISIONS)
    return min(float(deltaE_ciede2000(*pair)) for pair in pairs)


def lightness(colour: str) -> float:
    return float(rgb2lab(np.array(to_rgb(colour)))[0])


def too_near(colours: Iterable[str]) -> list[tuple[str, str, float]]:
    return [(a, b, round(apart(a, b), 1)) for a, b in combinations(colours, 2) if apart(a, b) < APART]


def test_visions_keep_grey_grey_and_know_the_colours_they_confuse() -> None:
    for vision, matrix in VISIONS.items():
        np.testing.assert_allclose(matrix.sum(1), 1, atol=2e-6)
        np.testing.assert_allclose(seen("#777777", vision), to_rgb("#777777"), atol=1e-5)
    np.testing.assert_allclose(seen("#0072B2", "every cone"), to_rgb("#0072B2"), atol=1e-9)
    # full red, column of the matrix: 0.152286 in linear light is 1.055 * 0.152286 ** (1 / 2.4) - 0.055
    np.testing.assert_allclose(seen("#FF0000", "protanopia"), [0.4266, 0.3727, 0], atol=1e-4)
    assert apart("#000000", "#FFFFFF") == pytest.approx(100, abs=0.1)
    assert too_near(["#D62728", "#6B7A1E"]) != []  # a red and an olive, one colour without the long cones


@pytest.mark.parametrize(
    "together",
    [[*EMBEDDED, "efficientnet-lite0"], of_paper("salman2024"), of_paper("kim2024"), of_paper("goodfellow2015")],
    ids=["embedded", "salman2024", "kim2024", "goodfellow2015"],
)
def test_networks_of_a_chapter_differ_in_colour_to_everyone_and_in_their_markers(together: list[str]) -> None:
    assert too_near(LOOKS[name][1] for name in together) == []
    assert len({LOOKS[name][2] for name in together}) == len(together)


def test_any_two_published_networks_differ_in_their_markers() -> None:
    assert len(PAPER) > 10
    assert len({LOOKS[name][2] for name in PAPER}) == len(PAPER)


def test_networks_without_a_look_of_their_own_differ_in_colour_to_everyone_and_in_their_markers() -> None:
    assert too_near(SPARE) == []
    looks = [look(f"mine {i}", i)[1:] for i in range(12)]
    assert len(set(looks)) == 12
    assert len({marker for _, marker in looks[:4]}) == 4


def test_the_cycle_of_the_style_sheet_differs_to_everyone() -> None:
    cycle = mpl.rc_params_from_file(STYLE, use_default_template=False)["axes.prop_cycle"].by_key()["color"]
    assert len(cycle) == 7
    assert too_near(cycle) == []


def test_verdicts_that_are_judged_differ_in_lightness_and_all_have_a_symbol() -> None:
    judged = [VERDICTS[word][0] for word in (SUPPORTED, INCONCLUSIVE, NOT_SUPPORTED)]
    assert all(apart(colour, judged[2]) >= APART for colour in judged[:2])
    # the two that do not speak against a sentence are both pale: their symbols, + and ?, tell them apart
    assert min(abs(lightness(a) - lightness(b)) for a, b in combinations(judged, 2)) > 8
    assert len({symbol for _, symbol in VERDICTS.values()}) == len(VERDICTS)


@pytest.mark.parametrize(
    "looks",
    [
        [(colour, marker + line) for _, colour, marker, line in jacobians.KIND_LOOKS.values()],
        list(equivalence.METHOD_LOOKS.values()),
        list(zip(benchmark_records.COLOURS, benchmark_records.MARKERS, strict=True)),
        [("#444444", line) for line, _ in boundary.LEG_STYLES.values()],
    ],
    ids=["kinds of direction", "methods", "contenders", "legs"],
)
def test_what_else_shares_a_panel_is_told_apart_by_marker_or_line(looks: list[tuple[str, str]]) -> None:
    # normal and top directions are the same to two chapters, and in no panel together
    assert len({mark for _, mark in looks}) >= len({colour for colour, _ in looks})


def test_dots_of_explorers_have_the_shape_of_their_marker() -> None:
    assert len({dot((0, 0), "#000000", marker) for _, _, marker in LOOKS.values()}) == len(
        {marker for _, _, marker in LOOKS.values()}
    )
    assert 'points="-6.0,6.0 6.0,6.0 6.0,-6.0 -6.0,-6.0"' in dot((0, 0), "#000000", "s")
    assert dot((10, 20), "#000000", "^").startswith('<polygon points="10.0,14.0 ')  # its tip is up


def laws() -> list[xr.Dataset]:
    def law(name: str) -> xr.Dataset:
        sizes = np.geomspace(0.001, 0.1, 5)
        return xr.Dataset(
            {"typical": (("statistic", "step_size"), 0.1 * sizes[None]), "exponent": ("statistic", [1.0])},
            {"statistic": ["rms"], "step_size": sizes},
            {"model": name, "function": "step_law", "parameters": "{}", "seed": 0},
        )

    return [law(name) for name in EMBEDDED]


def test_lines_of_an_explorer_carry_the_markers_of_their_networks() -> None:
    explorer = vg.explore.step_law(laws())
    chart = explorer.frame(explorer.start).panels[0].picture.data.decode()
    marked = {name: re.findall(f'<use [^>]*style="fill: {LOOKS[name][1].lower()}', chart) for name in EMBEDDED}
    assert [name for name, marks in marked.items() if len(marks) < 3] == []  # on the line, and in the legend
