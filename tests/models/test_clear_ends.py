"""What cannot be trained, saved or exported ends in an error that says what to use instead."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgf_keras import AlignmentModel
from fgf_keras.errors import ModelError

L = keras.layers
SIZE = 8


def model_of(*layers):
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((SIZE, SIZE, 1)), *layers, L.Flatten(), L.Dense(1)])
    model = AlignmentModel(network, ["brightness"], reward_weight=0.5)
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def fit(model):
    rng = np.random.default_rng(0)
    masks = np.zeros((4, SIZE, SIZE, 1), np.float32)
    masks[:, 2:6, 2:6] = 1
    images = rng.uniform(size=masks.shape).astype(np.float32)
    model.fit({"image": images, "mask": masks}, np.arange(4) % 2, verbose=0)


@keras.saving.register_keras_serializable(package="tests")
class UnitVectors(L.Layer):
    """Each pixel's channels divided by their norm, whose derivative at 0 is infinite."""

    def __init__(self, epsilon=0.0, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def call(self, x):
        square = tf.reduce_sum(x**2, axis=-1, keepdims=True)
        return x / (tf.sqrt(square + self.epsilon) + 1e-3)


@pytest.mark.parametrize("layer", [UnitVectors, L.UnitNormalization])
def test_a_norm_that_masked_pixels_make_undefined_is_refused_before_a_step(layer):
    model = model_of(L.Conv2D(3, 1, use_bias=False), layer())
    before = model.get_weights()
    with pytest.raises(ModelError, match=r"weights NaN.*(sqrt|norm).*epsilon"):
        fit(model)
    for one, two in zip(model.get_weights(), before):
        np.testing.assert_array_equal(one, two)


def test_the_remedy_of_that_refusal_trains():
    model = model_of(L.Conv2D(3, 1, use_bias=False), UnitVectors(epsilon=1e-6))
    fit(model)
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


def test_layers_without_a_second_derivative_are_named(caplog):
    model = model_of(L.Conv2D(3, 3, activation="gelu"), L.Resizing(9, 9, name="larger"), L.Conv2D(2, 3))
    with caplog.at_level(logging.INFO, logger="fgf_keras"):
        fit(model)
    assert "larger (ResizeBilinearGrad)" in caplog.text


@pytest.mark.parametrize("name", ["model.h5", "model.hdf5"])
def test_a_file_from_which_it_could_not_be_loaded_is_not_written(tmp_path, name):
    model = model_of()
    with pytest.raises(ModelError, match=r"\.keras.*weights\.h5.*classifier"):
        model.save(tmp_path / name)
    assert not list(tmp_path.iterdir())
    model.save_weights(tmp_path / "name.weights.h5")
    model.classifier.save(tmp_path / "name.h5")
    assert keras.models.load_model(tmp_path / "name.h5").count_params() == model.classifier.count_params()


def test_the_export_of_keras_says_what_to_use():
    with pytest.raises(ModelError, match=r"export_saved_model\(model, 'folder'\).*classifier.export"):
        model_of().export("folder")
