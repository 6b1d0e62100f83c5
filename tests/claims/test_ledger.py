"""The table of claims on runs whose verdicts are known by construction."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import spearmanr

import vitgeom_nb as vg
from vitgeom_nb import errors
from vitgeom_nb.claims import samples
from vitgeom_nb.claims.quantities import QUANTITIES
from vitgeom_nb.claims.rules import COMPARED, DOES_NOT_APPLY, JUDGED, NOT_MEASURED, WORDS
from vitgeom_nb.claims.runs import Recorded, family_of, tier_of
from vitgeom_nb.claims.samples import across, kept, mean, median, pooled, rank, share
from vitgeom_nb.claims.sentences import COMPARISONS, claims
from vitgeom_nb.statistics.intervals import mean_interval

from . import simulated as made


@pytest.fixture(scope="module")
def true():
    return vg.claims.table(made.run(made.TRUE, made.TRUE_CNN, n=120))


@pytest.fixture(scope="module")
def false():
    return vg.claims.table(made.run(made.FALSE, made.FALSE_CNN, n=120))


def of(table, claim, network):
    (row,) = table[(table["claim"] == claim) & (table["network"] == network)].to_dict("records")
    return row


def test_all_21_sentences_have_a_rule_and_a_quantity():
    assert list(claims()) == [*(f"S{i}" for i in range(1, 11)), *(f"K{i}" for i in range(1, 12))]
    assert set(QUANTITIES) == set(claims()) - {"S10"}
    for claim in claims().values():
        assert claim.sentence.endswith(".")
        assert claim.rules
        assert claim.paper == {"S": "salman2024", "K": "kim2024"}[claim.id[0]]
        for rule in claim.rules.values():
            assert rule.comparison in COMPARISONS
            assert len(rule.why) > 20
    table = vg.claims.sentences()
    assert table.rule["S7"] == "any: between 50 and 200"
    assert table.rule["K9"] == "any: above 25.02"
    assert table.rule["K3"] == "transformer: between -0.2 and 0.2"


def test_where_every_sentence_holds_every_verdict_says_so(true):
    assert set(true["verdict"]) == {"supported", COMPARED, DOES_NOT_APPLY}
    assert (true["verdict"] == true["corrected"]).all()
    assert of(true, "S10", "all networks")["verdict"] == "supported"
    assert set(true[true["verdict"] == DOES_NOT_APPLY]["claim"]) == {"K10"}
    assert set(true["claim"]) == set(claims())


def test_where_none_holds_every_verdict_says_that(false):
    judged = false[false["verdict"].isin(JUDGED)]
    assert set(judged["verdict"]) == {"not supported"}, judged[judged["verdict"] != "not supported"]
    assert of(false, "S10", "vit")["estimate"] == 0
    assert (false["verdict"] == false["corrected"]).all()


def test_estimates_are_what_was_put_in_and_intervals_hold_it(true):
    asked = made.TRUE
    for claim, key in {
        "S5": "null",
        "S6": "error",
        "S7": "ratio",
        "K3": "decoupled",
        "K8": "nearer",
        "K9": "jumped",
    }.items():
        row = of(true, claim, "vit")
        assert row["low"] <= row["estimate"] <= row["high"]
        assert row["estimate"] == pytest.approx(asked[key], rel=0.1, abs=0.12)
    assert of(true, "K4", "vit")["estimate"] == pytest.approx(8.0, rel=0.03)
    assert of(true, "K5", "vit")["estimate"] == pytest.approx(24.0, rel=0.05)
    assert of(true, "K1", "resnet")["estimate"] == pytest.approx(-0.08, abs=0.03)
    assert of(true, "K2", "swin")["estimate"] == pytest.approx(0.8, abs=0.03)
    assert of(true, "K3", "vit")["n"] == 540  # of 600, one in ten is already wrong
    assert of(true, "K11", "vit")["estimate"] == pytest.approx(4.0, rel=0.03)


def test_classes_are_compared_over_images(true):
    for claim in ("K1", "K2", "K4", "K5", "K8"):
        means = {name: of(true, claim, name) for name in ("transformers", "CNNs", "transformers − CNNs")}
        each = {name: of(true, claim, name)["estimate"] for name in ("vit", "swin", "resnet", "mobilenetv2")}
        assert means["transformers"]["estimate"] == pytest.approx((each["vit"] + each["swin"]) / 2, rel=1e-6)
        assert means["CNNs"]["estimate"] == pytest.approx((each["resnet"] + each["mobilenetv2"]) / 2, rel=1e-6)
        difference = means["transformers"]["estimate"] - means["CNNs"]["estimate"]
        row = means["transformers − CNNs"]
        assert row["estimate"] == pytest.approx(difference, rel=1e-6)
        assert row["low"] < row["estimate"] < row["high"]
    assert "transformers" not in set(true[true["claim"] == "K7"]["network"])
    assert of(true, "K2", "vit")["verdict"] == COMPARED


def test_equivalence_asks_for_a_margin_not_for_a_missing_significance():
    few = {"vit": {"travel_distance": made.travel(np.random.default_rng(0), 30, 0.0)}}
    many = {"vit": {"travel_distance": made.travel(np.random.default_rng(0), 3000, 0.1)}}
    row = of(vg.claims.table(few), "K3", "vit")
    assert row["low"] < 0 < row["high"]
    assert row["verdict"] == "inconclusive"  # nothing is significant, and nothing is shown
    row = of(vg.claims.table(many), "K3", "vit")
    assert row["low"] > 0
    assert row["verdict"] == "supported"  # significantly correlated, and still within the margin


def test_what_a_run_lacks_is_not_measured_yet():
    table = vg.claims.table({}, networks=["vit", "clip"])
    assert set(table["verdict"]) == {NOT_MEASURED}
    assert table["n"].sum() == 0
    assert table[["estimate", "low", "high", "p"]].isna().all(axis=None)
    part = vg.claims.table({"vit": {"singular_spectrum": made.spectrum(np.random.default_rng(0), 50, 0.7)}})
    assert set(part[part["verdict"] != NOT_MEASURED]["claim"]) == {"S4", "S10"}
    assert of(part, "S10", "vit")["verdict"] == "inconclusive"  # eight of its nine sentences are open


def test_a_network_of_fewer_than_ten_singular_values_holds_all_of_them():
    whole = xr.Dataset({"energy": (("image", "rank"), [[0.7, 1.0]] * 8)}, {"rank": [1, 2]})
    row = of(vg.claims.table({"mine": {"singular_spectrum": whole}}), "S4", "mine")
    assert (row["estimate"], row["n"]) == (1, 8)
    cut = vg.claims.table({"mine": {"singular_spectrum": whole.isel(rank=[0])}})  # of a spectrum that was cut short
    assert of(cut, "S4", "mine")["verdict"] == NOT_MEASURED


def test_few_images_decide_nothing_after_correction():
    own = np.random.default_rng(0)
    six = {name: {"singular_spectrum": made.spectrum(own, 6, 0.7)} for name in ("vit", "swin")}
    table = vg.claims.table(six)
    for name in six:
        row = of(table, "S4", name)
        assert row["verdict"] == "supported"
        assert row["corrected"] == "inconclusive"  # twice 1/32 is more than 1/20
        assert row["p"] == pytest.approx(2 / 2**6)
    alone = of(vg.claims.table(six, networks=["vit"]), "S4", "vit")
    assert alone["corrected"] == "supported"
    five = {
        "vit": {"singular_spectrum": made.spectrum(own, 5, 0.7), "match_gradient_descent": made.match(own, 3, 0, 0)}
    }
    for claim in ("S4", "S3"):  # a share has an interval of three pairs too, and decides nothing either
        assert of(vg.claims.table(five), claim, "vit")["verdict"] == "inconclusive"


def test_a_network_of_ones_own_is_judged_by_the_class_one_gives_it():
    seen = {"mine": {"predictions": made.predictions(np.random.default_rng(0), 4000, -0.1)}}
    verdicts = {
        kind: of(vg.claims.table(seen, families=kind and {"mine": kind}), "K1", "mine")["verdict"]
        for kind in (None, "CNN", "transformer")
    }
    assert verdicts == {None: COMPARED, "CNN": "supported", "transformer": "not supported"}
    with pytest.raises(errors.ArgumentError, match="transformer"):
        vg.claims.table(seen, families={"mine": "MLP"})


def test_networks_are_compared_within_their_tier():
    assert [tier_of(name) for name in ("vit", "vit-b", "clip", "mine")] == ["embedded", "control", "paper", "own"]
    assert [family_of(n, {}) for n in ("vit-b", "convnext-b", "resnet50", "mine")] == [
        "transformer", "CNN", "CNN", "custom",
    ]  # fmt: skip
    own = np.random.default_rng(0)
    run = {name: {"predictions": made.predictions(own, 500, 0.0)} for name in ("vit", "resnet50")}
    assert "transformers" not in set(vg.claims.table(run)["network"])


def test_logits_and_labels_serve_as_predictions():
    own = np.random.default_rng(0)
    z, label = own.normal(size=(500, 7)) * 3, own.integers(0, 7, 500)
    run = {"resnet": {"predictions": made.dataset(logits=(["image", "class"], z), label=(["image"], label))}}
    soft = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    gap = (z.argmax(1) == label) - soft.max(1)
    row = of(vg.claims.table(run), "K1", "resnet")
    np.testing.assert_allclose([row[k] for k in ("estimate", "low", "high")], mean_interval(gap))


def test_numbers_beside_have_no_verdict():
    run = {"vit": made.network(made.TRUE, n=30)}
    table = vg.claims.table(run, beside=True)
    extra = table[table["verdict"] == ""]
    assert set(extra[extra["claim"] == "S1"]["unit"]) == {"dB", "1"}
    assert "secant to the match over random steps as long" in set(extra["quantity"])
    assert extra["p"].isna().all()
    assert len(table) - len(extra) == len(vg.claims.table(run))


def test_what_is_never_wrong_is_beyond_all_others():
    jumped = made.jumps(np.random.default_rng(0), 40, 0.0, 1.0, 0.5, 25.8)
    outcome = jumped.outcome.values.astype("U13")
    outcome[:30, 1] = "never wrong"
    row = of(
        vg.claims.table({"vit": {"random_jump": jumped.assign(outcome=(("image", "path"), outcome))}}), "K8", "vit"
    )
    assert row["estimate"] == np.inf
    assert row["verdict"] == "not supported"
    outcome[:30, 1] = "already wrong"  # pushed over by the jump itself: no way is left
    row = of(
        vg.claims.table({"vit": {"random_jump": jumped.assign(outcome=(("image", "path"), outcome))}}), "K8", "vit"
    )
    assert row["estimate"] == 0
    assert row["verdict"] == "supported"


def test_the_recorded_evidence_is_read_and_its_weights_are_held_to_the_cards(tmp_path):
    folder = tmp_path / "evidence"
    (folder / "vit").mkdir(parents=True)
    (folder / "mine").mkdir()
    spectrum = made.spectrum(np.random.default_rng(0), 20, 0.7)
    path = vg.save_measurement(
        spectrum.assign_attrs(weights=vg.load("vit").digest), folder / "vit" / "singular_spectrum.nc"
    )
    vg.save_measurement(spectrum, folder / "mine" / "singular_spectrum.nc")
    run = Recorded(folder)
    assert list(run) == ["vit", "mine"]
    assert list(run["vit"]) == ["predictions", "singular_spectrum"]
    assert run["vit"]["predictions"].sizes["image"] == 10_000
    table = vg.claims.table(folder, networks=["mine", "vit"])
    assert [of(table, "S4", name)["verdict"] for name in ("vit", "mine")] == ["supported"] * 2
    recorded = vg.reliability(vg.recorded_predictions("vit"), resamples=10)
    np.testing.assert_allclose(of(table, "K1", "vit")["estimate"], float(recorded.sece), atol=1e-9)
    vg.save_measurement(spectrum, path)
    with pytest.raises(errors.DataError, match="other weights"):
        vg.claims.table(folder)
    with pytest.raises(errors.DataError, match="not a folder"):
        vg.claims.table(tmp_path / "nowhere")
    with pytest.raises(errors.ArgumentError, match="mapping"):
        vg.claims.table(3)


def test_the_toolkits_values_are_met_or_not():
    own = np.random.default_rng(0)
    confidence = own.uniform(0.55, 1.0, 50_000)
    for shift, word in ((-0.04092, "met"), (-0.06, "not met")):
        right = own.random(50_000) < confidence + shift
        seen = made.dataset(
            label=(["image"], np.ones(50_000, int)),
            predicted=(["image"], right.astype(int)),
            confidence=(["image"], confidence),
        )
        found = vg.claims.references({"resnet50-v1": {"predictions": seen}}).set_index("quantity")
        assert found.verdict["signed ECE"] == word
        assert found.measured["accuracy"] == pytest.approx(right.mean())
        gap = right - confidence
        assert found.measured["signed ECE"] == pytest.approx(gap.mean())
        edges = np.ceil(confidence * 10).astype(int)
        by_hand = sum(abs(gap[edges == k].sum()) for k in range(1, 11)) / 50_000
        assert found.measured["ECE"] == pytest.approx(by_hand)
    assert set(vg.claims.references({}).verdict) == {NOT_MEASURED}


def test_differences_of_unequal_runs_add_in_quadrature():
    own = np.random.default_rng(0)
    a, b = (kept(np.ones(n), own.random(n)) for n in (200, 300))
    found, n = across([(1.0, [a]), (-1.0, [b])])
    first, second = a.interval(), b.interval()
    assert n == 200
    assert found.value == pytest.approx(first.value - second.value)
    below = np.hypot(first.value - first.low, second.high - second.value)
    assert found.value - found.low == pytest.approx(below)
    assert found.high - found.value == pytest.approx(np.hypot(first.high - first.value, second.value - second.low))


def test_images_drawn_together_cancel_what_they_share():
    own = np.random.default_rng(0)
    hard = own.normal(size=400)  # what an image does to every network
    a, b = (pooled((hard + shift + own.normal(0, 0.1, 400))[:, None], 0.5) for shift in (1.0, 0.0))
    together, _ = across([(1.0, [a]), (-1.0, [b])])
    alone = [sample.interval() for sample in (a, b)]
    assert together.low < 1.0 < together.high
    assert together.high - together.low < 0.7 * min(one.high - one.low for one in alone)


def test_statistics_of_samples_are_those_of_numpy_and_scipy(monkeypatch):
    own = np.random.default_rng(0)
    x = own.random((40, 5))
    x[3] = np.nan
    a, b = x[:, 0].copy(), x[:, 1].round(1)  # with ties
    a[7] = np.inf
    drawn = own.integers(40, size=(9, 40))
    drawn[0] = np.arange(40)
    weights = np.stack([np.bincount(row, minlength=40) for row in drawn]).astype(float)
    cases = [
        (pooled(x, 0.9), lambda row: np.nanquantile(x[row], 0.9)),
        (median(a), lambda row: np.nanmedian(a[row])),
        (mean(b), lambda row: np.nanmean(b[row])),
        (kept(b, x), lambda row: np.nanmean(x[row]) / np.nanmean(b[row])),
        (rank(a, b), lambda row: spearmanr(a.clip(max=9)[row], b[row], nan_policy="omit").statistic),
    ]
    for sample, function in cases:
        np.testing.assert_allclose(sample.of_weights(weights), [function(row) for row in drawn], err_msg=sample.kind)
        assert np.isnan(sample.of_weights(np.eye(40)[[3]])).all()  # what has no values has no statistic
    whole = pooled(x, 0.9).of_weights(weights)
    monkeypatch.setattr(samples, "AT_ONCE", 100)  # a resample or two at a time
    np.testing.assert_array_equal(pooled(x, 0.9).of_weights(weights), whole)
    nothing = np.full(40, np.nan)
    for sample in (pooled(nothing, 0.9), mean(nothing), kept(nothing, nothing), rank(nothing, nothing)):
        assert np.isnan(sample.of_weights(weights)).all()
    assert rank(a, b).of_weights(np.ones((1, 40))) == pytest.approx(rank(a, b).interval().value)
    assert pooled(x, 0.9).count == 39
    assert share([True, False, True], among=[True, True, False]).interval().value == 0.5
    wide = own.random((4, 20_000))
    assert pooled(wide, 0.95).of_weights(np.ones((1, 4))) == pytest.approx(np.quantile(wide, 0.95), abs=1e-3)


def test_every_word_is_one_of_the_list(true, false):
    assert set(true["verdict"]) | set(false["verdict"]) <= set(WORDS)


def test_how_many_images_would_decide_what_is_open():
    own = np.random.default_rng(0)
    few = {"vit": {"travel_distance": made.travel(own, 60, 0.1)}}
    row = of(vg.claims.table(few), "K3", "vit")
    assert row["verdict"] == "inconclusive"
    (found,) = vg.claims.undecided(vg.claims.table(few)).to_dict("records")
    border = 0.2 if row["estimate"] > 0 else -0.2
    half = row["high"] - row["estimate"] if border > row["estimate"] else row["estimate"] - row["low"]
    assert found["border"] == pytest.approx(border)
    assert found["needed"] == np.ceil(row["n"] * (half / abs(row["estimate"] - border)) ** 2)
    assert found["needed"] > row["n"]
