"""How the section and the reward's gradient are taken: found by trying, said in the log, right."""

import logging
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from reward_oracle import samples, step_of, worst_error

import fgf_keras
from fgf_keras.errors import FeatureError, ModelError
from fgf_keras.models.gradient_plan import gradient_plan

L = keras.layers
SHAPE = (8, 8, 1)


@pytest.fixture
def float64():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def network(*layers, shape=SHAPE, classes=1):
    keras.utils.set_random_seed(5)
    return keras.Sequential([keras.Input(shape), *layers, L.Flatten(), L.Dense(classes)])


def smooth(*layers, **options):
    return network(L.Conv2D(4, 3, activation="gelu"), *layers, L.Conv2D(4, 3, activation="tanh"), **options)


@keras.saving.register_keras_serializable(package="tests")
class BatchMean(L.Layer):
    """Subtracts the mean over the batch, in inference mode too."""

    def call(self, x):
        return x - tf.reduce_mean(x, axis=0, keepdims=True)


@keras.saving.register_keras_serializable(package="tests")
class OwnBatchNormalization(L.Layer):
    """What a user writes who does not take Keras's layer: statistics of the batch in training mode."""

    def call(self, x, training=False):
        return x - tf.reduce_mean(x, axis=0, keepdims=True) if training else x


class Subclassed(keras.Model):
    """A network that cannot be copied."""

    def __init__(self, activation, resized=False):
        super().__init__()
        self.body = network(L.Conv2D(8, 3, activation=activation), *([L.Resizing(9, 9)] if resized else []))
        self.unknown = object()

    def call(self, x, training=None):
        return self.body(x, training=training)

    def get_config(self):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("layers", "method", "section"),
    [
        ([L.Conv2D(4, 3, activation="elu")], "exact", "shared"),
        ([L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D()], "exact", "shared"),
        ([L.Conv2D(4, 3, activation="elu"), L.Dropout(0.5)], "exact", "shared"),
        ([L.Conv2D(4, 3), L.LayerNormalization(), L.ReLU()], "exact", "shared"),
        ([L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU()], "exact", "moving"),
        ([L.Conv2D(4, 3), L.BatchNormalization(trainable=False), L.ReLU()], "exact", "shared"),
        ([L.Conv2D(4, 3), OwnBatchNormalization(), L.ReLU()], "exact", "inference"),
        ([L.RandomRotation(0.2), L.Conv2D(4, 3, activation="elu")], "exact", "inference"),
        ([L.Conv2D(4, 3, activation="relu"), L.Resizing(9, 9), L.Conv2D(4, 3)], "difference", "inference"),
    ],
)
def test_the_plan_fits_the_layers(layers, method, section):
    plan = gradient_plan(network(*layers), SHAPE)
    assert (plan.method, plan.section) == (method, section)


def test_rounding_to_float32_within_a_network_with_kinks_hides_no_missing_derivative():
    # tf.image.resize computes in float32 in a float64 network too: for several of these draws of the weights,
    # all differences used to be too noisy or to cross a kink.
    for seed in range(24):
        keras.utils.set_random_seed(seed)
        classifier = keras.Sequential(
            [
                keras.Input(SHAPE),
                *[L.Conv2D(4, 3, activation="relu"), L.Resizing(9, 9), L.Conv2D(4, 3)],
                *[L.Flatten(), L.Dense(1)],
            ]
        )
        assert gradient_plan(classifier, SHAPE).method == "difference", f"seed {seed}"


@pytest.mark.parametrize(
    ("activation", "resized", "method"), [("gelu", False, "exact"), ("gelu", True, "difference")]
)
def test_a_network_that_cannot_be_copied_is_tried_as_it_is(activation, resized, method):
    classifier = Subclassed(activation, resized)
    classifier(tf.zeros((1, *SHAPE)))
    assert gradient_plan(classifier, SHAPE).method == method


def test_the_plan_is_said_in_the_log(caplog):
    with caplog.at_level(logging.INFO, logger="fgf_keras"):
        gradient_plan(smooth(L.UpSampling2D(interpolation="bilinear"), shape=(9, 9, 1)), (9, 9, 1))
    assert "Reward gradient: difference (second derivatives are missing" in caplog.text


def test_trying_changes_no_weight_no_statistics_and_no_random_number():
    classifier = network(L.Conv2D(4, 3), L.BatchNormalization(), L.Dropout(0.5, seed=1))
    before = [v.numpy() for v in classifier.variables]
    random.seed(3)
    expected = random.random()
    random.seed(3)
    gradient_plan(classifier, SHAPE)
    assert random.random() == expected
    for a, b in zip(before, classifier.variables):
        np.testing.assert_array_equal(a, b.numpy())


def test_samples_that_change_each_other_are_refused():
    with pytest.raises(ModelError, match="depends on the other samples of its batch"):
        gradient_plan(network(L.Conv2D(4, 3), BatchMean()), SHAPE)


