"""The 3-D network: shapes, pooling of short axes, and both derivatives that the reward needs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgf_keras.config import Config
from fgf_keras.errors import ModelError
from fgf_keras.models.alignment_model import AlignmentModel
from fgf_keras.models.volume_cnn import volume_cnn
from fgf_keras.training.build import build_model

SHAPE = (5, 16, 12, 1)


def small(**choices):
    keras.utils.set_random_seed(0)
    return volume_cnn(SHAPE, filters=[3, 4], kernel_sizes=[3, 3], dense=[5], **choices)


@pytest.mark.parametrize(("classes", "logits"), [(2, 1), (3, 3)])
def test_shapes(classes, logits):
    network = small(classes=classes)
    assert network.input_shape == (None, *SHAPE)
    assert network(tf.zeros([2, *SHAPE])).shape == (2, logits)
    sizes = [layer.output.shape[1:4] for layer in network.layers if "pooling3d" in layer.name][:2]
    assert sizes == [(2, 8, 6), (1, 4, 3)]


def test_axes_that_are_shorter_than_the_pool_are_not_pooled():
    network = small(pool_size=4)
    sizes = [layer.output.shape[1:4] for layer in network.layers if "pooling3d" in layer.name]
    assert sizes[:2] == [(1, 4, 3), (1, 1, 3)]
    assert len([layer for layer in small(pool_size=1).layers if "pooling3d" in layer.name]) == 1


def test_slices_are_refused():
    with pytest.raises(ModelError, match="slices, rows, columns, channels"):
        volume_cnn((16, 16, 1))


def test_the_curvature_is_that_of_differences():
    """d/dw of ‖∇_x z‖² by nested tapes, compared with central differences, in float32."""
    network = small()
    x = tf.constant(np.random.default_rng(1).normal(size=(2, *SHAPE)), tf.float32)
    weight = network.layers[1].kernel

    def norm():
        with tf.GradientTape() as tape:
            tape.watch(x)
            z = network(x)
        return tf.reduce_sum(tape.gradient(z, x) ** 2)

    with tf.GradientTape() as tape:
        value = norm()
    gradient = tape.gradient(value, weight).numpy()
    direction = np.random.default_rng(2).normal(size=gradient.shape)
    start, step = weight.numpy(), 1e-2
    ends = []
    for sign in (1, -1):
        weight.assign(start + sign * step * direction)
        ends.append(float(norm()))
    weight.assign(start)
    assert (gradient * direction).sum() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-2)


def test_the_configuration_builds_it_and_it_trains_with_the_reward():
    config = Config(
        data={"dimension": 3, "size": [5, 16, 16]},
        model={"filters": [2], "kernel_sizes": [3], "pool_size": 2, "dense": []},
        features=["brightness", "extent"],
    )
    keras.utils.set_random_seed(0)
    model = build_model(config, (5, 16, 16, 1), 2)
    assert isinstance(model, AlignmentModel)
    assert model.classifier.name == "volume_cnn"
    rng = np.random.default_rng(0)
    image = rng.random((4, 5, 16, 16, 1)).astype(np.float32)
    mask = np.zeros_like(image)
    mask[:, 1:4, 4:11, 5:12] = 1
    inputs = {"image": image, "mask": mask, "spacing": np.full((4, 3), 1.5, np.float32)}
    logs = model.fit(inputs, np.array([0, 1, 0, 1]), epochs=1, batch_size=2, verbose=0).history
    assert 0 < logs["S_joint"][0] <= 1
    assert np.isfinite(logs["loss"]).all()
