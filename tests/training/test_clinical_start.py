"""A clinical part begins as the regression on the training patients, and nothing else changes."""

import keras
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from fgf_keras.config import parse_config
from fgf_keras.data.clinical import encoded
from fgf_keras.data.source import source_of
from fgf_keras.errors import ConfigError
from fgf_keras.models.late_fusion import LateFusion
from fgf_keras.results.regression import STRENGTHS, fitted_regression
from fgf_keras.training.build import build_model
from fgf_keras.training.clinical_start import start_clinical_part

SETTINGS = {
    "data": {
        "size": 24,
        "phantom": {"patients": 80, "prevalence": 0.3},
        "clinical": [{"name": "stage", "order": ["T1", "T2", "T3", "T4"]}, "age"],
    },
    "model": {"filters": [2], "kernel_sizes": [3], "pool_size": 4, "dense": [2]},
    "features": ["brightness"],
}
TRAIN = np.arange(50)


def started(config):
    cohort = encoded(source_of(config).cohort(), config.data.clinical, TRAIN)
    keras.utils.set_random_seed(0)
    model = build_model(config, cohort.images.shape[1:], 2, columns=cohort.column_count)
    start_clinical_part(model.classifier, config, cohort, TRAIN)
    return model.classifier, cohort


def fitted(values, labels, C, weights):
    """Logistic regression by a general minimiser: Σ w_i loss_i + ‖coefficients‖²/(2C)."""

    def objective(p):
        z = values @ p[1:] + p[0]
        return np.sum(weights * (np.logaddexp(0, z) - labels * z)) + p[1:] @ p[1:] / (2 * C)

    return minimize(objective, np.zeros(values.shape[1] + 1), tol=1e-10).x


@pytest.mark.parametrize("imbalance", ["class_weights", "none"])
def test_it_is_the_weighted_regression_of_one_of_the_strengths(imbalance):
    config = parse_config(SETTINGS | {"train": {"imbalance": imbalance}})
    classifier, cohort = started(config)
    kernel, bias = classifier.clinical_part.layers[-1].get_weights()
    values, labels = cohort.inputs["clinical"][TRAIN].astype(float), cohort.labels[TRAIN]
    counts = np.bincount(labels)
    weights = np.ones(len(labels))
    if imbalance == "class_weights":
        weights = len(labels) / (2 * counts[labels])
    solutions = [fitted(values, labels, C, weights) for C in STRENGTHS]
    distances = [np.abs(np.append(bias, kernel[:, 0]) - solution).max() for solution in solutions]
    assert min(distances) < 1e-2
    # The stage says something about the label, so the regression is not an empty one.
    assert kernel[0, 0] > 0.2
    inputs = {"image": np.zeros((50, 24, 24, 1), np.float32), "clinical": cohort.inputs["clinical"][TRAIN]}
    expected = classifier.image_part.predict(inputs["image"], verbose=0) + (values @ kernel + bias)
    np.testing.assert_allclose(classifier.predict(inputs, verbose=0), expected, atol=1e-5)


def test_with_zero_it_begins_with_nothing_and_the_image_part_is_that_of_a_network_without_columns():
    config = parse_config(SETTINGS)
    config = config.model_copy(update={"model": config.model.model_copy(update={"clinical_start": "zero"})})
    classifier, _ = started(config)
    assert not any(weight.any() for weight in classifier.clinical_part.get_weights())
    keras.utils.set_random_seed(0)
    alone = build_model(config, (24, 24, 1), 2).classifier
    assert not isinstance(alone, LateFusion)
    for one, two in zip(alone.get_weights(), classifier.image_part.get_weights()):
        np.testing.assert_array_equal(one, two)


def test_hidden_layers_need_a_start_from_zero():
    with pytest.raises(ConfigError, match="set clinical_start to zero"):
        parse_config(SETTINGS | {"model": {**SETTINGS["model"], "clinical_dense": [4]}})
    zero = {**SETTINGS["model"], "clinical_dense": [4], "clinical_start": "zero"}
    classifier, cohort = started(parse_config(SETTINGS | {"model": zero}))
    assert len(classifier.clinical_part.layers) == 3
    assert not classifier.clinical_part(cohort.inputs["clinical"]).numpy().any()


def test_three_classes_and_classes_of_one_patient_have_a_regression(rng):
    labels = np.repeat([0, 1, 2], [20, 10, 10])
    values = labels[:, np.newaxis] + rng.normal(size=(40, 2))
    model = fitted_regression(values, labels, seed=0)
    kernel, bias = model.slopes, model.offset
    assert kernel.shape == (2, 3)
    predicted = np.argmax(values @ kernel + bias, axis=1)
    assert np.mean(predicted == labels) > 0.5
    labels = np.array([0] * 9 + [1])
    model = fitted_regression(values[:10], labels, seed=0)
    kernel, bias = model.slopes, model.offset
    assert kernel.shape == (2, 1)
    assert np.isfinite(expit(values[:10] @ kernel + bias)).all()
