"""The corrected resampled t-test, against its formula and against splits that overlap."""

import numpy as np
import pytest
from scipy import stats

from fgf_keras.results.resampled import ResampledMean, resampled_mean, verdict


def test_the_variance_is_that_of_nadeau_and_bengio():
    found = resampled_mean([0.1, 0.2, 0.3, 0.6], n_train=200, n_test=50)
    error = np.sqrt((1 / 4 + 50 / 200) * np.var([0.1, 0.2, 0.3, 0.6], ddof=1))
    assert found.mean == pytest.approx(0.3)
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, 3) * error)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)
    assert found.p == pytest.approx(2 * stats.t.sf(0.3 / error, 3))


def test_without_test_patients_it_is_the_plain_t_test(rng):
    values = rng.normal(0.2, 1, 12)
    assert resampled_mean(values, n_train=1, n_test=0).p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_repeated_splits_of_noise_seldom_show_a_difference(rng):
    """Without the correction, splits of one sample of mean 0 often show a difference."""
    shown = {"corrected": 0, "plain": 0}
    for _ in range(300):
        sample = rng.normal(size=60)
        values = [rng.permutation(sample)[:20].mean() for _ in range(20)]
        shown["corrected"] += resampled_mean(values, n_train=40, n_test=20).p < 0.05
        shown["plain"] += stats.ttest_1samp(values, 0).pvalue < 0.05
    assert shown["corrected"] < 0.1 * 300 < shown["plain"]


def test_undefined_splits_are_left_out_and_counted():
    assert resampled_mean([0.1, np.nan, 0.3], n_train=2, n_test=1).splits == 2
    alone = resampled_mean([np.nan, 0.3], n_train=2, n_test=1)
    assert (alone.splits, alone.mean) == (1, 0.3)
    assert np.isnan(alone.p)


def test_arms_that_are_equal_on_every_split_show_no_difference():
    found = resampled_mean([0.0] * 3, n_train=2, n_test=1)
    assert found == (0, 0, 0, 1, 3)
    assert verdict("AUC", "a", "b", found).startswith("no difference shown")


def test_a_difference_without_spread_is_no_certainty():
    found = resampled_mean([0.2] * 3, n_train=2, n_test=1)
    assert np.isnan([found.low, found.high, found.p]).all()
    assert verdict("AUC", "a", "b", found).startswith("no verdict: AUC of a minus b is 0.200 on each of 3")


@pytest.mark.parametrize(
    ("low", "high", "sentence"),
    [
        (0.15, 0.27, "reward raises S_joint by 0.210 [0.150, 0.270] (95%)"),
        (-0.27, -0.15, "reward lowers S_joint by 0.210 [0.150, 0.270] (95%)"),
        (-0.02, 0.44, "no difference shown: S_joint of reward minus baseline is 0.210 [-0.020, 0.440] (95%)"),
    ],
)
def test_the_verdict_is_a_sentence(low, high, sentence):
    found = ResampledMean((low + high) / 2, low, high, 0.01, 5)
    assert verdict("S_joint", "reward", "baseline", found) == sentence


def test_one_split_has_no_verdict():
    assert "two are needed" in verdict("AUC", "a", "b", resampled_mean([0.1], n_train=2, n_test=1))
