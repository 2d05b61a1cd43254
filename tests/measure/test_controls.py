"""Negative controls: what is left in the image decides what the network can still use."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgf_keras import AlignmentModel, Brightness, Extent
from fgf_keras.config.data import PhantomConfig
from fgf_keras.data.phantom.phantom import phantom_cohort
from fgf_keras.flow.settings import Flow
from fgf_keras.measure.controls import averaged, bare_mask, controls, mean_level, shuffled
from fgf_keras.measure.explainer import Explainer

N, SIZE = 40, 40
ROWS = np.arange(6, N)


class Texture(keras.layers.Layer):
    """The variance of the intensities inside the tumour, far from a middle."""

    def call(self, image):
        inside = tf.cast(image > 0, image.dtype)
        count = tf.reduce_sum(inside, axis=[1, 2, 3], keepdims=True)
        mean = tf.reduce_sum(image, axis=[1, 2, 3], keepdims=True) / count
        variance = tf.reduce_sum(inside * (image - mean) ** 2, axis=[1, 2, 3]) / count[:, 0, 0, 0]
        return 3000 * variance[:, tf.newaxis] - 1


class Mean(keras.layers.Layer):
    """The brightness of the tumour."""

    def call(self, image):
        inside = tf.cast(image > 0, image.dtype)
        return (Brightness().value(image, inside)[:, tf.newaxis] - 0.3) * 20


@pytest.fixture(scope="module")
def cohort():
    config = PhantomConfig(patients=N, prevalence=0.5)
    return phantom_cohort(config, size=SIZE, window=(-50, 300), spacing=(1.0, 1.0), seed=0)


def content_of(layer, cohort, label):
    inputs = keras.Input((SIZE, SIZE, 1))
    model = AlignmentModel(keras.Model(inputs, layer(inputs)), [Brightness(), Extent()])
    explainer = Explainer(
        model, support="mask", flow=Flow(max_steps=8), noise_draws=0,
        nulls=["smooth"], alpha=0.05, batch_size=16,
    )  # fmt: skip
    explanation = explainer(cohort.images, cohort.masks, nulls=False)
    score = label(explanation.values["logit"])
    cohort = dataclasses.replace(cohort, labels=(score > np.median(score)).astype(int))
    return controls(explainer, explanation, cohort, ROWS, split="test", threshold=0.0, bootstrap=200)


def test_what_is_kept_and_what_goes(cohort):
    image, inside = cohort.images[0], cohort.masks[0, ..., 0] > 0
    flat, mixed = averaged(image, inside), shuffled(image, inside, np.random.default_rng(0))
    assert np.ptp(flat[inside]) == 0
    assert flat[inside].mean() == pytest.approx(image[inside].mean(), rel=1e-5)
    np.testing.assert_array_equal(np.sort(mixed[inside], axis=0), np.sort(image[inside], axis=0))
    assert np.mean(mixed[inside] != image[inside]) > 0.9
    bare = bare_mask(image, inside, mean_level(cohort, np.arange(N)))
    assert np.unique(bare[inside]).size == 1
    for changed in (flat, mixed, bare):
        np.testing.assert_array_equal(changed[~inside], image[~inside])
        assert not np.shares_memory(changed, image)
    means = [i[m[..., 0] > 0].mean() for i, m in zip(cohort.images, cohort.masks)]
    assert mean_level(cohort, np.arange(N)) == pytest.approx([np.mean(means)])


def test_a_network_that_uses_texture_loses_its_auc_without_it(cohort):
    content = content_of(Texture(), cohort, lambda score: score)
    drop = {name: entry["auc"]["drop"] for name, entry in content["controls"].items()}
    assert content["controls"]["averaged"]["auc"]["before"] > 0.99
    assert drop["averaged"]["ci"][0] > 0.2
    assert drop["bare_mask"]["ci"][0] > 0.2
    # Neither the mean nor the variance depends on the arrangement.
    assert drop["shuffled"]["mean"] == pytest.approx(0, abs=0.01)
    # Without texture the score is the same for all patients.
    assert "same for all" in content["controls"]["averaged"]["population"]["reason"]


def test_a_network_that_uses_brightness_loses_its_auc_only_with_the_bare_mask(cohort):
    content = content_of(Mean(), cohort, lambda score: score)
    for name in ("averaged", "shuffled"):
        entry = content["controls"][name]
        assert entry["auc"]["drop"]["mean"] == pytest.approx(0, abs=1e-6)
        assert entry["S"]["brightness"]["mean"] == pytest.approx(1, abs=1e-4)
        assert entry["population"]["ranks"]["brightness"]["share"] > 0.9
    bare = content["controls"]["bare_mask"]
    assert bare["auc"]["after"] == pytest.approx(0.5, abs=0.25)
    assert bare["auc"]["drop"]["ci"][0] > 0.2
    assert content["original"]["S"]["joint"]["mean"] == pytest.approx(1, abs=1e-4)
    assert (content["split"], content["support"], content["n"]) == ("test", "mask", len(ROWS))


def test_the_shuffle_of_a_patient_does_not_depend_on_the_others(cohort):
    inputs = keras.Input((SIZE, SIZE, 1))
    first = keras.Sequential([inputs, keras.layers.Flatten(), keras.layers.Dense(1)])
    model = AlignmentModel(first, [Brightness()])
    settings = {"support": "mask", "flow": Flow(max_steps=8), "noise_draws": 0, "nulls": (), "alpha": 0.05}
    explainer = Explainer(model, batch_size=16, **settings)
    scores = []
    for part in (cohort, cohort.select(np.arange(10, N))):
        seen = []

        def recording(images, *rest, seen=seen, **keywords):
            seen.append(images["image"])
            return explainer(images, *rest, **keywords)

        explanation = explainer(part.images, part.masks, patient_id=part.patient_id)
        rows = np.flatnonzero(np.isin(part.patient_id, cohort.patient_id[20:]))
        controls(recording, explanation, part, rows, split="test", threshold=0.0, bootstrap=100)
        scores.append(seen[1])
    np.testing.assert_array_equal(*scores)
