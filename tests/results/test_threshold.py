"""The threshold of the decision: on which patients it is chosen, or which loss gives it."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from fgf_keras.config import parse_config
from fgf_keras.errors import ConfigError
from fgf_keras.results.threshold import decision_threshold


@pytest.fixture
def scores(rng):
    labels = np.tile([0, 0, 0, 1], 20)
    logits = rng.normal(size=80) + labels + np.repeat([0, 1.5], 40)
    splits = {"train": np.arange(40), "validation": np.arange(40, 60), "test": np.arange(60, 80)}
    return {part: (labels[rows], logits[rows]) for part, rows in splits.items()}


@pytest.mark.parametrize(
    ("kind", "parts"), [("validation", ["validation"]), ("validation_and_training", ["train", "validation"])]
)
def test_it_has_the_largest_balanced_accuracy_on_its_patients(scores, kind, parts):
    labels, logits = (np.concatenate([scores[part][k] for part in parts]) for k in range(2))
    found = decision_threshold(kind, scores)
    assert (found["chosen_on"], found["criterion"]) == (kind, "largest balanced accuracy")
    assert found["probability"] == pytest.approx(1 / (1 + np.exp(-found["logit"])))
    accuracy = [balanced_accuracy_score(labels, logits > t) for t in np.linspace(-4, 6, 2001)]
    own = balanced_accuracy_score(labels, logits > found["logit"])
    assert own == pytest.approx(max(accuracy))
    others = decision_threshold("validation", scores)["logit"]
    assert (found["logit"] == others) is (kind == "validation")


def test_the_prior_is_that_of_the_loss(scores):
    balanced = decision_threshold("prior", scores)
    assert (balanced["logit"], balanced["probability"], balanced["chosen_on"]) == (0, 0.5, "prior")
    plain = decision_threshold("prior", scores, prevalence=0.13)
    assert plain["logit"] == pytest.approx(np.log(0.13 / 0.87))
    assert plain["probability"] == pytest.approx(0.13)


def test_other_kinds_are_refused():
    with pytest.raises(ConfigError, match="'validation', 'validation_and_training' or 'prior'"):
        parse_config({"evaluate": {"threshold": "training"}})
