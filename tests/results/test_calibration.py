"""Observed rates beside predictions, and ROC curves on a common grid."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

from fgf_keras.report.sections.performance import roc_band
from fgf_keras.report.sections.roc import GRID, roc_on_grid
from fgf_keras.results.calibration import calibration_bins, calibration_summary


def test_groups_are_those_of_scikit_learn(rng):
    probability = rng.random(100)
    labels = (rng.random(100) < probability).astype(int)
    bins = calibration_bins(labels, probability)
    observed, predicted = calibration_curve(labels, probability, n_bins=5, strategy="quantile")
    np.testing.assert_allclose(bins["observed"], observed)
    np.testing.assert_allclose(bins["predicted"], predicted)
    assert bins["n"].sum() == 100
    assert ((bins["low"] <= bins["observed"]) & (bins["observed"] <= bins["high"])).all()


def test_wilsons_interval_of_none_in_ten():
    bins = calibration_bins(np.repeat([0, 1], 10), np.repeat([0.1, 0.9], 10))
    assert bins["n"].tolist() == [10, 10]
    assert bins["low"].iloc[0] == pytest.approx(0)
    # z²/(n + z²) with z = 1.96.
    assert bins["high"].iloc[0] == pytest.approx(3.8415 / 13.8415, abs=1e-4)


def test_predictions_all_alike_are_one_group():
    bins = calibration_bins(np.array([0, 1, 0, 0]), np.full(4, 0.3))
    assert bins[["n", "positive"]].to_numpy().tolist() == [[4, 1]]


def test_brier_score_beside_that_of_the_prevalence():
    found = calibration_summary(np.array([0, 0, 0, 1]), np.array([0.2, 0.2, 0.2, 0.6]))
    assert found["brier"] == pytest.approx((3 * 0.04 + 0.16) / 4)
    assert found["reference"] == pytest.approx(0.25 * 0.75)
    assert found["expected_to_observed"] == pytest.approx(0.3 / 0.25)


def test_the_curve_on_the_grid_has_the_area_of_the_auc(rng):
    labels = np.repeat([0, 1], [100, 40])
    logits = rng.normal(size=140) + labels
    curve = roc_on_grid(labels, logits)
    assert (np.diff(curve) >= 0).all()
    assert curve[-1] == 1
    # Steps of one negative patient each: the area is exact.
    assert curve[:-1].mean() == pytest.approx(roc_auc_score(labels, logits))


def test_the_band_holds_the_curve_and_narrows_with_patients(rng):
    widths = []
    for n in (20, 200):
        labels = np.repeat([0, 1], n)
        logits = rng.normal(size=2 * n) + labels
        low, high = roc_band(labels, logits, confidence=0.95, seed=0)
        curve = roc_on_grid(labels, logits)
        assert ((low <= curve + 1e-9) & (curve <= high + 1e-9)).mean() > 0.95
        widths.append((high - low).mean())
    assert widths[1] < widths[0] / 2
    assert len(GRID) == len(low)
