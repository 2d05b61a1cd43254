"""Rewards by name, each as its formula, and one of a user's own from a module of theirs."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgf_keras import AlignmentModel, Brightness, Extent
from fgf_keras.config import parse_config
from fgf_keras.config.reward import DIRECTED, ONE_WEIGHT
from fgf_keras.errors import ConfigError, FeatureError, ModelError
from fgf_keras.geometry.alignment import alignment_products
from fgf_keras.models.rewards import REWARDS, Alignment, reward_class, reward_of

NAMES = ["brightness", "extent", "marker"]
OWN = '''
import tensorflow as tf
from fgf_keras.models.rewards import Reward

class Least(Reward):
    """λ times the smallest S of a sample: no feature is left behind."""

    kind = "least"

    def value(self, alignment, weights):
        return weights[0] * tf.reduce_mean(tf.reduce_min(alignment.pointwise, axis=1))
'''


@pytest.fixture
def own_rewards(tmp_path, monkeypatch):
    (tmp_path / "own_rewards.py").write_text(OWN + "not_a_reward = 3\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_rewards", None)


@pytest.fixture
def fields(rng):
    """∇z (B, P) and ∇g (B, m, P)."""
    return rng.normal(size=(5, 12)), rng.normal(size=(5, 3, 12))


def alignment_of(fields, epsilon=1e-12):
    section, features = (tf.constant(field) for field in fields)
    return Alignment.of(alignment_products(section[:, None, :, None], features[..., None]), epsilon)


def cosine(a, b):
    return np.sum(a * b, axis=-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def joint(section, features):
    """The share of |∇z|² in the span of the features, by projection."""
    shares = []
    for z, g in zip(section, features):
        fitted = g.T @ np.linalg.lstsq(g.T, z, rcond=None)[0]
        shares.append(fitted @ fitted / (z @ z))
    return np.mean(shares)


def test_each_reward_is_its_formula(fields):
    alignment = alignment_of(fields)
    section, features = fields
    cosines = cosine(section[:, None], features)
    shares = (cosines**2).mean(axis=0)

    def value(kind, weight, scale=1.0, **settings):
        return float(reward_of(kind, weight, NAMES, **settings)(alignment, scale))

    assert set(REWARDS) == {"none", "sum", "joint", "signed", "distil", "flow"}
    assert value("sum", 0.5) == pytest.approx(0.5 * shares.sum())
    assert value("flow", 0.5) == pytest.approx(0.5 * shares.sum())  # at one point of the path
    assert value("sum", {"extent": 2.0}) == pytest.approx(2 * shares[1])
    assert value("joint", 0.5, scale=0.25) == pytest.approx(0.125 * joint(*fields))
    assert value("none", 0.5) == 0
    slopes = {"brightness": 3.0, "extent": -0.2, "marker": 0.5}
    signed = 0.5 * (cosines.mean(axis=0) @ [1, -1, 1])
    assert value("signed", 0.5, direction=slopes) == pytest.approx(signed)
    teacher = np.einsum("m,bmp->bp", list(slopes.values()), features)
    distilled = 0.5 * cosine(section, teacher).mean()
    assert value("distil", 0.5, direction=slopes) == pytest.approx(distilled)


def test_a_configuration_knows_which_rewards_have_one_weight_or_a_direction():
    assert {kind for kind in REWARDS if reward_class(kind).takes_one_weight} == set(ONE_WEIGHT)
    assert {kind for kind in REWARDS if reward_class(kind).direction_from} == set(DIRECTED)


def test_penalised_features_are_subtracted_and_ignored_ones_left_out(fields):
    alignment = alignment_of(fields)
    section, features = fields
    shares = (cosine(section[:, None], features) ** 2).mean(axis=0)

    def value(kind, weight=0.5, **settings):
        return float(reward_of(kind, weight, NAMES, **settings)(alignment, 1.0))

    not_marker, no_extent = {"marker": "penalise"}, {"marker": "penalise", "extent": "ignore"}
    assert value("sum", targets=not_marker) == pytest.approx(0.5 * (shares @ [1, 1, -1]))
    assert value("sum", targets=no_extent) == pytest.approx(0.5 * (shares @ [1, 0, -1]))
    only = dict.fromkeys(NAMES, "penalise")
    assert value("sum", targets=only) == pytest.approx(-0.5 * shares.sum())
    two = 0.5 * joint(section, features[:, :2])
    weights = {"brightness": 0.5, "extent": 0.5, "marker": 2.0}
    assert value("joint", weights, targets=not_marker) == pytest.approx(two - 2 * shares[2])
    direction = {"brightness": 3.0, "extent": -0.2}
    teacher = 3.0 * features[:, 0] - 0.2 * features[:, 1]
    expected = 0.5 * (cosine(section, teacher).mean() - shares[2])
    assert value("distil", targets=not_marker, direction=direction) == pytest.approx(expected)
    assert value("signed", targets=no_extent, direction={"brightness": -1.0}) == pytest.approx(
        0.5 * (-cosine(section, features[:, 0]).mean() - shares[2])
    )
    assert reward_of("sum", {"extent": 1.0}, NAMES, targets={"extent": "ignore"}).is_active is False


def test_a_vanishing_gradient_has_no_cosine_and_no_infinite_derivative(fields):
    section, features = fields
    section[2] = 0
    z = tf.Variable(section)
    reward = reward_of("signed", 1.0, NAMES, direction=dict.fromkeys(NAMES, 1.0))
    with tf.GradientTape() as tape:
        products = alignment_products(z[:, None, :, None], tf.constant(features[..., None]))
        value = reward(Alignment.of(products, 1e-12), 1.0)
    assert np.isfinite(value)
    assert np.isfinite(tape.gradient(value, z)).all()


@pytest.mark.parametrize(
    ("kind", "settings", "error", "words"),
    [
        ("product", {}, ModelError, "none, sum, joint, signed, distil, flow, or 'module:name'"),
        ("nowhere:Reward", {}, ModelError, "cannot be imported"),
        ("own_rewards:Most", {}, ModelError, "cannot be imported"),
        ("own_rewards:not_a_reward", {}, ModelError, "not a subclass"),
        ("sum", {"weight": -1.0}, ModelError, "finite and >= 0"),
        ("sum", {"weight": {"texture": 1.0}}, FeatureError, "texture.*brightness, extent"),
        ("joint", {"weight": {"extent": 1.0}}, ModelError, "one number"),
        ("distil", {"weight": {"extent": 1.0}}, ModelError, "one number"),
        ("sum", {"targets": {"texture": "penalise"}}, FeatureError, "reward_targets names texture"),
        ("sum", {"targets": {"extent": "punish"}}, ModelError, "reward, ignore, penalise.*punish"),
        ("sum", {"targets": dict.fromkeys(NAMES, "ignore")}, ModelError, "ignores every feature"),
        ("signed", {}, ModelError, "needs reward_direction.*brightness, extent, marker"),
        ("signed", {"direction": {"extent": 1.0, "marker": 1.0}}, ModelError, "Missing: brightness"),
        ("signed", {"direction": {"texture": 1.0}}, FeatureError, "reward_direction names texture"),
        ("distil", {"direction": dict.fromkeys(NAMES, 0.0)}, ModelError, "not 0 for all"),
        ("distil", {"direction": dict.fromkeys(NAMES, float("nan"))}, ModelError, "must be finite"),
    ],
)
def test_what_is_no_reward_is_refused(own_rewards, kind, settings, error, words):
    settings = {"weight": 1.0} | settings
    with pytest.raises(error, match=words):
        reward_of(kind, settings.pop("weight"), NAMES, **settings)


def test_signs_need_two_classes(rng):
    section, features = tf.constant(rng.normal(size=(4, 2, 9, 1))), tf.constant(rng.normal(size=(4, 3, 9, 1)))
    alignment = Alignment.of(alignment_products(section, features), 1e-12)
    reward = reward_of("signed", 1.0, NAMES, direction=dict.fromkeys(NAMES, 1.0))
    with pytest.raises(ModelError, match=r"two classes.*3 classes.*'sum' or 'joint'"):
        reward(alignment, 1.0)


def trained_samples(rng):
    image = rng.uniform(size=(8, 12, 12, 1)).astype(np.float32)
    mask = np.zeros((8, 12, 12, 1), np.float32)
    mask[:, 3:9, 2:8] = 1
    layers = [keras.layers.Flatten(), keras.layers.Dense(4, activation="elu"), keras.layers.Dense(1)]
    return (image, mask), keras.Sequential([keras.Input((12, 12, 1)), *layers])


def test_a_reward_of_ones_own_trains_and_is_saved(own_rewards, tmp_path, rng):
    x, classifier = trained_samples(rng)
    model = AlignmentModel(
        classifier, [Brightness(), Extent()], reward="own_rewards:Least", reward_weight=5.0
    )
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    history = model.fit(x, np.arange(8) % 2, epochs=30, verbose=0).history
    assert history["reward"][-1] > history["reward"][0] > 0
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.reward == "own_rewards:Least"
    assert loaded.evaluate(x, np.arange(8) % 2, verbose=0, return_dict=True)["reward"] > 0


def test_all_settings_of_a_reward_are_saved(tmp_path, rng):
    x, classifier = trained_samples(rng)
    settings = {
        "reward_targets": {"extent": "penalise"},
        "reward_direction": {"brightness": -2.0},
        "max_ratio": 0.3,
        "project_conflicts": True,
    }
    model = AlignmentModel(classifier, [Brightness(), Extent()], reward="signed", **settings)
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(x, np.arange(8) % 2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert {key: getattr(loaded, key) for key in settings} == settings
    logs = [m.evaluate(x, np.arange(8) % 2, verbose=0, return_dict=True) for m in (model, loaded)]
    assert logs[0] == pytest.approx(logs[1])


def test_a_configuration_may_name_it():
    assert parse_config({"reward": {"kind": "own_rewards:Least"}}).reward.kind == "own_rewards:Least"
    with pytest.raises(ConfigError, match=r"reward\.kind: 'least' is not known; .*module:name"):
        parse_config({"reward": {"kind": "least"}})
