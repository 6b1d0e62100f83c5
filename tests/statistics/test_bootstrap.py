import math

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap, rankdata, spearmanr, t, ttest_1samp

from vitgeom_nb.errors import ArgumentError
from vitgeom_nb.statistics.bootstrap import _ranks, absolute_sums, over_images, rank_correlation, thinned
from vitgeom_nb.statistics.intervals import mean_interval, median_interval, ratio_interval, wilson

TRIALS = 200  # a coverage of 95 % is seen to within 3.1 %, two standard errors


def share_covered(count, draw, truth, interval):
    """How many of the intervals that there are hold the truth."""
    own = np.random.default_rng(count)
    found = [interval(*draw(own, count), seed) for seed in range(TRIALS)]
    held = [low <= truth <= high for _, low, high in found if not math.isnan(low)]
    assert len(held) > 0.8 * TRIALS
    return np.mean(held)


def lognormal(own, count):
    return (np.exp(own.normal(size=count)),)


def normal(own, count):
    return (own.normal(size=count),)


def twelve_an_image(own, count):
    return (own.normal(size=(count, 1)) + own.normal(size=(count, 12)),)


def unrelated(own, count):
    return own.normal(size=(2, count))


def related(own, count):
    a = own.normal(size=count)
    return a, 0.6 * a + 0.8 * own.normal(size=count)


def two_of_which_one_is_half(own, count):
    b = 10 + own.normal(size=count)
    return 0.5 * b + own.normal(size=count), b


@pytest.mark.parametrize("count", [6, 10, 30])
@pytest.mark.parametrize(
    ("draw", "truth", "interval", "least", "most"),
    [
        (normal, 0.0, lambda v, _: mean_interval(v), 0.915, 0.985),
        (two_of_which_one_is_half, 0.5, lambda a, b, _: ratio_interval(a, b), 0.915, 0.985),
        (normal, 0.0, lambda v, _: median_interval(v), 0.935, 0.995),
        (lognormal, 1.0, lambda v, _: median_interval(v), 0.935, 0.995),
        (unrelated, 0.0, lambda a, b, s: rank_correlation(a, b, 300, s), 0.905, 0.985),
        (related, 6 / math.pi * math.asin(0.3), lambda a, b, s: rank_correlation(a, b, 300, s), 0.915, 1.0),
        (twelve_an_image, 0.0, lambda v, s: over_images(v, np.mean, 200, s), 0.88, 0.985),
    ],
    ids=[
        "mean",
        "ratio",
        "median",
        "median, skewed",
        "rank correlation of none",
        "rank correlation",
        "mean over images",
    ],
)
def test_intervals_hold_the_truth_as_often_as_they_say(count, draw, truth, interval, least, most):
    assert least <= share_covered(count, draw, truth, interval) <= most


def test_the_interval_of_a_mean_is_students():
    values = [1.0, math.nan, 4.0, 2.0, 2.5, 9.0, 3.0]
    middle, *ends = mean_interval(values)
    assert middle == pytest.approx(21.5 / 6)
    np.testing.assert_allclose(ends, ttest_1samp(np.delete(values, 1), 0).confidence_interval(0.95))


def test_the_interval_of_a_ratio():
    own = np.random.default_rng(0)
    a = own.normal(size=50)
    # over what is the same for all it is that of a mean
    np.testing.assert_allclose(ratio_interval(a, np.full(50, 4.0)), np.array(mean_interval(a)) / 4)
    np.testing.assert_allclose(ratio_interval(3 * a, a), 3)  # what varies alike cancels
    np.testing.assert_allclose(ratio_interval([*a, math.nan, 1.0], [*(a + 9), 1.0, math.nan]), ratio_interval(a, a + 9))
    # of shares of many, that of the bootstrap
    before = (own.random(2000) < 0.5).astype(float)
    after = before * (own.random(2000) < 0.7)
    both = lambda some: some[:, 1].mean() / some[:, 0].mean()  # noqa: E731
    theirs = over_images(np.column_stack([before, after]), both, 1000, 0)
    np.testing.assert_allclose(ratio_interval(after, before), theirs, atol=0.004)
    few = ratio_interval([1.0] * 5, [2.0] * 5)
    assert few.value == 0.5
    assert math.isnan(few.low)
    assert all(map(math.isnan, ratio_interval([1.0] * 9, [1.0, -1.0] * 4 + [0.0])))
    assert all(map(math.isnan, ratio_interval([], [])))


