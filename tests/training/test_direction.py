"""How the label changes with features: correlations, and the slopes of a logistic regression."""

import numpy as np
import pytest
from scipy.optimize import minimize

from fgf_keras.config import parse_config
from fgf_keras.data.source import source_of
from fgf_keras.errors import FeatureError
from fgf_keras.results import regression
from fgf_keras.training.build import rewarded_features
from fgf_keras.training.direction import label_direction, reward_direction
from fgf_keras.training.feature_check import feature_values

NAMES = ["a", "b", "c"]


@pytest.fixture
def samples(rng):
    values = rng.normal(size=(200, 3)) * [1.0, 50.0, 0.01] + [0, 1000, 0]
    score = values[:, 0] - (values[:, 1] - 1000) / 50
    return values, (score + rng.logistic(size=200) > 1).astype(int)


def test_correlations_are_pearsons(samples):
    values, labels = samples
    found = label_direction(values, labels, NAMES)
    centred = values - values.mean(axis=0)
    expected = centred.T @ (labels - labels.mean())
    expected /= np.sqrt((centred**2).sum(axis=0) * ((labels - labels.mean()) ** 2).sum())
    assert [*found.values()] == pytest.approx(expected.tolist())
    assert found["a"] > 0 > found["b"]


def test_slopes_minimise_the_balanced_penalised_loss(samples, monkeypatch):
    """With one strength to choose from, they are those of the loss written down once more."""
    monkeypatch.setattr(regression, "STRENGTHS", [0.1])
    values, labels = samples
    found = label_direction(values, labels, NAMES, "regression")
    sd = values.std(axis=0)
    x, sign = (values - values.mean(axis=0)) / sd, 2 * labels - 1
    weights = len(labels) / 2 / np.bincount(labels)[labels]

    def loss(parameters):
        margin = sign * (x @ parameters[:3] + parameters[3])
        return 0.1 * np.sum(weights * np.logaddexp(0, -margin)) + parameters[:3] @ parameters[:3] / 2

    best = minimize(loss, np.zeros(4), tol=1e-10).x
    assert [*found.values()] == pytest.approx((best[:3] / sd).tolist(), rel=1e-3, abs=1e-6)


def test_units_do_not_matter(samples):
    values, labels = samples
    one = label_direction(values, labels, NAMES, "regression")
    other = label_direction(values * [1, 1e3, 1], labels, NAMES, "regression")
    assert other["b"] == pytest.approx(one["b"] / 1e3, rel=1e-6)
    single = labels * 0
    single[3] = 1
    assert np.isfinite([*label_direction(values, single, NAMES, "regression").values()]).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v, y: (v, y + 1), r"labels 0 and 1. Received: \[1, 2\]"),
        (lambda v, y: (v, y * 0), r"labels 0 and 1. Received: \[0\]"),
        (lambda v, y: (v * [1, 0, 1], y), "b is constant"),
        (lambda v, y: (np.where(v > 1040, np.inf, v), y), "b is constant, undefined or not a number"),
        (lambda v, y: (v * [1, np.nan, 1], y), "b is constant, undefined or not a number"),
        (lambda v, y: (np.where(y[:, None] == 1, np.nan, v), y), "a is defined for .* all of one class"),
        (lambda v, y: (v[:, :2], y), "3 features. Received: shape"),
    ],
)
def test_what_has_no_direction_is_refused(samples, change, words):
    with pytest.raises(FeatureError, match=words):
        label_direction(*change(*samples), NAMES)


@pytest.fixture
def without_a_value(samples):
    """Every third patient."""
    missing = np.zeros(len(samples[1]), bool)
    missing[::3] = True
    return missing


def test_a_correlation_is_of_the_patients_with_a_value(samples, without_a_value):
    values, labels = samples
    rest = label_direction(values[~without_a_value], labels[~without_a_value], NAMES)
    found = label_direction(np.where(without_a_value[:, np.newaxis], np.nan, values), labels, NAMES)
    assert found == pytest.approx(rest)


def test_a_missing_value_bends_no_slope(samples, without_a_value):
    """It counts as the mean of its column; a number in its place would be believed."""
    values, labels = samples
    rest = label_direction(values[~without_a_value], labels[~without_a_value], NAMES, "regression")
    for placeholder, close in ((np.nan, True), (0.0, False)):
        filled = np.where(without_a_value[:, np.newaxis], placeholder, values)
        found = label_direction(filled, labels, NAMES, "regression")
        assert (abs(found["b"] / rest["b"] - 1) < 0.3) == close


def test_a_configured_reward_takes_it_from_the_training_patients():
    config = parse_config(
        {
            "data": {"size": 32, "phantom": {"patients": 80, "prevalence": 0.4}},
            "features": ["brightness", "extent", "log_aspect_ratio"],
            "reward": {"kind": "signed", "targets": {"log_aspect_ratio": "penalise"}},
        }
    )
    cohort, features = source_of(config).cohort(), rewarded_features(config)
    rows = np.arange(50)
    found = reward_direction(config.reward, features, cohort, rows, seed=0)
    assert set(found) == {"brightness", "extent"}
    # By what the phantom's label is made of, on the same patients alone.
    again = reward_direction(config.reward, features, cohort.select(rows), rows, seed=0)
    assert found == again
    assert min(found.values()) > 0
    given = config.reward.model_copy(update={"direction": {"brightness": -1.0, "extent": 1.0}})
    assert reward_direction(given, features, cohort, rows, seed=0) == given.direction
    assert reward_direction(config.reward.off, features, cohort, rows, seed=0) is None


def test_a_given_direction_may_be_in_standard_deviations_of_the_training_patients():
    config = parse_config(
        {
            "data": {"size": 32, "phantom": {"patients": 60, "prevalence": 0.4}},
            "features": ["brightness", "extent"],
            "reward": {"kind": "distil", "direction_per": "sd"},
        }
    )
    cohort, features, rows = source_of(config).cohort(), rewarded_features(config), np.arange(40)
    given = config.reward.model_copy(update={"direction": {"brightness": 1.0, "extent": -2.0}})
    found = reward_direction(given, features, cohort, rows, seed=0)
    training = cohort.select(rows)
    sd = {feature.name: np.std(feature_values(feature, training)) for feature in features}
    assert found == pytest.approx({"brightness": 1 / sd["brightness"], "extent": -2 / sd["extent"]})
    # Without a given direction, it is that of the training patients, per unit.
    plain = config.reward.model_copy(update={"direction_per": "unit"})
    assert reward_direction(config.reward, features, cohort, rows, seed=0) == reward_direction(
        plain, features, cohort, rows, seed=0
    )