def test_features_that_couple_samples_are_refused():
    def rank(image, mask):
        value = tf.reduce_sum(image * mask, [1, 2, 3])
        return value / tf.reduce_sum(value)

    features = [fgf_keras.Brightness(), fgf_keras.AutodiffFeature(rank)]
    image, mask = samples(SHAPE)
    with pytest.raises(FeatureError, match=r"'rank' gives a sample another value in a batch .* than alone"):
        fgf_keras.explain(smooth(), image, mask, features=features)
    model = fgf_keras.AlignmentModel(smooth(), features)
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    with pytest.raises(FeatureError, match="'rank'"):
        model.fit({"image": image, "mask": mask}, np.arange(4) % 2, verbose=0)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_batch_normalisation_is_trained_with_batches_and_measured_sample_by_sample(dropout, rng):
    image, mask = samples(SHAPE, count=8)
    x, y = {"image": image, "mask": mask}, np.arange(8) % 2
    classifier = network(
        L.Conv2D(6, 3), L.BatchNormalization(momentum=0.5), L.Activation("elu"), L.Dropout(dropout)
    )
    # Statistics far from those of the images: with the batch's own, S would be another.
    classifier.layers[1].moving_mean.assign(rng.normal(size=6))
    model = fgf_keras.AlignmentModel(classifier, [fgf_keras.Brightness(), fgf_keras.Extent()])
    model.compile(keras.optimizers.SGD(0.0), keras.losses.BinaryCrossentropy(from_logits=True))
    expected = model.evaluate(x, y, verbose=0, return_dict=True)
    statistics = classifier.layers[1].moving_mean.numpy()
    logs = model.train_on_batch(x, y, return_dict=True)
    assert model._plan.section == "moving"
    if not dropout:
        for name in ("S_brightness", "S_extent", "S_joint"):
            assert logs[name] == pytest.approx(expected[name], rel=1e-5)
    # The task is trained on the batch's own statistics, and moves the moving ones, once.
    assert logs["task_loss"] != pytest.approx(expected["task_loss"], rel=1e-3)
    batch = classifier.layers[0](image * mask).numpy().mean(axis=(0, 1, 2))
    np.testing.assert_allclose(
        classifier.layers[1].moving_mean.numpy(), 0.5 * (statistics + batch), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("classes", [1, 3])
def test_a_difference_of_gradients_is_right_in_float64(float64, classes):
    for layers in ([], [L.LayerNormalization()]):
        error, plan = worst_error(smooth(*layers, classes=classes), SHAPE, reward_gradient="difference")
        assert plan.method == "difference"
        assert error < 1e-6


@pytest.mark.parametrize("support", ["mask", "image"])
@pytest.mark.parametrize("layers", [[], [L.LayerNormalization], [L.SeparableConv2D, L.GroupNormalization]])
def test_a_difference_of_gradients_is_good_in_float32(layers, support):
    kinds = {
        L.SeparableConv2D: lambda: L.SeparableConv2D(4, 3, padding="same", activation="softplus"),
        L.GroupNormalization: lambda: L.GroupNormalization(2),
    }
    image, mask = samples(SHAPE, count=8)
    both = []
    for method in ("exact", "difference"):
        # A layer draws the seed of its weights when it is made, before `smooth` sets one.
        keras.utils.set_random_seed(1)
        network = smooth(*[kinds.get(kind, kind)() for kind in layers])
        both.append(step_of(network, image, mask, reward_gradient=method, support=support)[0])
    exact, difference = (np.concatenate([g.ravel() for g in gradient]) for gradient in both)
    assert np.linalg.norm(difference - exact) <= 5e-3 * np.linalg.norm(exact)


@pytest.mark.parametrize("options", [{"run_eagerly": True}, {"jit_compile": True}])
@pytest.mark.parametrize("evaluation", ["dense", "auto"])
def test_a_difference_of_gradients_trains_the_same_in_every_mode(options, evaluation):
    image, mask = samples((16, 16, 1), count=6)
    weights = []
    for compiled in ({}, options):
        keras.utils.set_random_seed(5)
        classifier = fgf_keras.paper_cnn(
            (16, 16, 1), filters=(3, 4), kernel_sizes=(3, 3), pool_size=2, dense=(4,)
        )
        model = fgf_keras.AlignmentModel(
            classifier,
            [fgf_keras.Brightness(), fgf_keras.Extent()],
            reward_weight=2.0,
            reward_gradient="difference",
            evaluation=evaluation,
        )
        model.compile(
            keras.optimizers.SGD(0.1), keras.losses.BinaryCrossentropy(from_logits=True), **compiled
        )
        for _ in range(3):
            model.train_on_batch({"image": image, "mask": mask}, np.arange(6) % 2)
        weights.append(np.concatenate([w.ravel() for w in classifier.get_weights()]))
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-3, atol=1e-5)


def test_a_difference_in_half_precision_is_refused():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        classifier = network(
            L.Conv2D(4, 3, activation="elu"), L.Resizing(9, 9), L.Conv2D(4, 3, activation="elu")
        )
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(ModelError, match=r"rounding to float16 leaves nothing\. Train in float32"):
        gradient_plan(classifier, SHAPE)


def test_an_operation_without_a_gradient_is_named():
    image, mask = samples(SHAPE)
    classifier = network(L.Conv2D(4, 3), L.Resizing(5, 5, interpolation="area"))
    with pytest.raises(ModelError, match=r"no gradient with respect to its image: .*ResizeArea"):
        fgf_keras.explain(classifier, image, mask, features=[fgf_keras.Brightness()])


def test_the_choice_survives_saving(tmp_path):
    model = fgf_keras.AlignmentModel(smooth(), [fgf_keras.Brightness()], reward_gradient="difference")
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").reward_gradient == "difference"
    assert "reward_gradient" not in fgf_keras.AlignmentModel(smooth(), [fgf_keras.Brightness()]).get_config()
