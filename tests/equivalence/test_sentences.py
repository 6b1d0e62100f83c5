"""Sentences of matches and walks say what can be counted by hand."""

from __future__ import annotations

import json

import numpy as np
import xarray as xr
from scipy.stats import binomtest

from vitgeom_nb.equivalence import sentences

GOAL = {"goal": {"cosine": 0.999, "residual": 0.1}, "max_evaluations": 200, "method": "minimum-change"}


def matches(name: str, converged: list[bool], **columns: list[float]) -> xr.Dataset:
    found = xr.Dataset({key: ("pair", list(values)) for key, values in {"converged": converged, **columns}.items()})
    return found.assign_attrs(model=name, parameters=json.dumps(GOAL))


def six(name: str = "one") -> xr.Dataset:
    return matches(
        name,
        [True, True, False, True, True, False],
        psnr=[31.0, 35.0, 20.0, 10.0, 32.0, 22.0],
        source_cosine=[0.1, 0.9, 0.1, 0.1, 0.3, 0.1],
        pair_cosine=[0.2, 0.2, 0.3, 0.3, 0.3, 0.5],
        cosine=[0.999, 0.9991, 0.95, 0.9992, 0.9993, 0.97],
        source_label=[1, 1, 1, 1, 2, 2],
        target_label=[2, 2, 2, 2, 2, 2],
        matched_label=[2, 2, 1, 3, 2, 2],
    )


def test_pairs_are_counted() -> None:
    both = [six(), six("other")]
    assert sentences.arrived(both) == (8, 12)
    assert sentences.clear(both) == (6, 12)
    assert sentences.clear(both, unlike=True) == (4, 12)  # the median pair is at 0.3, and one of them at 0.9
    assert sentences.followed(both) == (8, 12)
    assert str(sentences.followed(both)) == "8 of 12"


def test_the_finding_has_shares_with_the_interval_of_another_library() -> None:
    few = matches("few", [True, False], psnr=[20.0, 30.0])
    first, _, *lines = sentences.shared_in_words([six(), few], ["ONE", "FEW"]).splitlines()
    assert first.startswith("**5 of 8 matches bring")
    assert "at a cosine of 0.999 or more and within 200 evaluations" in first
    low, high = binomtest(4, 6).proportion_ci(method="wilson")
    later = few.assign_attrs(parameters=json.dumps(GOAL | {"max_evaluations": 90}))
    first, _, one, other = sentences.shared_in_words([later, six()], ["LATER", "ONE"]).splitlines()
    assert first.startswith("**4 of 6 matches bring")  # those of one budget
    assert "within 200 evaluations. " in first
    assert one.endswith("dB, within 90 evaluations")
    assert "evaluations" not in other
    assert lines == [
        f"- ONE: 4 of 6 pairs, 67% [{low:.0%}, {high:.0%}], at 26.5 [10.0, 35.0] dB",
        "- FEW: 1 of 2 pairs, 50% [9%, 91%], at 25.0 [too few images] dB",
    ]


def test_what_size_does_is_arithmetic() -> None:
    said = sentences.clear_in_words([six()], 56)
    assert "Of 6 matches on 1 networks, 3 keep a PSNR of 30 dB or more, and 2 of these" in said
    assert "the highest PSNR is 35.0 dB and the median 26.5 dB" in said
    assert "what takes 26 dB at 56 x 56 pixels" in said  # 26.5 rounds to even
    assert "33 dB at twice the side, and 39 dB at the 224 x 224 of the paper." in said  # 6.02 and 12.04 dB more
    assert "of the paper" not in sentences.clear_in_words([six()], 224)


def test_labels_are_those_of_pairs_that_differ_in_them() -> None:
    said = sentences.labels_in_words([six(), matches("mute", [True])])
    assert said.startswith("(mute have no classifier.) The network's own label of the match equals")
    assert "in 4 of 6 cases" in said
    assert (
        "different labels (4 cases), the match takes that of the target in 2 and keeps that of the source in 1" in said
    )


def test_the_remainder_is_that_of_the_pair_furthest_off() -> None:
    one = six().assign(change_norm=("pair", np.arange(6.0)))
    left = xr.Dataset({
        "strong_share": ("pair", [0, 0, 0.25, 0, 0, 0.0]), "rank": ("pair", [1, 1, 190, 1, 1, 1]),
        "held": ("pair", [0, 0, 0.5, 0, 0, 0.0]), "least_norm": ("pair", [0, 0, 77.0, 0, 0, 0]),
    })  # fmt: skip
    said = sentences.remainder_in_words(one, left)
    assert "is on one, at a cosine of 0.950. It has 25.00% of the squared distance" in said
    assert "stronger half of the 190 singular directions" in said
    assert "with 50% of the pixel values held" in said
    assert said.endswith("a change of norm 77, and the whole change so far has 2.")


def test_walks_are_told_from_their_ends() -> None:
    over = ("pair", "step")
    walk = xr.Dataset(
        {
            "pair_cosine": ("pair", [0.25]), "distance": (over, [[8.0, 6.0, 2.0]]),
            "psnr_source": (over, [[np.inf, 30.0, 20.0]]), "psnr_target": (over, [[5.0, 8.0, 12.0]]),
            "cosine": (over, [[1.0, 0.99999, 0.999998]]), "drift": (over, [[0.0, 2e-3, 1e-4]]),
            "failed": (over, [[False, True, False]]),
        },
        attrs={"model": "walker"},
    )  # fmt: skip
    kept = walk.assign(failed=walk.failed & False)
    assert sentences.kept_throughout([walk, kept]) == (1, 2)
    *_, line = sentences.walks_in_words([walk]).splitlines()
    assert line == (
        "- **walker**: the two photographs embed at a cosine of 0.250. After 2 steps the walk has covered 75% of the "
        "pixel distance between them, at a PSNR of 20.0 dB to where it began and 12.0 dB to where it went, and its "
        "embedding has a cosine of 0.999998 to the start. Largest drift 2.0e-03; failed steps: 1."
    )
