import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import vitgeom_nb as vg
from vitgeom_nb.bending import tables as bends
from vitgeom_nb.errors import ArgumentError


def bend(name, angle):
    angles = (("image", "direction", "step"), np.radians(angle), {"long_name": "direction change"})
    attrs = {"model": name, "parameters": json.dumps({"directions": angle.shape[1]})}
    return xr.Dataset({"angle": angles, "noise_floor": ("image", np.full(len(angle), 1e-9))}, attrs=attrs)


def constant(name, degrees, images=6):
    return bend(name, np.full((images, 2, 3), float(degrees)))


def test_direction_change_summary_is_in_degrees():
    angle = np.arange(1.0, 21.0).reshape(2, 2, 5)
    repeated = np.concatenate([angle, angle, angle])
    table = bends.direction_change_summary([bend("vit", repeated), constant("resnet", 4), bend("two", angle)])
    assert table.loc["vit", "median"] == pytest.approx(10.5)
    upper = np.quantile(repeated, 0.95)
    assert table.loc["vit", "upper"] == pytest.approx(upper)
    assert table.loc["vit", "tail"] == pytest.approx(upper / 10.5)
    assert table.loc["vit", "median_low"] == pytest.approx(5.5)  # all draws are images like the first
    assert table.loc["vit", "median_high"] == pytest.approx(15.5)
    assert table.loc["two", ["median_low", "median_high"]].isna().all()
    assert table.loc["resnet", ["median_low", "median", "median_high"]].tolist() == pytest.approx([4, 4, 4])
    assert table["precision"].tolist() == ["ok"] * 3


def test_quantiles_stand_for_the_angles_that_were_not_kept():
    own = np.random.default_rng(0)
    whole = bend("vit", own.gamma(2.0, 3.0, (10, 1000, 49)) * own.uniform(0.5, 2, (10, 1, 1)))
    kept = vg.claims.reduced(whole, "direction_change_published")
    assert "angle" not in kept
    exact, near = (bends.direction_change_summary([one]).loc["vit"] for one in (whole, kept))
    assert (near.images, near.directions, near.precision) == (10, 1000, "not kept")
    columns = ["median", "median_low", "median_high", "upper", "upper_low", "upper_high"]
    np.testing.assert_allclose(near[columns].astype(float), exact[columns].astype(float), rtol=0.01)
    with pytest.raises(ArgumentError, match=r"has no angles; direction_change\(\) makes them"):
        bends.angles(whole.drop_vars("angle"))


@pytest.mark.parametrize(
    ("cnn", "words"), [(1, "turn less than"), (9, "turn more than"), (3, "are not set apart from")]
)
def test_families_are_apart_only_if_their_intervals_are(cnn, words):
    table = bends.direction_change_summary([constant("a", 3), constant("b", 5), constant("c", cnn)])
    family = {"a": "transformer", "b": "transformer", "c": "CNN", "d": "CNN"}
    assert bends.apart(table, family) == words
    with_few = bends.direction_change_summary([constant("a", 3), constant("c", cnn), constant("d", cnn, images=5)])
    assert bends.apart(with_few, family) == "are not set apart from"


def test_step_law_summary():
    h = np.array([1e-4, 1e-3, 1e-2, 1e-1])
    law = xr.Dataset(
        {
            "typical": (("statistic", "step_size"), np.radians([h, 100 * h])),
            "fitted": (("statistic", "step_size"), np.array([[True] * 4, [True, True, True, False]])),
            "reason": (("statistic",), ["too few", ""]),
            **{f"exponent{end}": (("statistic",), [9.0, p]) for end, p in (("", 0.5), ("_low", 0.4), ("_high", 0.6))},
        },
        coords={"statistic": ["median", "rms"], "step_size": h},
        attrs={"model": "vit"},
    )
    row = bends.step_law_summary([law]).loc["vit"]
    assert row["exponent"] == "0.50 [0.40, 0.60]"
    assert row["decades"] == 2
    assert row[["at 1e-04", "at 1e-03", "at 1e-01"]].tolist() == pytest.approx([0.01, 0.1, 10])


def test_additivity_summary_leaves_affine_kinds_out():
    kinds = ["convolution", "activation", "attention", "activation"]
    parts = xr.Dataset(
        {name: (("image", "direction", "layer"), np.array([[[9.0, 1.0, 2.0, 4.0]]])) for name in ("bend", "residual")},
        coords={"layer": list("abcd"), "kind": ("layer", kinds)},
        attrs={"model": "vit"},
    )
    row = bends.additivity_summary([parts], "residual").loc["vit"]
    assert row.to_dict() == {"activation": 2.5, "attention": 2.0, "most": "activation"}
    assert bends.additivity_summary([parts]).loc["vit", "attention"] == pytest.approx(np.degrees(2))


def parts(values, kinds):
    return xr.Dataset(
        {"bend": (("image", "direction", "layer"), np.array([[values]]))},
        coords={"kind": ("layer", kinds)},
        attrs={"model": "some"},
    )


@pytest.mark.parametrize(
    ("values", "kinds", "most"),
    [
        ([1.0, 3.0, 9.0], ["softmax", "attention", "linear"], "attention"),
        ([3.0, 3.0, 1.0], ["softmax", "attention", "norm"], "attention and softmax"),
        ([np.nan, 1.0, np.nan], ["softmax", "norm", "norm"], "norm"),
        ([np.nan, np.nan], ["softmax", "norm"], "none"),
        ([1.0], ["linear"], "none"),
    ],
)
def test_the_layer_that_bends_most_may_be_several_or_none(values, kinds, most):
    assert bends.additivity_summary([parts(values, kinds)]).loc["some", "most"] == most


def test_ties_and_undefined_values_do_not_change_an_order():
    short = pd.Series({"a": 2.0, "b": 1.0, "c": 1.0, "d": np.nan})
    assert bends.swapped(short, short[::-1]) == []
    assert bends.swapped(short, pd.Series({"a": 2.0, "b": 1.0, "c": 1.5, "d": 9.0})) == []
    assert bends.swapped(short, pd.Series({"a": 1.0, "b": 2.0, "c": 1.0, "d": 9.0})) == [("a", "b")]
    assert bends.ranking(short) == "a, b = c; undefined: d"
    assert bends.ranking(short[3:]) == "undefined: d"
