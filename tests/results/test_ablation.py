"""Shares of features beside what changes without each in the reward."""

import numpy as np
import pandas as pd
import pytest

from fgf_keras.results.ablation import ablation_table
from fgf_keras.results.resampled import resampled_mean

CHANGES = [0.1, 0.2, 0.6]


@pytest.fixture
def table():
    trials = []
    for r, change in enumerate(CHANGES):
        for arm, factor in (("sum", 0), ("without_extent", -1), ("without_brightness", 2)):
            figures = {"auc": 0.7 + factor * change, "mask.S_joint": 0.8, "mask.S_extent": 0.3}
            figures["mask.S_brightness"] = 0.5
            trials.append({"repeat": f"r{r}", "arm": arm, "n_train": 40, "n_test": 20} | figures)
    patients = [
        pd.DataFrame(
            {
                "mask.unique_extent": [0.1 + r, 0.3 + r, np.nan],
                "mask.unique_brightness": 0.0,
                "mask.shapley_extent": 0.2,
                "mask.shapley_brightness": 0.0,
            }
        )
        for r in range(3)
    ]
    table = ablation_table(
        pd.DataFrame(trials),
        patients,
        arm="sum",
        features=["brightness", "extent"],
        supports=["mask"],
        confidence=0.95,
    )
    return table.set_index("feature")


def test_shares_are_means_over_the_splits_of_those_of_the_patients(table):
    extent = table.loc["extent"]
    assert extent["unique"] == pytest.approx(1.2)
    assert extent["unique_left_out"] == 3
    assert extent["shapley"] == pytest.approx(0.2)


def test_changes_are_paired_with_the_whole_reward(table):
    expected = resampled_mean([-change for change in CHANGES], n_train=40, n_test=20)
    extent = table.loc["extent"]
    assert extent["without_reward_auc"] == pytest.approx(expected.mean)
    # The interval of two splits is wider than a difference of two AUCs can be.
    assert expected.low < -1
    assert extent["without_reward_auc_low"] == -1
    assert extent["without_reward_auc_high"] == pytest.approx(expected.high)
    assert table.loc["brightness", "without_reward_auc"] == pytest.approx(0.6)
    assert extent["without_reward_S_joint"] == 0