def test_the_interval_of_a_median_is_between_order_statistics():
    # of 20 values the sixth and the fifteenth: 2 P(Bin(20, 1/2) <= 5) = 0.0414, and one further in 0.115
    values = np.random.default_rng(0).permutation(np.arange(1.0, 21.0))
    assert tuple(median_interval([*values, math.nan])) == (10.5, 6, 15)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_rank_correlation_and_its_interval_against_scipy(seed):
    own = np.random.default_rng(seed)
    a = own.integers(0, 6, 80).astype(float)
    b = a + own.normal(size=80) * 3
    found = rank_correlation(a, b, seed=seed)
    assert found.value == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)

    def statistic(x, y):
        return spearmanr(x, y).statistic

    theirs = bootstrap((a, b), statistic, n_resamples=1000, paired=True, vectorized=False, rng=seed)
    np.testing.assert_allclose(found[1:], theirs.confidence_interval, atol=1e-12)
    assert rank_correlation(a, b, seed=seed) == found
    assert rank_correlation(a, b, seed=seed + 5) != found
    b[3] = math.nan
    assert rank_correlation(a, b).value == pytest.approx(spearmanr(np.delete(a, 3), np.delete(b, 3)).statistic)
    b[3] = math.inf  # ranked beyond all others
    assert rank_correlation(a, b).value == pytest.approx(spearmanr(a, np.where(np.isinf(b), 1e9, b)).statistic)


def test_rank_correlations_of_too_little():
    assert all(map(math.isnan, rank_correlation([1.0, 2.0], [1.0, 2.0])))
    value, *ends = rank_correlation([1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 3.0, 4.0, 5.0])
    assert value == pytest.approx(0.9)
    assert all(map(math.isnan, ends))
    assert all(map(math.isnan, rank_correlation(np.ones(20), np.arange(20))))
    value, *ends = rank_correlation(np.arange(20), -(np.arange(20) ** 3))
    assert value == pytest.approx(-1)
    assert all(map(math.isnan, ends))  # no resample disturbs the order
    with pytest.raises(ArgumentError, match="one length"):
        rank_correlation([1.0], [1.0, 2.0])
    with pytest.raises(ArgumentError, match="resamples"):
        rank_correlation([1.0], [1.0], 0)


def test_over_images_asks_scipy_for_more_where_images_are_few():
    values = np.random.default_rng(0).gamma(2.0, size=(8, 3))
    reach = math.sqrt(8 / 7) * t.ppf(0.975, 7)
    level = math.erf(reach / math.sqrt(2))
    assert level == pytest.approx(0.98853, abs=1e-5)

    def statistic(drawn):
        return values[drawn].max(1).mean()

    theirs = bootstrap(
        (np.arange(8),), statistic, n_resamples=500, vectorized=False, confidence_level=level, rng=3
    ).confidence_interval
    found = over_images(values, lambda v: v.max(1).mean(), 500, 3)
    assert found.value == pytest.approx(values.max(1).mean())
    np.testing.assert_allclose(found[1:], theirs, rtol=1e-12)


@pytest.mark.parametrize("count", [6, 100, 3000])
def test_the_same_everywhere_is_a_point(count):
    same = np.full(count, 0.1)
    np.testing.assert_allclose(mean_interval(same), 0.1)
    np.testing.assert_allclose(median_interval(same), 0.1)
    np.testing.assert_allclose(over_images(same, np.mean, 50), 0.1)


def test_fewer_than_six_have_no_interval_and_none_at_all_no_value():
    for few in (mean_interval, median_interval, lambda v: over_images(np.array(v), np.mean)):
        value, *ends = few([1.0, 2.0, 3.0, 4.0, 9.0])
        assert value in (3.0, 3.8)
        assert all(map(math.isnan, ends))
    for none in (mean_interval, median_interval):
        assert all(map(math.isnan, none([])))
        assert all(map(math.isnan, none([math.nan])))
    assert np.isnan(absolute_sums([0.5] * 5, [0] * 5, 1)[1:]).all()


def test_resamples_without_the_statistic_are_left_out_unless_they_are_most():
    values = np.arange(20.0)
    plain = over_images(values, np.mean, 400)
    partly = over_images(values, lambda v: math.nan if v[0] > 15 else v.mean(), 400)  # a fifth of the resamples
    np.testing.assert_allclose(partly, plain, atol=0.7)
    assert not np.isnan(partly).any()
    mostly = over_images(values, lambda v: math.nan if len(np.unique(v)) < 20 else v.mean(), 400)
    assert mostly.value == 9.5
    assert np.isnan(mostly[1:]).all()


