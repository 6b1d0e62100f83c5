"""Verdicts, p-values and Holm's correction against cases known by hand."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from vitgeom_nb.claims.rules import holm, judged, surprise
from vitgeom_nb.claims.sentences import Rule
from vitgeom_nb.statistics.intervals import Interval

ABOVE = Rule("above", 0.0, 0.1, "")
BELOW = Rule("below", 0.0, 0.1, "")
WITHIN = Rule("within", 100, 2, "", "factor")
OUTSIDE = Rule("outside", 1.0, 1.1, "", "factor")


@pytest.mark.parametrize(
    ("rule", "low", "high", "word"),
    [
        (ABOVE, 0.11, 0.3, "supported"),
        (ABOVE, 0.05, 0.3, "inconclusive"),
        (ABOVE, 0.01, 0.09, "not supported"),  # a difference, but one that counts as none
        (ABOVE, -0.3, -0.2, "not supported"),
        (BELOW, -0.3, -0.11, "supported"),
        (BELOW, -0.09, 0.0, "not supported"),
        (BELOW, -0.3, 0.0, "inconclusive"),
        (WITHIN, 60, 150, "supported"),
        (WITHIN, 40, 150, "inconclusive"),
        (WITHIN, 10, 45, "not supported"),
        (WITHIN, 210, 300, "not supported"),
        (OUTSIDE, 1.2, 1.5, "supported"),
        (OUTSIDE, 0.5, 0.9, "supported"),
        (OUTSIDE, 0.95, 1.05, "not supported"),
        (OUTSIDE, 1.0, 1.2, "inconclusive"),
        (ABOVE, math.nan, math.nan, "inconclusive"),
    ],
)
def test_an_interval_is_judged_by_where_it_lies(rule, low, high, word):
    found = Interval((low + high) / 2, low, high)
    assert judged(found, rule) == word
    assert (surprise(found, rule, 1000) < 0.05) == (word != "inconclusive")


def test_the_margin_of_an_equivalence_is_needed_on_both_sides():
    rule = Rule("within", 0.0, 0.2, "")
    assert judged(Interval(0.0, -0.25, 0.25), rule) == "inconclusive"  # not significant, and still not the same
    assert judged(Interval(0.1, 0.05, 0.15), rule) == "supported"  # significant, and still the same


def test_p_values_are_those_of_a_normal_distribution():
    spread = 0.5
    for z in (0.5, 1.96, 3.0):
        found = Interval(0.1 + z * spread, 0.1 + (z - 1.959964) * spread, 0.1 + (z + 1.959964) * spread)
        assert surprise(found, ABOVE, 1000) == pytest.approx(2 * norm.sf(z), rel=1e-5)


def test_few_images_never_give_a_small_p_value():
    sure = Interval(5.0, 4.9, 5.1)
    assert surprise(sure, ABOVE, 6) == pytest.approx(2 / 2**6)
    assert surprise(sure, ABOVE, 100) < 1e-6


def test_infinite_ends_decide_and_say_no_more():
    assert surprise(Interval(math.inf, 2.0, math.inf), ABOVE, 1000) == pytest.approx(0.05)
    assert surprise(Interval(math.inf, 2.0, math.inf), ABOVE, 1000) < 0.05
    assert surprise(Interval(1.0, 1.0, 1.0), ABOVE, 1000) < 1e-100
    assert surprise(Interval(math.inf, 0.05, math.inf), ABOVE, 1000) == 1.0


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    corrected = holm([0.2, math.nan, 0.01])
    np.testing.assert_allclose(corrected[[0, 2]], [0.2, 0.02])
    assert np.isnan(corrected[1])
    assert holm([0.9, 0.8]).max() == 1.0


def test_holm_keeps_the_rate_of_false_verdicts():
    own = np.random.default_rng(0)
    wrong = [bool((holm(own.random(20)) <= 0.05).any()) for _ in range(4000)]
    assert np.mean(wrong) == pytest.approx(0.05, abs=0.012)
