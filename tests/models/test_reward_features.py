"""A reward on other features than those that are measured."""

import keras
import numpy as np
import pytest

from fgf_keras import AlignmentModel, Brightness, Extent, LinearNoise
from fgf_keras.models.paper_cnn import paper_cnn


@pytest.fixture
def patients(rng):
    mask = np.zeros((8, 16, 16, 1), np.float32)
    mask[:, 4:10, 5:12] = 1
    return {"image": rng.uniform(size=mask.shape).astype(np.float32), "mask": mask}, np.arange(8) % 2


def trained(patients, epochs=1, **settings):
    keras.utils.set_random_seed(0)
    classifier = paper_cnn((16, 16, 1), classes=2, filters=[2], kernel_sizes=[3], dense=[4])
    model = AlignmentModel(classifier, [Brightness(), Extent()], **{"reward_weight": 1.0} | settings)
    model.compile(keras.optimizers.Adam(0.01), keras.losses.BinaryCrossentropy(from_logits=True))
    history = model.fit(*patients, epochs=epochs, batch_size=8, shuffle=False, verbose=0).history
    return model, history


def weights_of(run):
    return np.concatenate([w.ravel() for w in run[0].classifier.get_weights()])


@pytest.mark.parametrize("reward", ["sum", "joint"])
def test_naming_the_measured_features_changes_nothing(patients, reward):
    said = trained(patients, reward=reward, reward_features=[Brightness(), Extent()])
    np.testing.assert_allclose(weights_of(said), weights_of(trained(patients, reward=reward)), rtol=1e-5)


def test_a_feature_left_out_of_a_sum_has_weight_zero(patients):
    without = trained(patients, reward_features=[Brightness()])
    zero = trained(patients, reward_weight={"brightness": 1.0})
    np.testing.assert_allclose(weights_of(without), weights_of(zero), rtol=1e-5)


def test_a_joint_reward_on_one_feature_is_the_reward_on_that_feature(patients):
    joint = trained(patients, reward="joint", reward_features=[Extent()])
    np.testing.assert_allclose(
        weights_of(joint), weights_of(trained(patients, reward_features=[Extent()])), rtol=1e-4
    )


def test_a_placebo_raises_alignment_with_noise_and_measures_the_features(patients):
    model, history = trained(patients, 40, reward_weight=10.0, reward_features=[LinearNoise(seed=7)])
    assert history["reward"][-1] > 2 * history["reward"][0]
    assert {"S_brightness", "S_extent", "S_joint"} <= set(history)
    assert "S_noise" not in history
    assert model.feature_names == ["brightness", "extent"]


def test_rewarded_features_survive_saving(patients, tmp_path):
    model, _ = trained(patients, reward_features=[LinearNoise(seed=7)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [feature.seed for feature in loaded.reward_features] == [7]
    assert loaded.evaluate(*patients, verbose=0) == pytest.approx(model.evaluate(*patients, verbose=0))