def test_where_leaving_one_out_changes_nothing_the_percentiles_serve():
    values = np.repeat([0.0, 1.0], 20)
    found = over_images(values, lambda v: float(v.mean() > 0.6), 1000)  # 1 in a tenth of the resamples
    assert tuple(found) == (0, 0, 1)


def test_wilson_against_scipy():
    share, low, high = wilson([0, 3, 10, 0], [5, 10, 10, 0])
    np.testing.assert_allclose(share, [0, 0.3, 1, math.nan])
    for i, (k, n) in enumerate([(0, 5), (3, 10), (10, 10)]):
        expected = binomtest(k, n).proportion_ci(0.95, "wilson")
        assert low[i] == pytest.approx(expected.low, abs=1e-12)
        assert high[i] == pytest.approx(expected.high, abs=1e-12)
    assert math.isnan(low[3])
    assert math.isnan(high[3])
    counts = np.arange(1, 300)
    assert (wilson(0 * counts, counts).low == 0).all()
    assert (wilson(counts, counts).high == 1).all()


def test_absolute_sums_by_hand():
    # groups sum to 0.6, -0.4 and nothing, over five values
    found = absolute_sums([0.5, 0.1, -0.1, -0.3, 0.0, 0.0], [0, 0, 1, 1, 1, 0], 3)
    assert found.value == pytest.approx(1.0 / 6)
    assert 0 <= found.low <= found.value <= found.high
    far = absolute_sums(np.full(50, 0.2), np.arange(50) % 2, 2)  # groups of one sign: a mean that does not vary
    np.testing.assert_allclose(far, 0.2, atol=1e-12)


def test_variables_of_a_measurement():
    found = mean_interval(np.arange(6.0)).variables("length", "m", "mean length")
    assert list(found) == ["length", "length_low", "length_high"]
    assert [v.units for v in found.values()] == ["m"] * 3
    assert found["length"].long_name == "mean length"
    assert found["length_high"].long_name == "upper end of the 95 % interval of the mean length"


@pytest.mark.parametrize("values", [[3.0, 1.0, 2.0, 5.0], [1.0, 1.0, 0.0, 0.0, -0.0], [np.inf, -np.inf, 2.0, np.inf]])
def test_ranks_by_counting_are_those_by_sorting(values):
    values = np.array(values)
    drawn = np.random.default_rng(0).integers(len(values), size=(50, len(values)))
    weights = np.stack([np.bincount(row, minlength=len(values)) for row in drawn])
    ranks = np.take_along_axis(_ranks(values, weights), drawn, axis=1)
    np.testing.assert_array_equal(ranks, rankdata(values[drawn], axis=-1))


def test_memory_stays_bounded(monkeypatch):
    from vitgeom_nb.statistics import bootstrap as module

    monkeypatch.setattr(module, "AT_ONCE", 1000)
    drawn = []
    a = np.arange(100.0)
    ranks = module._ranks
    monkeypatch.setattr(module, "_ranks", lambda values, rows: drawn.append(rows.size) or ranks(values, rows))
    rank_correlation(a, np.random.default_rng(0).normal(size=100), 300)
    assert max(drawn) <= 1000
    assert sum(drawn) >= 2 * 300 * 100


def test_a_median_of_values_beyond_all_others():
    """Censored values are infinite: the median and its ends are those of any numbers as large in their place."""
    known = np.array([-np.inf, 0.1, 0.4, 0.2, np.inf, 0.3, np.inf, 0.5, np.inf])
    plain = np.nan_to_num(known, posinf=9.0, neginf=-9.0)
    found, expected = median_interval(known), median_interval(plain)
    assert found.value == expected.value
    assert [found.low, found.high] == [-np.inf if expected.low == -9 else expected.low, np.inf]
    assert np.isnan(median_interval([-np.inf] * 4 + [np.inf] * 4).value)


def test_thinned_values_keep_the_quantiles_and_their_intervals():
    own = np.random.default_rng(0)
    values = np.exp(own.normal(own.normal(0, 0.5, (200, 1, 1)), 0.7, (200, 20, 49)))
    few = thinned(values)
    assert few.shape == (200, 50)
    for q in (0.5, 0.95):
        assert np.quantile(few, q) == pytest.approx(np.quantile(values, q), rel=0.02)
    short, whole = (over_images(v, np.median, resamples=200) for v in (few, values.reshape(200, -1)))
    assert short.high - short.low == pytest.approx(whole.high - whole.low, rel=0.2)
    holes = np.where(own.random(values.shape) < 0.1, np.nan, values)
    assert not np.isnan(thinned(holes)).any()
