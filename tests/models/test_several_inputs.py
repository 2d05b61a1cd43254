"""A classifier of several inputs: one is differentiated and rewarded, the others are held."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import fgf_keras
from fgf_keras import AlignmentCallback, AlignmentModel, Score, explain
from fgf_keras.errors import ModelError

L = keras.layers
SIZE, COUNT = 12, 8


def two_inputs(key="image"):
    """Logit of an image and two numbers, in which the numbers change the gradient by the image."""
    keras.utils.set_random_seed(3)
    image, age = keras.Input((SIZE, SIZE, 1), name=key), keras.Input((2,), name="age")
    flat = L.Flatten()(L.Conv2D(3, 3, activation="elu")(image))
    both = L.Dense(6, activation="tanh")(L.Concatenate()([flat, age]))
    return keras.Model({key: image, "age": age}, L.Dense(1)(both))


@pytest.fixture
def samples(rng):
    masks = np.zeros((COUNT, SIZE, SIZE, 1), np.float32)
    masks[:, 3:9, 2:9] = 1
    return {
        "image": rng.uniform(0.1, 1, (COUNT, SIZE, SIZE, 1)).astype(np.float32),
        "mask": masks,
        "age": rng.normal(size=(COUNT, 2)).astype(np.float32),
    }


def trained(model, x, y, **arguments):
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    return model.fit(x, y, epochs=1, batch_size=COUNT, verbose=0, shuffle=False, **arguments)


def test_s_is_that_of_a_plain_tape_with_the_others_held(samples):
    network = two_inputs()
    image, age = tf.constant(samples["image"]), tf.constant(samples["age"])
    with tf.GradientTape() as tape:
        tape.watch(image)
        score = network({"image": image, "age": age})
    gradient = tape.gradient(score, image).numpy().astype(np.float64) * samples["mask"]
    brightness = samples["mask"] / samples["mask"].sum(axis=(1, 2, 3), keepdims=True)
    cross = np.sum(gradient * brightness, axis=(1, 2, 3)) ** 2
    expected = cross / np.sum(gradient**2, axis=(1, 2, 3)) / np.sum(brightness**2, axis=(1, 2, 3))
    inputs = {key: samples[key] for key in ("image", "age")}
    frame = explain(Score(network), inputs, samples["mask"], features="brightness").to_frame()
    np.testing.assert_allclose(frame["S_brightness"], expected, rtol=1e-5)
    assert (frame["status"] == "reached").all()


def test_a_step_is_that_of_a_classifier_with_the_same_numbers_built_in(samples):
    # All samples have the same numbers, so that a classifier of the image alone can hold them.
    samples["age"][:] = [0.5, -1.0]
    labels = np.arange(COUNT) % 2
    models = []
    for built_in in (False, True):
        network = two_inputs()
        if built_in:
            image = keras.Input((SIZE, SIZE, 1))
            age = L.Lambda(lambda x: tf.tile(tf.constant([[0.5, -1.0]]), [tf.shape(x)[0], 1]))(image)
            network = keras.Model(image, network({"image": image, "age": age}))
        model = AlignmentModel(network, ["brightness", "extent"], reward_weight=2.0)
        x = samples if not built_in else {key: samples[key] for key in ("image", "mask")}
        history = trained(model, x, labels).history
        models.append((model, history))
    for one, two in zip(models[0][0].get_weights(), models[1][0].get_weights()):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)
    for key, value in models[1][1].items():
        assert models[0][1][key] == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("key", ["image", "ct"])
def test_it_trains_validates_is_saved_and_loaded(samples, tmp_path, key):
    samples = {key if name == "image" else name: array for name, array in samples.items()}
    labels = np.arange(COUNT) % 2
    given = None if key == "image" else key
    model = AlignmentModel(two_inputs(key), ["brightness"], reward="joint", input=given)
    callback = AlignmentCallback(samples, input=given)
    history = trained(model, samples, labels, validation_data=(samples, labels), callbacks=[callback]).history
    assert {"S_joint", "val_S_joint", "val_F_joint", "reward"} <= history.keys()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(samples, verbose=0), model.predict(samples, verbose=0))
    inputs = {name: samples[name] for name in (key, "age")}
    frame = explain(again, inputs, samples["mask"]).to_frame()
    np.testing.assert_allclose(frame["S_joint"].mean(), history["val_S_joint"][0], rtol=1e-5)
    by_path = explain(tmp_path / "model.keras", inputs, samples["mask"]).to_frame()
    np.testing.assert_array_equal(by_path["F_joint"], frame["F_joint"])


def test_its_export_carries_the_other_inputs(samples, tmp_path):
    model = AlignmentModel(two_inputs(), ["brightness", "extent"], reward="none")
    model(samples)
    fgf_keras.export_saved_model(model, tmp_path / "1")
    inputs = {name: samples[name] for name in ("image", "age")}
    expected = explain(model, inputs, samples["mask"], noise_draws=0).to_frame()
    served = fgf_keras.load_saved_model(tmp_path)
    assert served.others == ["age"]
    table = served.explain(inputs, samples["mask"]).to_frame()
    np.testing.assert_allclose(table["F_joint"], expected["F_joint"], atol=1e-5)
    # `explain` measures the exported network anew: the same table, with the same names.
    anew = explain(served, inputs, samples["mask"], noise_draws=0).to_frame()
    assert list(anew) == list(expected)
    assert list(anew.index) == list(expected.index)
    np.testing.assert_allclose(anew["S_joint"], expected["S_joint"], atol=1e-5)
    bad = {**inputs, "age": np.where(np.arange(COUNT)[:, np.newaxis] == 2, np.nan, inputs["age"])}
    statuses = served.predict(bad, samples["mask"]).to_frame()["status"].tolist()
    assert statuses == ["ok"] * 2 + ["input_not_finite"] + ["ok"] * (COUNT - 3)


def test_inputs_that_the_classifier_does_not_take_are_named(samples):
    inputs = {"image": samples["image"], "weight": samples["age"]}
    with pytest.raises(ModelError, match=r"takes the inputs: .*age.* Received: image, weight"):
        explain(Score(two_inputs()), inputs, features="brightness")
    with pytest.raises(ModelError, match=r"no input 'mri'.*'image', 'weight'"):
        explain(Score(two_inputs(), input="mri"), inputs, features="brightness")
