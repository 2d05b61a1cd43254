"""Several replicas train as one."""

import subprocess
import sys
from pathlib import Path

# A process of its own: logical devices are set before TensorFlow starts.
PROGRAM = """
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import keras
import numpy as np
import fgf_keras

rng = np.random.default_rng(0)
mask = np.zeros((6, 12, 12, 1), np.float32)
for k in range(6):
    mask[k, 2 : 6 + k % 4, 3 : 10 - k % 3] = 1
x = {"image": rng.uniform(0.1, 1, mask.shape).astype(np.float32), "mask": mask}
canvases = tf.data.Dataset.from_tensor_slices((x, np.arange(6) % 2)).batch(6)
x = {"image": x["image"][:, 1:, 2:], "mask": mask[:, 1:, 2:], "origin": np.tile([1, 2], (6, 1))}
windows = tf.data.Dataset.from_tensor_slices((x, np.arange(6) % 2)).batch(6)


def trained(data, settings):
    keras.utils.set_random_seed(0)
    network = fgf_keras.paper_cnn((12, 12, 1), filters=(3,), kernel_sizes=(3,), dense=(5,))
    features = [fgf_keras.Brightness(), fgf_keras.Extent()]
    model = fgf_keras.AlignmentModel(network, features, reward_weight=1.0, **settings)
    assert model.placement.reason is None  # in a window
    model.compile(keras.optimizers.SGD(0.1), keras.losses.BinaryCrossentropy(from_logits=True))
    logs = model.fit(data, epochs=2, verbose=0, shuffle=False).history
    return model.get_weights(), logs


strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
# The norms of a limited reward are those of all replicas together.
limited = {"reward": "flow", "max_ratio": 0.05, "project_conflicts": True}
for settings, inputs in (({}, (canvases, windows)), (limited, (windows,))):
    one, its_logs = trained(canvases, settings)
    for data in inputs:
        with strategy.scope():
            two, their_logs = trained(data, settings)
        for a, b in zip(one, two):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        for key in its_logs:
            np.testing.assert_allclose(its_logs[key], their_logs[key], rtol=1e-4, err_msg=key)
"""


def test_two_replicas_together_take_the_steps_and_write_the_logs_of_one():
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
