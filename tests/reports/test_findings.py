"""Sentences: the number that stands in one is that of its measurement, with its interval and count."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr

from vitgeom_nb.reports.findings import said
from vitgeom_nb.reports.sections import Finding, Section
from vitgeom_nb.statistics.intervals import median_interval


def section(*findings: Finding) -> Section:
    return Section("x", "What?", ("singular_spectrum",), (), "It shows.", findings)


def spectrum(values: list[float]) -> dict[str, xr.Dataset]:
    return {"singular_spectrum": xr.Dataset({"stable_rank": ("image", np.array(values))})}


def test_a_sentence_has_the_number_of_its_measurement() -> None:
    finding = Finding("stable_rank", "It is {value} of {components}, <b>they</b> say.")
    values = [3.0, 1.0, 4.0, 1.5, 9.0, 2.6, 5.0]
    (one,) = said(section(finding), spectrum(values), {"components": "<12>"}, 0)
    assert (one.estimate, one.low, one.high, one.n) == (*map(float, median_interval(values)), 7)
    assert one.text == "It is 3 of <12>, <b>they</b> say. (1 to 9, n = 7)"
    assert one.html == (
        'It is <data value="3.0">3</data> of &lt;12&gt;, &lt;b&gt;they&lt;/b&gt; say. '
        '<span class="ends">(1 to 9, n = 7)</span>'
    )


def test_few_images_have_no_interval_and_none_no_sentence() -> None:
    finding = Finding("stable_rank", "It is {value}.", form="percent")
    (one,) = said(section(finding), spectrum([0.5, 0.25]), {}, 0)
    assert one.text == "It is 37.5 %. (no interval, n = 2)"
    assert math.isnan(one.low)
    assert said(section(finding), spectrum([math.nan]), {}, 0) == []
    assert said(section(finding), {}, {}, 0) == []


@pytest.mark.parametrize(("shift", "word"), [(-0.3, "over"), (0.3, "under"), (0.0, "neither")])
def test_the_word_of_a_side_is_that_of_the_interval(shift: float, word: str) -> None:
    hits = np.arange(400) % 2 == 0
    seen = xr.Dataset(
        {
            "confidence": ("image", np.full(400, 0.5 - shift)),
            "predicted": ("image", hits.astype(int)),
            "label": ("image", np.ones(400, int)),
        }
    )
    sides = {"below": "over", "above": "under", "neither": "neither"}
    finding = Finding("K1", "It is {side}: {value}.", sides=sides)
    (one,) = said(section(finding), {"predictions": seen}, {}, 0)
    assert one.text.startswith(f"It is {word}: ")
    assert one.estimate == pytest.approx(shift)
