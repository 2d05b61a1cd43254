"""Shares of small p-values over networks."""

import numpy as np
import pytest

from fgf_keras.results.rejections import rejections


def test_the_interval_is_that_of_networks_not_of_patients():
    """Networks in which all patients are significant, or none: 40 patients are 4 independent things."""
    found = rejections([np.zeros(10), np.ones(10), np.zeros(10), np.ones(10)], [0.01, 1, 0.01, 1], 0.05)
    assert found["rate"] == 0.5
    # t with 3 degrees of freedom: 3.182 · 0.577/2, cut to what a share can be.
    assert (found["rate_low"], found["rate_high"]) == (0, 1)
    assert (found["cohort_hits"], found["cohorts"]) == (2, 4)
    alike = rejections([np.array([0.01, 0.5])] * 4, [0.2] * 4, 0.05)
    assert (alike["rate_low"], alike["rate_high"]) == (0.5, 0.5)
    assert alike["cohort_high"] == pytest.approx(0.49, abs=0.01)


def test_uniform_p_values_are_at_the_level(rng):
    found = rejections(rng.uniform(size=(50, 40)), rng.uniform(size=50), 0.1)
    assert found["rate_low"] < 0.1 < found["rate_high"]
    assert found["rate_high"] - found["rate_low"] < 0.06
    assert found["distance"] < 0.05


def test_what_is_undefined_is_counted(rng):
    found = rejections([[0.01, np.nan], [np.nan, np.nan]], [0.01, np.nan], 0.05)
    assert (found["networks"], found["patients"], found["undefined"], found["cohorts"]) == (1, 1, 3, 1)
    assert found["rate"] == 1
    assert np.isnan(found["rate_low"])
    assert np.isnan(rejections([[]], [np.nan], 0.05)["rate"])
