"""`Explainer` traces once, and no more samples are in memory than a batch needs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from pandas.testing import assert_frame_equal

from fgf_keras import Explainer, Flow, explain
from fgf_keras.errors import ConfigError, DataError

L = keras.layers
SIZE, COUNT, TOGETHER = 10, 7, 3
FLOW = Flow(max_steps=8)


class Sliced:
    """An array of which only slices are read, and which remembers how many samples at most."""

    def __init__(self, array):
        self.array, self.shape, self.most = array, array.shape, 0

    def __getitem__(self, rows):
        part = self.array[rows]
        self.most = max(self.most, len(part))
        return part


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(1)
    layers = [L.Conv2D(3, 3, activation="elu"), L.Flatten(), L.Dense(1)]
    return keras.Sequential([keras.Input((SIZE, SIZE, 1)), *layers])


@pytest.fixture(scope="module")
def samples():
    images = np.random.default_rng(0).uniform(0.2, 1, (COUNT, SIZE, SIZE, 1)).astype(np.float32)
    masks = np.zeros_like(images)
    masks[:, 2:8, 3:8] = 1
    return images, masks


def test_a_second_call_traces_nothing_and_gives_the_same(network, samples):
    calls = []

    def energy(image, mask):
        calls.append(1)
        return tf.reduce_sum(mask * image**2, [1, 2, 3])

    explainer = Explainer(network, features=["brightness", energy], flow=FLOW)
    first = explainer(*samples).to_frame()
    traced = len(calls)
    assert traced
    assert_frame_equal(explainer(*samples).to_frame(), first)
    explainer(*(array[:2] for array in samples))
    assert len(calls) == traced


def test_weights_may_change_between_calls(network, samples):
    explainer = Explainer(network, features="brightness", flow=FLOW)
    before = explainer(*samples).to_frame()
    kept = network.get_weights()
    network.set_weights([weights + 0.1 for weights in kept])
    after = explainer(*samples).to_frame()
    anew = explain(network, *samples, features="brightness", flow=FLOW).to_frame()
    network.set_weights(kept)
    assert_frame_equal(after, anew)
    assert not np.allclose(after["S_brightness"], before["S_brightness"])


def test_arrays_are_sliced_and_never_loaded_whole(network, samples):
    images, masks = map(Sliced, samples)
    settings = {"features": ["brightness", "extent"], "flow": FLOW, "batch_size": TOGETHER}
    explanation = explain(network, images, masks, **settings)
    # Four samples are tried before the first batch.
    assert images.most == masks.most == max(TOGETHER, 4)
    assert_frame_equal(explanation.to_frame(), explain(network, *samples, **settings).to_frame())


def test_a_bad_sample_of_a_sliced_array_is_named(network, samples):
    images = samples[0].copy()
    images[5, 1, 1] = np.nan
    with pytest.raises(DataError, match=r"5 \(1 pixel\).*these samples"):
        explain(network, Sliced(images), samples[1], features="brightness", flow=False, batch_size=2)


def test_without_a_path_there_is_all_but_f(network, samples):
    whole = explain(network, *samples, features=["brightness", "extent"], flow=FLOW).to_frame()
    explanation = explain(network, *samples, features=["brightness", "extent"], flow=False)
    frame = explanation.to_frame()
    assert not [name for name in frame if name.startswith(("F_", "flow", "contribution", "status"))]
    assert_frame_equal(frame, whole[list(frame)])
    with pytest.raises(DataError, match="give explain a Flow"):
        _ = explanation.status
    with pytest.raises(ConfigError, match="flow must be a Flow"):
        explain(network, *samples, features="brightness", flow=True)


@pytest.mark.parametrize(("classes", "count"), [("auto", 5), ("top", 5), (3, 3), ("all", 24)])
def test_the_section_of_many_classes_is_that_of_the_most_probable(samples, classes, count):
    keras.utils.set_random_seed(2)
    network = keras.Sequential([keras.Input((SIZE, SIZE, 1)), L.Conv2D(3, 3), L.Flatten(), L.Dense(24)])
    settings = {"features": ["brightness", "extent"], "flow": False}
    explanation = explain(network, *samples, classes=classes, **settings)
    table = explanation.to_frame(per_class=True)
    assert len(table) == COUNT * count
    logits = network(samples[0]).numpy()
    top = np.argsort(-logits, axis=1)[:, :count]
    chosen = table.index.get_level_values("class").to_numpy().reshape(COUNT, count)
    if count < 24:
        np.testing.assert_array_equal(chosen, top)
    np.testing.assert_array_equal(explanation.to_frame()["class"], top[:, 0])
    # As a network that has only these logits.
    for row in range(2):
        few = keras.Model(
            network.inputs[0], L.Lambda(lambda z, k=chosen[row]: tf.gather(z, k, axis=1))(network.outputs[0])
        )
        one = tuple(array[row : row + 1] for array in samples)
        expected = explain(few, *one, classes="all", **settings).to_frame()
        got = explanation.to_frame().iloc[row]
        for key in ("S_brightness", "S_extent", "S_joint", "slope_brightness"):
            assert got[key] == pytest.approx(expected[key].iloc[0], rel=1e-4)


@pytest.mark.parametrize("classes", [1, 0, "some", 2.5])
def test_classes_that_are_no_number_of_classes_are_refused(network, classes):
    with pytest.raises(ConfigError, match="classes must be 'auto', 'all', 'top' or a number from 2"):
        Explainer(network, features="brightness", classes=classes)
