"""The rewarded model: its gradient, its logs, and what Keras users expect of it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import fgf_keras
from fgf_keras.errors import FeatureError, ModelError
from fgf_keras.features.base import stack_gradients
from fgf_keras.geometry.alignment import alignment_products, joint_alignment, pointwise_alignment
from fgf_keras.models.input_gradient import section_gradients

SIZE = 12


def features():
    return [fgf_keras.Brightness(), fgf_keras.Extent(), fgf_keras.LogAspectRatio()]


def classifier(*, classes=2, dtype="float32", activation="elu", seed=0, dropout=0.0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((SIZE, SIZE, 1), dtype=dtype)
    x = keras.layers.Conv2D(3, 3, padding="same", activation=activation, dtype=dtype)(inputs)
    x = keras.layers.AveragePooling2D(2, dtype=dtype)(x)
    x = keras.layers.Flatten(dtype=dtype)(x)
    x = keras.layers.Dense(5, activation=activation, dtype=dtype)(x)
    if dropout:
        x = keras.layers.Dropout(dropout)(x)
    outputs = keras.layers.Dense(1 if classes == 2 else classes, dtype=dtype)(x)
    return keras.Model(inputs, outputs)


def batch(rng, count=6, dtype=np.float32, classes=2):
    mask = np.zeros((count, SIZE, SIZE, 1), dtype)
    for k in range(count):
        mask[k, 2 : 6 + k % 4, 3 : 10 - k % 3] = 1
    image = rng.uniform(0.1, 1, mask.shape).astype(dtype)
    return {"image": image, "mask": mask}, np.arange(count) % classes


def model(network=None, *, jit=False, eager=False, classes=2, optimizer=None, metrics=(), **arguments):
    network = network or classifier(classes=classes)
    built = fgf_keras.AlignmentModel(network, features(), **arguments)
    kind = keras.losses.BinaryCrossentropy if classes == 2 else keras.losses.SparseCategoricalCrossentropy
    # In the precision of the network, so that a float64 network has a float64 loss.
    loss = kind(from_logits=True, dtype=built.classifier.output.dtype)
    built.compile(
        optimizer or keras.optimizers.SGD(0.1),
        loss,
        metrics=list(metrics),
        jit_compile=jit,
        run_eagerly=eager,
    )
    return built


def loss_of(built, x, y):
    """The loss as its definition says, from measurement functions that the training does not use."""
    seen = tf.constant(x["image"] * x["mask"])
    mask = tf.constant(x["mask"])
    logits, section = section_gradients(built.classifier, seen)
    section = section * mask[:, None] if built.support == "mask" else section
    products = alignment_products(section, stack_gradients(built.features, seen, mask))
    task = tf.reduce_mean(built.loss(y, logits))
    if built.reward == "joint":
        return task - built.reward_weight * tf.reduce_mean(joint_alignment(products))
    weights = [built.reward_weight[n] for n in built.feature_names]
    return task - tf.reduce_sum(tf.reduce_mean(pointwise_alignment(products), axis=0) * np.array(weights))


@pytest.mark.parametrize("support", ["mask", "image"])
@pytest.mark.parametrize(
    ("reward", "weight", "classes"),
    [
        ("sum", {"brightness": 0.3, "extent": 2.0, "log_aspect_ratio": 0.7}, 2),
        ("joint", 1.3, 2),
        ("sum", {"brightness": 0.3, "extent": 2.0, "log_aspect_ratio": 0.7}, 4),
        ("joint", 1.3, 4),
    ],
)
def test_a_step_moves_the_weights_by_the_finite_difference_of_the_loss(reward, weight, classes, support, rng):
    keras.backend.clear_session()
    network = classifier(classes=classes, dtype="float64", activation="softplus")
    built = model(network, classes=classes, reward=reward, reward_weight=weight, support=support, epsilon=0.0)
    x, y = batch(rng, dtype=np.float64, classes=classes)
    before = [v.numpy() for v in network.trainable_variables]
    loss = tf.function(lambda: loss_of(built, x, y))
    expected = []
    for variable, value in zip(network.trainable_variables, before):
        gradient = np.zeros(value.size)
        chosen = rng.permutation(value.size)[:8]
        for i in chosen:
            losses = []
            for sign in (1, -1):
                moved = value.copy().ravel()
                moved[i] += sign * 1e-5
                variable.assign(moved.reshape(value.shape))
                losses.append(float(loss()))
            gradient[i] = (losses[0] - losses[1]) / 2e-5
            variable.assign(value)
        expected.append((chosen, gradient))
    # Not train_on_batch, which converts its arrays to float32.
    built.train_step(({key: tf.constant(value) for key, value in x.items()}, tf.constant(y)))
    for (chosen, gradient), value, variable in zip(expected, before, network.trainable_variables):
        step = (value - variable.numpy()).ravel() / float(np.float32(0.1))
        np.testing.assert_allclose(step[chosen], gradient[chosen], rtol=2e-5, atol=1e-8)


@pytest.mark.parametrize("reward", ["sum", "joint"])
def test_graph_eager_and_compiled_steps_agree(reward, rng):
    x, y = batch(rng)
    weights = []
    for options in ({}, {"eager": True}, {"jit": True}):
        built = model(classifier(), reward=reward, reward_weight=1.0, **options)
        for _ in range(3):
            built.train_on_batch(x, y)
        weights.append([v.numpy() for v in built.classifier.trainable_variables])
    for other in weights[1:]:
        for a, b in zip(weights[0], other):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("arguments", [{"reward": "none"}, {"reward_weight": 0.0}, {"reward_weight": {}}])
def test_without_weight_the_trajectory_is_exactly_that_of_the_plain_classifier(arguments, rng):
    x, y = batch(rng)
    plain = classifier()
    plain.compile(keras.optimizers.Adam(0.01), keras.losses.BinaryCrossentropy(from_logits=True))
    # On the canvas: in a window the sums are the same up to rounding.
    ours = model(classifier(), optimizer=keras.optimizers.Adam(0.01), evaluation="dense", **arguments)
    for _ in range(5):
        plain.train_on_batch(x["image"] * x["mask"], y)
        ours.train_on_batch(x, y)
    for a, b in zip(plain.trainable_variables, ours.classifier.trainable_variables):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_logs_hold_the_parts_of_the_loss_and_the_alignments(rng):
    x, y = batch(rng)
    built = model(reward="sum", reward_weight=0.5, metrics=[keras.metrics.AUC(from_logits=True, name="auc")])
    history = built.fit(x, y, validation_data=(x, y), epochs=2, batch_size=4, verbose=0).history
    keys = {"loss", "task_loss", "reward", "auc", "S_joint"} | {f"S_{n}" for n in built.feature_names}
    assert set(history) == keys | {f"val_{key}" for key in keys}
    np.testing.assert_allclose(
        np.array(history["loss"]), np.array(history["task_loss"]) - history["reward"], rtol=1e-5
    )
    sums = sum(np.array(history[f"val_S_{n}"]) for n in built.feature_names)
    np.testing.assert_allclose(history["val_reward"], 0.5 * sums, rtol=1e-5)


def test_validation_measures_what_explain_measures(rng):
    x, y = batch(rng)
    built = model()
    logged = built.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
    frame = fgf_keras.explain(built, x["image"], x["mask"]).to_frame()
    for name in [*built.feature_names, "joint"]:
        assert logged[f"S_{name}"] == pytest.approx(frame[f"S_{name}"].mean(), rel=1e-4)


def test_samples_without_gradient_are_left_out_of_the_means(rng):
    x, y = batch(rng)
    x["image"][2] = 0  # ReLU: nothing passes an image that is zero
    network = classifier(activation="relu")
    for layer in network.layers:
        if layer.weights and layer is not network.layers[-1]:
            layer.bias.assign(tf.zeros_like(layer.bias) - 1e-6)
    built = fgf_keras.AlignmentModel(network, features(), reward="none")
    built.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    all_six = built.evaluate(x, y, verbose=0, return_dict=True)
    keep = np.arange(6) != 2
    five = built.evaluate({k: v[keep] for k, v in x.items()}, y[keep], verbose=0, return_dict=True)
    assert all_six["S_joint"] == pytest.approx(five["S_joint"], rel=1e-5)
    assert all_six["S_joint"] > 0
    none = built.evaluate({k: v[2:3] for k, v in x.items()}, y[2:3], verbose=0, return_dict=True)
    assert np.isnan([none["S_extent"], none["S_joint"]]).all()
    assert np.isfinite(none["loss"])


def test_sample_weights_and_class_weights_weight_the_task_alone(rng):
    x, y = batch(rng)
    weight = np.array([3.0, 1, 1, 0, 2, 1])
    built = model(reward_weight=0.5)
    plain = built.test_on_batch(x, y, return_dict=True)
    built.reset_metrics()
    weighted = built.test_on_batch(x, y, sample_weight=weight, return_dict=True)
    logits = built.predict(x, verbose=0)[:, 0]
    entropy = np.maximum(logits, 0) - logits * y + np.log1p(np.exp(-np.abs(logits)))
    assert weighted["task_loss"] == pytest.approx(np.mean(weight * entropy), rel=1e-5)
    assert weighted["S_joint"] == pytest.approx(plain["S_joint"])
    built.fit(x, y, class_weight={0: 1.0, 1: 5.0}, verbose=0)


def test_the_inputs_may_be_tuples_and_carry_spacing(rng):
    x, y = batch(rng)
    spacing = np.tile([[2.0, 0.5]], (6, 1)).astype(np.float32)
    built = model()
    data = tf.data.Dataset.from_tensors(((x["image"], x["mask"], spacing), y))
    oblong = built.evaluate(data, verbose=0, return_dict=True)
    square = built.evaluate(x, y, verbose=0, return_dict=True)
    assert oblong["S_brightness"] == pytest.approx(square["S_brightness"])
    assert oblong["S_extent"] != pytest.approx(square["S_extent"])
    np.testing.assert_array_equal(
        built.predict((x["image"], x["mask"]), verbose=0), built.predict(x, verbose=0)
    )


def test_pixels_outside_the_mask_are_not_seen(rng):
    x, _ = batch(rng)
    noisy = x["image"] + (1 - x["mask"]) * rng.normal(size=x["mask"].shape).astype(np.float32)
    built = model()
    np.testing.assert_array_equal(
        built.predict(x, verbose=0), built.predict({**x, "image": noisy}, verbose=0)
    )


@pytest.mark.parametrize("reward", [{"reward": "sum", "reward_weight": {"extent": 0.3}}, {"reward": "joint"}])
def test_a_saved_model_is_the_same_model(reward, tmp_path, rng):
    x, y = batch(rng)
    built = model(optimizer=keras.optimizers.Adam(), metrics=[keras.metrics.BinaryAccuracy()], **reward)
    built.fit(x, y, verbose=0)
    built.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy.predict(x, verbose=0), built.predict(x, verbose=0))
    assert copy.evaluate(x, y, verbose=0, return_dict=True) == built.evaluate(
        x, y, verbose=0, return_dict=True
    )
    for network in (built, copy):
        network.fit(x, y, verbose=0, shuffle=False)
    for a, b in zip(built.trainable_variables, copy.trainable_variables):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_measures_and_trains(policy, rng):
    x, y = batch(rng)
    exact = model(classifier()).evaluate(x, y, verbose=0, return_dict=True)
    keras.config.set_dtype_policy(policy)
    try:
        network = fgf_keras.paper_cnn(
            (SIZE, SIZE, 1), filters=(3,), kernel_sizes=(3,), pool_size=2, dense=(5,)
        )
    finally:
        keras.config.set_dtype_policy("float32")
    plain = classifier()
    network.set_weights(plain.get_weights())
    built = model(network, reward_weight=1.0, optimizer=keras.optimizers.Adam(0.01))
    half = built.evaluate(x, y, verbose=0, return_dict=True)
    for name in ("S_brightness", "S_joint"):
        assert half[name] == pytest.approx(exact[name], abs=0.02)
    history = built.fit(x, y, epochs=20, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"reward": "product"}, ModelError, "none, sum, joint"),
        ({"support": "tumour"}, ModelError, "mask, image"),
        ({"reward_weight": -1.0}, ModelError, ">= 0"),
        ({"reward_weight": float("nan")}, ModelError, "finite"),
        ({"reward_weight": {"colour": 1.0}}, FeatureError, "colour"),
        ({"reward": "joint", "reward_weight": {"extent": 1.0}}, ModelError, "one number"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        fgf_keras.AlignmentModel(classifier(), features(), **arguments)


def test_inputs_without_an_image_are_refused(rng):
    x, y = batch(rng)
    with pytest.raises(ModelError, match=r"with the key 'image'.*Received: \['mask'\]"):
        model(eager=True).train_step(({"mask": x["mask"]}, y))


def test_without_a_mask_everywhere_is_measured(rng):
    x, y = batch(rng)
    everywhere = {"image": x["image"], "mask": np.ones_like(x["mask"])}
    logs = [model(eager=True).test_step((inputs, y)) for inputs in ({"image": x["image"]}, everywhere)]
    assert {k: float(v) for k, v in logs[0].items()} == {k: float(v) for k, v in logs[1].items()}


def test_relu_and_max_pooling_are_warned_of():
    network = fgf_keras.paper_cnn((64, 64, 1), activation="relu", pooling="max")
    with pytest.warns(UserWarning, match="ReLU and max pooling"):
        fgf_keras.AlignmentModel(network, features())
    fgf_keras.AlignmentModel(network, features(), reward="none")


def test_the_reward_raises_alignment(rng):
    x, y = batch(rng, count=12)
    built = model(reward="joint", reward_weight=1.0, optimizer=keras.optimizers.Adam(0.01))
    before = built.evaluate(x, y, verbose=0, return_dict=True)["S_joint"]
    built.fit(x, y, epochs=30, verbose=0)
    assert built.evaluate(x, y, verbose=0, return_dict=True)["S_joint"] > before + 0.1


@pytest.mark.parametrize("last", ["sigmoid", "softmax"])
def test_a_classifier_that_ends_in_probabilities_is_refused(last):
    network = keras.Sequential([keras.Input((SIZE, SIZE, 1)), classifier(), keras.layers.Activation(last)])
    with pytest.raises(ModelError, match="returns probabilities"):
        fgf_keras.AlignmentModel(network, features())


@pytest.mark.parametrize("loss", ["binary_crossentropy", keras.losses.BinaryCrossentropy()])
def test_a_loss_that_expects_probabilities_is_refused(loss, rng):
    built = fgf_keras.AlignmentModel(classifier(), features())
    built.compile("sgd", loss)
    with pytest.raises(ModelError, match="from_logits=True"):
        built.fit(*batch(rng), verbose=0)
