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
    return labels, logits, splits


@pytest.mark.parametrize(
    ("kind", "rows"), [("validation", np.arange(40, 60)), ("validation_and_training", np.arange(60))]
)
def test_it_has_the_largest_balanced_accuracy_on_its_patients(scores, kind, rows):
    labels, logits, splits = scores
    found = decision_threshold(kind, labels, logits, splits)
    assert (found["chosen_on"], found["criterion"]) == (kind, "largest balanced accuracy")
    assert found["probability"] == pytest.approx(1 / (1 + np.exp(-found["logit"])))
    accuracy = [balanced_accuracy_score(labels[rows], logits[rows] > t) for t in np.linspace(-4, 6, 2001)]
    own = balanced_accuracy_score(labels[rows], logits[rows] > found["logit"])
    assert own == pytest.approx(max(accuracy))
    others = decision_threshold("validation", labels, logits, splits)["logit"]
    assert (found["logit"] == others) is (kind == "validation")


def test_the_prior_is_that_of_the_loss(scores):
    balanced = decision_threshold("prior", *scores)
    assert (balanced["logit"], balanced["probability"], balanced["chosen_on"]) == (0, 0.5, "prior")
    plain = decision_threshold("prior", *scores, prevalence=0.13)
    assert plain["logit"] == pytest.approx(np.log(0.13 / 0.87))
    assert plain["probability"] == pytest.approx(0.13)


def test_training_patients_have_to_be_measured():
    both = {"threshold": "validation_and_training", "training_patients": False}
    with pytest.raises(ConfigError, match="needs the scores of the training patients"):
        parse_config({"evaluate": both})
    parse_config({"evaluate": both | {"training_patients": True}})
    with pytest.raises(ConfigError, match="prior"):
        parse_config({"evaluate": {"threshold": "training"}})
