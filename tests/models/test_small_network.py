"""The small network of hn_cnn_small.yaml: strides, pools of several sizes, leaky ReLU, rates of dropout."""

import logging
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgf_keras import explain
from fgf_keras.config import load_config, parse_config
from fgf_keras.errors import ConfigError, ModelError
from fgf_keras.models.paper_cnn import paper_cnn
from fgf_keras.models.volume_cnn import volume_cnn
from fgf_keras.models.window.roi_cnn import RoiCnn
from fgf_keras.training.build import build_model

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = {
    "filters": [2, 3],
    "kernel_sizes": [3, 4],
    "strides": [1, 3],
    "pool_size": [3, 1],
    "dense": [4],
    "dropout": [0.5, 0.0],
}


@pytest.mark.filterwarnings("ignore:The classifier uses ReLU and max pooling")
def test_the_configured_network_has_85_thousand_weights(caplog):
    config = load_config(CONFIGS / "hn_cnn_small.yaml")
    with caplog.at_level(logging.INFO):
        model = build_model(config, (192, 192, 1), 2)
    assert model.classifier.count_params() == 85_505
    # 192 px, pooled by 3, strided by 2, pooled by 3, strided by 3.
    flat = next(layer for layer in model.classifier.layers if isinstance(layer, keras.layers.Flatten))
    assert flat.output.shape == (None, 4 * 4 * 32)
    rates = [layer.rate for layer in model.classifier.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.3, 0.2, 0.1]
    assert (model.optimizer.momentum, model.optimizer.weight_decay) == (0.9, 1e-4)
    assert "Computing on the whole canvas: layer 'convolution" in caplog.text
    assert "has strides=(2, 2), not (1, 1)" in caplog.text


def test_a_smooth_one_of_the_same_size_has_second_derivatives(recwarn):
    smooth = ["model.activation=elu", "model.pooling=average"]
    model = build_model(load_config(CONFIGS / "hn_cnn_small.yaml", smooth), (192, 192, 1), 2)
    assert model.classifier.count_params() == 85_505
    assert not [warning for warning in recwarn if "second derivative" in str(warning.message)]


def test_its_layers_are_those_of_keras(rng):
    network = paper_cnn((24, 24, 1), activation="leaky_relu", pooling="max", **SMALL)
    image = rng.normal(size=(3, 24, 24, 1)).astype(np.float32)
    x = image
    for layer in (each for each in network.layers if isinstance(each, keras.layers.Conv2D)):
        x = tf.nn.conv2d(x, layer.kernel, layer.strides, "SAME") + layer.bias
        x = tf.where(x > 0, x, 0.01 * x)
        if layer.strides == (1, 1):
            x = tf.nn.max_pool2d(x, 3, 3, "VALID")
    x = tf.reshape(x, [3, -1])
    first, logits = (layer for layer in network.layers if isinstance(layer, keras.layers.Dense))
    x = x @ first.kernel + first.bias
    x = tf.where(x > 0, x, 0.01 * x) @ logits.kernel + logits.bias
    np.testing.assert_allclose(network(image, training=False), x, rtol=1e-5, atol=1e-6)


def test_it_is_saved_and_loaded(tmp_path, rng):
    network = paper_cnn((24, 24, 1), activation="leaky_relu", **SMALL)
    network.save(tmp_path / "small.keras")
    image = rng.normal(size=(2, 24, 24, 1)).astype(np.float32)
    again = keras.models.load_model(tmp_path / "small.keras")
    np.testing.assert_array_equal(again(image), network(image))


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_without_strides_it_is_computed_in_a_window(rng, pooling):
    network = paper_cnn(
        (36, 36, 1), activation="leaky_relu", pooling=pooling, filters=(2, 3), kernel_sizes=(3, 5),
        pool_size=(3, 2), dense=(4,),
    )  # fmt: skip
    window = rng.uniform(0.2, 1, (2, 9, 7, 1)).astype(np.float32)
    origin = np.array([[3, 20], [25, 0]], np.int32)
    canvas = np.zeros((2, 36, 36, 1), np.float32)
    for k, (y, x) in enumerate(origin):
        canvas[k, y : y + 9, x : x + 7] = window[k]
    logits = RoiCnn(network).logits(tf.constant(window), tf.constant(origin))
    np.testing.assert_allclose(logits, network(canvas), rtol=1e-4, atol=1e-5)
    with pytest.raises(ModelError, match="has strides"):
        RoiCnn(paper_cnn((24, 24, 1), **SMALL))


@pytest.mark.filterwarnings("ignore:The classifier uses ReLU and max pooling")
def test_alignment_of_it_is_measured_and_rewarded(rng):
    data = {"size": 24, "phantom": {"patients": 20}}
    network = SMALL | {"activation": "leaky_relu", "pooling": "max"}
    train = {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.01}
    config = parse_config({"data": data, "model": network, "train": train, "features": ["brightness"]})
    model = build_model(config, (24, 24, 1), 2)
    masks = np.zeros((4, 24, 24, 1), np.float32)
    masks[:, 5:15, 6:18] = 1
    images = rng.uniform(0.2, 1, masks.shape).astype(np.float32) * masks
    history = model.fit({"image": images, "mask": masks}, np.arange(4) % 2, epochs=2, verbose=0).history
    assert np.isfinite(history["reward"]).all()
    s = explain(model, images, masks).to_frame()["S_brightness"]
    assert s.between(0, 1).all()


def test_pools_of_volumes_may_differ_too():
    network = volume_cnn(
        (8, 16, 16, 1), filters=(2, 3), kernel_sizes=(3, 3), pool_size=(4, 2), dropout=(0.1, 0.2)
    )
    pools = [layer.pool_size for layer in network.layers if isinstance(layer, keras.layers.AveragePooling3D)]
    assert pools == [(4, 4, 4), (2, 2, 2)]
    rates = [layer.rate for layer in network.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.1, 0.2]


def test_an_image_that_nothing_is_left_of_is_refused():
    with pytest.raises(ModelError, match="poolings by 3, 1 after strides 1, 3 need images of at least 3 px"):
        paper_cnn((2, 24, 1), **SMALL)
    paper_cnn((3, 24, 1), **SMALL)
    twice = SMALL | {"strides": [2, 3], "pool_size": [3, 2]}
    with pytest.raises(ModelError, match="after strides 2, 3 need images of at least 23 px"):
        paper_cnn((22, 24, 1), **twice)
    paper_cnn((23, 24, 1), **twice)


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"model": {"strides": [1, 2]}}, "strides: one stride for each of the 3 convolutions"),
        ({"model": {"strides": [1, 0, 2]}}, "strides"),
        ({"model": {"pool_size": [2, 2]}}, "pool_size: one pool for each of the 3 convolutions"),
        (
            {"model": {"dropout": [0.1, 0.2]}},
            "one rate before each of the 2 dense layers and before the logits",
        ),
        ({"model": {"dropout": 1.0}}, "dropout"),
        ({"model": {"activation": "leaky"}}, "did you mean 'leaky_relu'"),
        ({"train": {"momentum": 0.9}}, "momentum: only sgd takes it"),
        ({"train": {"momentum": 1.0, "optimizer": "sgd"}}, "momentum"),
        ({"data": {"dimension": 3}, "model": {"strides": [1, 1, 1]}}, "strides: is for slices"),
    ],
)
def test_settings_that_do_not_fit_are_refused(group, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(group)
