import numpy as np
import pytest
import xarray as xr

from vitgeom_nb import bends


def bend(name, angle):
    return xr.Dataset(
        {"angle": (("image", "direction", "step"), np.radians(angle))}, attrs={"model": name, "precision": "ok: fine."}
    )


def constant(name, degrees, images=6):
    return bend(name, np.full((images, 2, 3), float(degrees)))


def test_bootstrap_over_images_covers_the_mean_as_the_normal_law_does():
    values = np.random.default_rng(0).normal(3.0, 2.0, size=(400, 5))
    middle, low, high = bends.over_images(values, lambda v: float(v.mean()), seed=1)
    assert middle == pytest.approx(values.mean())
    half = 1.96 * values.mean(axis=1).std() / np.sqrt(400)
    assert high - middle == pytest.approx(half, rel=0.15)
    assert middle - low == pytest.approx(half, rel=0.15)


def test_direction_change_summary_is_in_degrees():
    angle = np.arange(1.0, 21.0).reshape(2, 2, 5)
    table = bends.direction_change_summary([bend("vit", angle), constant("resnet", 4)])
    assert table.loc["vit", "median"] == pytest.approx(10.5)
    assert table.loc["vit", "upper"] == pytest.approx(np.quantile(angle, 0.95))
    assert table.loc["vit", "tail"] == pytest.approx(np.quantile(angle, 0.95) / 10.5)
    assert table.loc["vit", "median_low"] == pytest.approx(5.5)  # both draws are the first image
    assert table.loc["resnet", ["median_low", "median", "median_high"]].tolist() == pytest.approx([4, 4, 4])
    assert table["precision"].tolist() == ["ok", "ok"]


@pytest.mark.parametrize(
    ("cnn", "words"), [(1, "turn less than"), (9, "turn more than"), (3, "are not set apart from")]
)
def test_families_are_apart_only_if_their_intervals_are(cnn, words):
    table = bends.direction_change_summary([constant("a", 3), constant("b", 5), constant("c", cnn)])
    assert bends.apart(table, {"a": "transformer", "b": "transformer", "c": "CNN"}) == words


def test_step_law_summary():
    h = np.array([1e-4, 1e-3, 1e-2, 1e-1])
    law = xr.Dataset(
        {
            "typical": (("statistic", "step_size"), np.radians([h, 100 * h])),
            "fitted": (("statistic", "step_size"), np.array([[True] * 4, [True, True, True, False]])),
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


def test_training_summary():
    history = xr.Dataset(
        {"top1": ("epoch", [0.0, 0.3, 0.5]), "direction_change": ("epoch", np.radians([2.0, 8.0, 4.0]))},
        coords={"epoch": [0.0, 1.0, 4.0]},
        attrs={"model": "vit"},
    )
    row = bends.training_summary([history]).loc["vit"]
    assert row["top-1, %"] == 50
    assert row[["untrained", "largest", "largest at epoch", "trained"]].tolist() == pytest.approx([2, 8, 1, 4])
    assert row["training left it"] == "more bent"
    for first, words in ((8.0, "straighter"), (3.9, "as bent as before"), (4.1, "as bent as before")):
        other = history.assign(direction_change=("epoch", np.radians([first, 3.0, 4.0])))
        assert bends.training_summary([other]).loc["vit", "training left it"] == words
