"""Drops of AUC and balanced accuracy are paired over patients, and stand beside those of random changes."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fgf_keras.results.drops import classification_drops

LABELS = np.repeat([0, 1], [40, 20])
SETTINGS = {"bootstrap": 300, "confidence": 0.9, "seed": 0}


@pytest.fixture
def logits(rng):
    return rng.normal(size=60) + 1.5 * LABELS


def test_no_change_is_no_drop_in_any_resample(logits):
    drops = classification_drops(LABELS, logits, logits, [logits] * 3, 0.5, **SETTINGS)
    for entry in drops.values():
        assert entry["drop"] == {"mean": 0, "ci": [0, 0]}
        assert entry["random"] == {"after": entry["before"], "drop": 0, "q05": 0, "q95": 0, "p": 1}


def test_the_same_patients_are_drawn_before_and_after(logits, rng):
    after = logits + rng.normal(0, 0.05, 60)
    paired = classification_drops(LABELS, logits, after, [], 0.5, **SETTINGS)["auc"]
    low, high = paired["drop"]["ci"]
    # Unpaired intervals would be as wide as those of the AUC itself, about ±0.1.
    assert high - low < 0.03
    assert paired["random"]["p"] is None
    assert paired["drop"]["mean"] == pytest.approx(
        roc_auc_score(LABELS, logits) - roc_auc_score(LABELS, after)
    )


def test_p_counts_the_random_changes_that_lose_as_much(logits, rng):
    lost = rng.normal(size=60)
    random = [logits, logits, -logits, lost]
    drops = classification_drops(LABELS, logits, lost, random, 0.5, **SETTINGS)
    assert drops["auc"]["drop"]["ci"][0] > 0
    assert drops["auc"]["random"]["p"] == 3 / 5
    assert drops["auc"]["random"]["after"] == pytest.approx(
        np.mean([roc_auc_score(LABELS, values) for values in random])
    )
    assert drops["auc"]["random"]["q05"] == pytest.approx(0)


def test_one_class_has_no_drop(logits):
    drops = classification_drops(np.ones(60, int), logits, logits, [logits], 0.5, **SETTINGS)
    for entry in drops.values():
        assert (entry["before"], entry["after"], entry["drop"]["mean"]) == (None, None, None)
        assert set(entry["random"].values()) == {None}
