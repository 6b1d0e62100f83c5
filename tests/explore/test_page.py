"""The piece of HTML: complete without a script, closed to what names could smuggle in, the same every time."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from vitgeom_nb.explore import Control, Display, Explorer, Panel, View
from vitgeom_nb.explore.drawing import Chart, picture, stripes

from .makers import MAKERS, images

EVIL = '<!--</script><script>alert("1")</script> & "x" $a$ \udcff'


def explorer_named(name: str) -> Explorer:
    def frame(setting: object) -> View:
        panel = Panel(name, picture(images(1)[0]), f"A picture of {name}.", "")
        return View((panel,), {name: name})

    return Display(name, name, (Control("k", name, (0, 1, 2)), Control("word", "Word", (name, "b"))), frame)


@pytest.mark.parametrize("name", MAKERS)
def test_first_frame_is_there_without_a_script(name: str) -> None:
    explorer = MAKERS[name](live=False)
    page = BeautifulSoup(explorer.to_html(), "html.parser")
    view = explorer.frame(explorer.start)
    assert [img["src"] for img in page.select("img")] == [p.picture.uri for p in view.panels]
    assert [img["alt"] for img in page.select("img")] == [p.alt for p in view.panels]
    assert [dd.text for dd in page.select("dd")] == list(view.readout.values())
    assert page.select_one(".vg-controls").has_attr("hidden")
    assert len(page.select_one("figcaption").text.split()) > 8
    assert "JavaScript" in page.select_one("noscript").text
    for field in page.select("input, select"):
        assert page.select_one(f'label[for="{field["id"]}"]').text.strip()
    assert "http" not in explorer.to_html().replace("http://www.w3.org", "").split('type="application/json"')[0]


def test_the_same_explorer_is_the_same_text() -> None:
    assert MAKERS["trajectory"](live=False).to_html() == MAKERS["trajectory"](live=False).to_html()


def test_names_cannot_break_out() -> None:
    text = explorer_named(EVIL).to_html()
    page, shown = BeautifulSoup(text, "html.parser"), EVIL.replace("\udcff", "\\udcff")
    text.encode()  # a file of it can be written
    assert json.loads(page.select_one('script[type="application/json"]').string)["controls"][1]["texts"] == [EVIL, "b"]
    assert len(page.select("script")) == 2  # the data and the script of the package
    assert page.select_one("dd").text == shown
    assert page.select_one("option").text == shown
    assert "tex2jax_ignore" in page.select_one("figure")["class"]


def test_two_explorers_have_different_names_in_the_page() -> None:
    ids = [
        BeautifulSoup(explorer_named(name).to_html(), "html.parser").select_one("figure")["id"] for name in ("a", "b")
    ]
    assert len(set(ids)) == 2


def test_a_chart_knows_where_its_data_lie() -> None:
    chart = Chart(lambda axes: axes.set(xlim=(0, 2), ylim=(1, 100), yscale="log"))
    (left, bottom), (right, top) = chart.at(0, 1), chart.at(2, 100)
    assert 0 < left < right < chart.picture.width
    assert 0 < top < bottom < chart.picture.height
    middle = chart.at(1, 10)
    assert middle == pytest.approx(((left + right) / 2, (top + bottom) / 2))
    svg = chart.picture.data.decode()
    assert f'width="{chart.picture.width}"' in svg
    assert "<script" not in svg


def test_small_images_are_enlarged_by_whole_factors() -> None:
    assert (picture(images(1)[0]).width, picture(images(1)[0]).height) == (256, 256)
    assert picture(np.zeros((3, 224, 224))).width == 224
    assert picture(np.zeros((3, 100, 90))).width == 180
    bar = stripes([np.arange(5.0)] * 2, 0, 4)
    assert (bar.width, bar.height) == (512, 58)
    grey = np.asarray(Image.open(io.BytesIO(bar.data)).convert("L"))
    np.testing.assert_array_equal(grey[0, 51::103], [0, 64, 128, 191, 255])
    assert (grey[26:32] == 255).all()
    np.testing.assert_array_equal(grey[:26], grey[32:])
