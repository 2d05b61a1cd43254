"""Rewards by name, and one of a user's own from a module of theirs."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgf_keras import AlignmentModel, Brightness, Extent
from fgf_keras.config import parse_config
from fgf_keras.errors import ConfigError, FeatureError, ModelError
from fgf_keras.models.rewards import REWARDS, reward_of

NAMES = ["brightness", "extent"]
POINTWISE = np.array([[0.1, 0.5], [0.3, 0.7]], np.float32)
JOINT = np.array([0.6, 0.8], np.float32)
OWN = '''
import tensorflow as tf
from fgf_keras.models.rewards import Reward

class Least(Reward):
    """λ times the smallest S of a sample: no feature is left behind."""

    kind = "least"

    def __call__(self, pointwise, joint, scale):
        return self._scaled(joint, scale)[0] * tf.reduce_mean(tf.reduce_min(pointwise, axis=1))
'''


@pytest.fixture
def own_rewards(tmp_path, monkeypatch):
    (tmp_path / "own_rewards.py").write_text(OWN + "not_a_reward = 3\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_rewards", None)


def value(kind, weight, scale=1.0):
    return float(reward_of(kind, weight, NAMES)(tf.constant(POINTWISE), tf.constant(JOINT), scale))


def test_each_reward_is_its_formula():
    means = POINTWISE.mean(axis=0)
    assert set(REWARDS) == {"none", "sum", "joint"}
    assert value("sum", 0.5) == pytest.approx(0.5 * means.sum())
    assert value("sum", {"extent": 2.0}) == pytest.approx(2 * means[1])
    assert value("joint", 0.5, scale=0.25) == pytest.approx(0.125 * JOINT.mean())
    assert value("none", 0.5) == 0
    assert [reward_of(kind, 0.5, NAMES).is_active for kind in REWARDS] == [False, True, True]


@pytest.mark.parametrize(
    ("kind", "weight", "error", "words"),
    [
        ("product", 1.0, ModelError, "none, sum, joint, or 'module:name'"),
        ("nowhere:Reward", 1.0, ModelError, "cannot be imported"),
        ("own_rewards:Most", 1.0, ModelError, "cannot be imported"),
        ("own_rewards:not_a_reward", 1.0, ModelError, "not a subclass"),
        ("sum", -1.0, ModelError, "finite and >= 0"),
        ("sum", {"texture": 1.0}, FeatureError, "texture.*brightness, extent"),
        ("joint", {"extent": 1.0}, ModelError, "one number"),
    ],
)
def test_what_is_no_reward_is_refused(own_rewards, kind, weight, error, words):
    with pytest.raises(error, match=words):
        reward_of(kind, weight, NAMES)


def test_a_reward_of_ones_own_trains_and_is_saved(own_rewards, tmp_path):
    rng = np.random.default_rng(0)
    image = rng.uniform(size=(8, 12, 12, 1)).astype(np.float32)
    mask = np.zeros((8, 12, 12, 1), np.float32)
    mask[:, 3:9, 2:8] = 1
    layers = [keras.layers.Flatten(), keras.layers.Dense(4, activation="elu"), keras.layers.Dense(1)]
    classifier = keras.Sequential([keras.Input((12, 12, 1)), *layers])
    features = [Brightness(), Extent()]
    model = AlignmentModel(classifier, features, reward="own_rewards:Least", reward_weight=5.0)
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    history = model.fit((image, mask), np.arange(8) % 2, epochs=30, verbose=0).history
    assert history["reward"][-1] > history["reward"][0] > 0
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.reward == "own_rewards:Least"
    assert loaded.evaluate((image, mask), np.arange(8) % 2, verbose=0, return_dict=True)["reward"] > 0


def test_a_configuration_may_name_it():
    assert parse_config({"reward": {"kind": "own_rewards:Least"}}).reward.kind == "own_rewards:Least"
    with pytest.raises(ConfigError, match=r"reward\.kind: 'least' is not known; .*module:name"):
        parse_config({"reward": {"kind": "least"}})
