"""What must not change an explanation: how classes are written, containers of a model, units of inputs."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from combination_cases import Case, contained, moved_from_zero, network
from pandas.testing import assert_frame_equal

from fgf_keras import Explainer, Flow, Score, explain
from fgf_keras.features import Column

IMAGES = np.random.default_rng(0).uniform(0.2, 1, (3, 6, 5, 1)).astype(np.float32)
SETTINGS = {"features": ["brightness", "extent"], "noise_draws": 0}


def with_head(change, classes=1):
    """A convolutional network whose last weights (d, K) and biases (K,) a function has changed."""
    model = moved_from_zero(network(Case("convolutional", "image", classes=classes)))
    weights, bias = change(*model.layers[-1].get_weights())
    inputs = model.input
    last = keras.layers.Dense(weights.shape[1])
    changed = keras.Model(inputs, last(model.layers[-2].output))
    last.set_weights([weights, bias])
    return changed


def frame_of(model, images=IMAGES, **settings):
    return explain(model, images, **(SETTINGS | settings)).to_frame()


def assert_same(one, other, close=1e-4, without=()):
    """All numbers, relative to their size; what is nearly zero, such as residuals, to 1e-5."""
    drop = [*without, "flow_residual", "status", *[c for c in one if c.startswith("flow_error")]]
    assert [*one["status"]] == [*other["status"]] == ["reached"] * len(one)
    options = {"rtol": close, "atol": 1e-5, "check_dtype": False}
    assert_frame_equal(one.drop(columns=drop), other.drop(columns=drop), **options)


def test_two_logits_are_one():
    one = frame_of(with_head(lambda w, b: (w, b)))
    shared = np.random.default_rng(1).normal(size=(1, 1)).astype(np.float32)

    def doubled(w, b):
        first = np.broadcast_to(shared, w.shape)
        return np.concatenate([first, first + w], axis=1), np.append(0.3, 0.3 + b).astype(np.float32)

    two = with_head(doubled)
    assert_same(one, frame_of(two))
    # A class of two is its margin, by name as by number.
    assert_same(one, frame_of(Score(two, target=1)))
    assert_same(one, frame_of(Score(two, target="ill", classes=["well", "ill"])), without=["class"])
    mirrored = frame_of(Score(two, target=("well", "ill"), classes=["well", "ill"]))
    for column in ("logit", "slope_brightness", "contribution_extent", "unexplained"):
        np.testing.assert_allclose(mirrored[column], -one[column], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mirrored["F_joint"], one["F_joint"], atol=1e-5)


def test_the_order_of_classes_and_a_constant_of_all_logits_change_nothing():
    plain = frame_of(with_head(lambda w, b: (w, b), 3))
    order = [2, 0, 1]
    permuted = frame_of(with_head(lambda w, b: (w[:, order], b[order]), 3))
    assert_same(plain, permuted, without=["class"])
    assert [order[k] for k in permuted["class"]] == [*plain["class"]]
    added = np.random.default_rng(2).normal(size=(60, 1)).astype(np.float32)
    shifted = frame_of(with_head(lambda w, b: (w + added[: len(w)], b + 7), 3))
    assert_same(plain, shifted)


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_a_unit_of_the_whole_input_changes_slopes_by_its_factor_and_nothing_else(factor):
    model = with_head(lambda w, b: (w, b))
    rescaled = keras.Sequential([keras.Input(IMAGES.shape[1:]), keras.layers.Rescaling(1 / factor), model])
    one, other = frame_of(model), frame_of(rescaled, IMAGES * np.float32(factor))
    for column in ("slope_brightness", "slope_alone_brightness"):
        other[column] *= factor
    for column in ("value_brightness", "change_brightness", "flow_length"):
        other[column] /= factor
    other["gradient_norm"] *= factor
    # Whether pixels leave [0, 1] is a question about one unit only.
    assert_same(one, other, without=["outside", "outside_excess"])


def test_a_unit_of_one_column_of_a_table_changes_the_share_of_every_column():
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.normal(size=(4, 3)), columns=["age", "bmi", "dose"])
    units = np.array([1.0, 10.0, 0.1])
    weights = rng.normal(size=(3, 2))

    def score(x):
        return tf.reduce_sum(tf.tanh(tf.matmul(x, tf.constant(weights, x.dtype))), axis=1)

    features = [Column(name) for name in table]
    plain = explain(score, table, features=features, noise_draws=0, flow=False).to_frame()
    other = explain(
        lambda x: score(x / tf.constant(units, x.dtype)),
        table * units,
        features=features,
        noise_draws=0,
        flow=False,
    ).to_frame()
    gradient = plain[[f"slope_{name}" for name in table]].to_numpy()
    for frame, slope in ((plain, gradient), (other, gradient / units)):
        shares = slope**2 / (slope**2).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(frame[[f"S_{name}" for name in table]], shares, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(frame[[f"slope_{name}" for name in table]], slope, rtol=1e-5)
        np.testing.assert_allclose(frame["S_joint"], 1, atol=1e-6)
    # Effects are in logits per standard deviation, whatever the unit.
    effects = [f"effect_{name}" for name in table]
    np.testing.assert_allclose(plain[effects], other[effects], rtol=1e-5, atol=1e-7)


def test_every_container_of_a_model_gives_the_same(tmp_path):
    model = with_head(lambda w, b: (w, b), 3)
    settings = {"flow": Flow(tolerance=1e-3)}
    plain = frame_of(model, **settings)
    for container in (
        "function",
        "tf.function",
        "file.keras",
        "file.h5",
        "TFSMLayer",
        "SavedModel",
        "endpoint",
    ):
        assert_same(plain, frame_of(contained(model, container, tmp_path), **settings), close=1e-5)


def test_an_explainer_sees_weights_that_have_changed_since_its_first_call():
    model = with_head(lambda w, b: (w, b))
    explainer = Explainer(model, flow=False, **SETTINGS)
    before = explainer(IMAGES).to_frame()
    model.layers[-1].set_weights([-2 * weights for weights in model.layers[-1].get_weights()])
    after = explainer(IMAGES).to_frame()
    np.testing.assert_allclose(after["logit"], -2 * before["logit"], rtol=1e-5)
    np.testing.assert_allclose(after["slope_extent"], -2 * before["slope_extent"], rtol=1e-5)
    np.testing.assert_allclose(after["S_joint"], before["S_joint"], atol=1e-6)
