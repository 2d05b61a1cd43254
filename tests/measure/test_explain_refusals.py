"""`explain` refuses what it cannot measure, and says what, where and what to do."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from pandas.testing import assert_frame_equal

from fgf_keras import AlignmentModel, Brightness, Extent, explain
from fgf_keras.errors import ConfigError, DataError, FeatureError, ModelError
from fgf_keras.flow.settings import Flow

SIZE = 8
IDS = ["A-1", "B-2", "C-3"]


@pytest.fixture
def cohort(rng):
    images = rng.uniform(0.1, 1, (3, SIZE, SIZE, 1)).astype(np.float32)
    masks = np.zeros((3, SIZE, SIZE, 1), np.uint8)
    masks[:, 2:6, 1:6] = 1
    return images, masks


def classifier(*last, classes=1, bias=0.0):
    """Convolution and dense layer, followed by the layers given."""
    keras.utils.set_random_seed(1)
    dense = keras.layers.Dense(classes, bias_initializer=keras.initializers.Constant(bias))
    layers = [keras.layers.Conv2D(2, 3, activation="elu"), keras.layers.Flatten(), dense, *last]
    return keras.Sequential([keras.Input((SIZE, SIZE, 1)), *layers])


def nested(layer, classes=1):
    """A model whose last layer is a model whose last layer is the one given."""
    head = keras.Sequential([keras.Input((classes,)), layer])
    return classifier(head, classes=classes)


def functional(last):
    """A Functional model: convolution, dense layer and what is made of its output."""
    inputs = keras.Input((SIZE, SIZE, 1))
    return keras.Model(inputs, last(classifier()(inputs)))


class Subclassed(keras.Model):
    """Layers in another order than they are called in: the gate is defined last and is not the output."""

    def __init__(self, activation=None, gate="sigmoid"):
        super().__init__()
        self.head = keras.layers.Dense(1, activation=activation)
        self.body = classifier(classes=6)
        self.gate = keras.layers.Dense(6, activation=gate)

    def call(self, inputs):
        body = self.body(inputs)
        return self.head(body * self.gate(body))


# Models that end in probabilities, and the same network without the last activation, for the same weights.
STRIPPED = {
    "sigmoid of the last dense layer": lambda end: classifier(
        keras.layers.Dense(1, activation=end and "sigmoid")
    ),
    "softmax of the last dense layer": lambda end: classifier(
        keras.layers.Dense(3, activation=end and "softmax")
    ),
    "activation layer": lambda end: functional(keras.layers.Activation("sigmoid" if end else "linear")),
    "operation of Keras": lambda end: functional(keras.ops.sigmoid if end else keras.layers.Identity()),
    "softmax layer": lambda end: classifier(*[keras.layers.Softmax()][: 1 if end else 0], classes=3),
    "sigmoid in a nested model": lambda end: nested(keras.layers.Activation("sigmoid" if end else "linear")),
    "dense layer in a nested model": lambda end: nested(keras.layers.Dense(2, activation=end and "softmax")),
    "sigmoid, then a cast": lambda end: classifier(
        keras.layers.Dense(1, activation=end and "sigmoid"),
        keras.layers.Activation("linear", dtype="float32"),
    ),
}


@pytest.mark.parametrize(
    ("kind", "flow"), [*((kind, False) for kind in STRIPPED), ("softmax layer", Flow(max_steps=8))]
)
def test_the_logits_of_a_classifier_that_ends_in_probabilities_are_explained(cohort, kind, flow):
    model, logits = STRIPPED[kind](True), STRIPPED[kind](False or None)
    logits.set_weights(model.get_weights())
    settings = {"features": [Brightness(), Extent()], "noise_draws": 0, "flow": flow}
    with pytest.warns(UserWarning, match=r"ends in the activation '(sigmoid|softmax)'.*logit, is explained"):
        found = explain(model, *cohort, **settings).to_frame()
    expected = explain(logits, *cohort, **settings).to_frame()
    assert_frame_equal(found, expected, rtol=1e-5, atol=1e-6)
    # Nothing of the model itself has changed.
    assert np.all((model.predict(cohort[0], verbose=0) > 0) & (model.predict(cohort[0], verbose=0) < 1))


REFUSED = {
    "in a rewarded model": lambda: AlignmentModel(
        # A rewarded model refuses an activation that says its name when it is made.
        nested(keras.layers.Lambda(tf.sigmoid)),
        [Brightness()],
        reward="none",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_classifier_whose_graph_ends_in_probabilities_is_refused(cohort, kind):
    with pytest.raises(ModelError, match=r"returns probabilities.*last operation.*a sigmoid") as caught:
        explain(REFUSED[kind](), *cohort, features=[Brightness()])
    assert "new.set_weights(classifier.get_weights())" in str(caught.value)


# Models whose layers do not show that they end in probabilities: only the operations of their graph do.
HIDDEN = {
    "lambda": lambda: classifier(keras.layers.Lambda(tf.sigmoid)),
    "saturated sigmoid": lambda: classifier(keras.layers.Lambda(tf.sigmoid), bias=60.0),
    "subclassed": lambda: Subclassed("sigmoid"),
    "subclassed, in a function of TensorFlow": lambda: classifier(
        keras.layers.Lambda(tf.function(tf.sigmoid))
    ),
}


@pytest.mark.parametrize("kind", HIDDEN)
def test_probabilities_that_only_the_graph_shows_are_removed_too(cohort, kind):
    model = HIDDEN[kind]()
    with pytest.warns(UserWarning, match=r"ends in the activation 'sigmoid'.*logit, is explained"):
        frame = explain(model, *cohort, features=[Brightness()], noise_draws=0).to_frame()
    probability = model(cohort[0]).numpy()[:, 0]
    np.testing.assert_allclose(1 / (1 + np.exp(-frame["logit"])), probability, rtol=1e-5)
    # A saturated probability has no gradient left in float32; its logit has.
    assert np.all(frame["S_brightness"] > 0)


MAKERS = {
    "Sequential": lambda end: classifier(keras.layers.Dense(1, activation=end)),
    "Functional": lambda end: functional(keras.layers.Dense(1, activation=end)),
    "subclassed": Subclassed,
}


@pytest.mark.parametrize("kind", MAKERS)
def test_the_advice_of_the_refusal_gives_the_logits(cohort, kind):
    model, new = MAKERS[kind]("sigmoid"), MAKERS[kind](None)
    probability = model(cohort[0]).numpy()
    new(cohort[0])
    new.set_weights(model.get_weights())
    np.testing.assert_allclose(1 / (1 + np.exp(-new(cohort[0]))), probability, rtol=1e-5)
    frame = explain(new, *cohort, features=[Brightness()], noise_draws=0, flow=Flow(max_steps=8)).to_frame()
    np.testing.assert_allclose(
        frame["logit"], np.log(probability / (1 - probability))[:, 0], rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("kind", ["Sequential", "Functional"])
def test_a_rewarded_model_of_probabilities_is_refused_when_it_is_made(kind):
    with pytest.raises(ModelError, match="returns probabilities"):
        AlignmentModel(MAKERS[kind]("sigmoid"), [Brightness()])


def test_a_rewarded_model_of_a_subclassed_classifier_of_probabilities_is_refused_in_training(cohort):
    model = AlignmentModel(Subclassed("sigmoid"), [Brightness()])
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    with pytest.raises(ModelError, match="returns probabilities"):
        model.fit({"image": cohort[0], "mask": cohort[1]}, np.array([0, 1, 0]), verbose=0)


LOGITS = {
    "one logit": lambda: classifier(),
    "one logit near a half": lambda: classifier(bias=0.5),
    "three logits": lambda: classifier(classes=3),
    "logits in a nested model": lambda: nested(keras.layers.Activation("linear")),
    "log-probabilities": lambda: classifier(keras.layers.Activation("log_softmax"), classes=3),
    "subclassed, with a gate": Subclassed,
    "two logits that stay in [0, 1]": lambda: functional(
        lambda z: keras.layers.Concatenate()([0.2 + 0.1 * keras.ops.tanh(z), 0.3 + 0.1 * keras.ops.tanh(z)])
    ),
}


@pytest.mark.parametrize("kind", LOGITS)
def test_a_classifier_that_returns_logits_is_taken_without_a_word(cohort, kind):
    one = (part[:1] for part in cohort)
    explain(LOGITS[kind](), *one, features=[Brightness()], noise_draws=0, flow=False)


def test_a_logit_that_stays_between_0_and_1_is_explained_with_a_warning(cohort):
    model = functional(lambda z: 0.5 + 0.4 * keras.ops.tanh(z))
    with pytest.warns(UserWarning, match=r"stays in \[0, 1\].*If it is a logit, nothing is wrong"):
        found = explain(model, *cohort, features=[Brightness()], noise_draws=0, flow=Flow(max_steps=8))
    assert np.all(found.to_frame()["S_brightness"] >= 0)


def test_an_empty_mask_is_named_by_its_patient(cohort):
    images, masks = cohort
    masks[1] = 0
    with pytest.raises(DataError, match=r"Empty: B-2\."):
        explain(classifier(), images, masks, features=[Brightness()], patient_id=IDS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite_are_counted_and_named_by_their_patient(cohort, value):
    images, masks = cohort
    images[2, 0, :2] = value
    with pytest.raises(DataError, match=r"C-3 \(2 pixels\)\."):
        explain(classifier(), images, masks, features=[Brightness()], patient_id=IDS)


@pytest.mark.parametrize("value", [2, 255, 0.5])
def test_a_mask_of_other_values_than_0_and_1_is_named_by_its_patient(cohort, value):
    images, masks = cohort
    masks = masks.astype(np.float32)
    masks[0, 3, 3] = value
    with pytest.raises(DataError, match=rf"0 and 1 only. Other values: {value}\b.*A-1"):
        explain(classifier(), images, masks, features=[Brightness()], patient_id=IDS)


@pytest.mark.parametrize(
    ("images", "masks", "words"),
    [
        ((3, 9, 8, 1), (3, 9, 8, 1), r"\(None, 8, 8, 1\).*\(3, 9, 8, 1\)"),
        ((3, 8, 8, 2), (3, 8, 8, 1), r"\(None, 8, 8, 1\).*\(3, 8, 8, 2\)"),
        ((3, 8, 8), (3, 8, 8, 1), r"\(3, 8, 8\).*\(3, 8, 8, 1\).*channel axis"),
        ((3, 8, 8, 1), (2, 8, 8, 1), "images 3, masks 2"),
        ((3, 8, 8, 1), (3, 8, 8), r"\(3, 8, 8, 1\).*\(3, 8, 8\).*differ in number of axes"),
        ((0, 8, 8, 1), (0, 8, 8, 1), "At least one sample"),
    ],
)
def test_arrays_of_another_shape_are_refused_with_both_shapes(images, masks, words):
    with pytest.raises(DataError, match=words):
        explain(classifier(), np.ones(images, np.float32), np.ones(masks), features=[Brightness()])


@pytest.mark.parametrize("spacing", [(1.0, 0.0), (1.0, -1.0), (1.0, np.nan), (1.0, 1.0, 1.0), 1.0])
def test_a_spacing_that_is_no_distance_is_refused(cohort, spacing):
    with pytest.raises(DataError, match="spacing must be positive"):
        explain(classifier(), *cohort, features=[Brightness()], spacing=spacing)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (None, "At least one feature"),
        ([], "At least one feature"),
        ([Extent(), Extent()], "twice: extent"),
        (["bright"], "brightness"),
        ([Brightness(name="noise")], "named 'noise'"),
        ([Brightness(name="joint")], "'joint' is taken"),
    ],
)
def test_features_that_are_none_or_share_a_name_are_refused(cohort, features, words):
    with pytest.raises(FeatureError, match=words):
        explain(classifier(), *cohort, features=features)


@pytest.mark.parametrize(
    "cut", [tf.round, tf.stop_gradient, lambda x: tf.cast(tf.cast(x, tf.int32), tf.float32)]
)
def test_a_classifier_without_a_gradient_is_refused_with_the_usual_causes(cohort, cut):
    scaled = [keras.layers.Rescaling(10.0, offset=-7.0), keras.layers.Lambda(cut)]
    with pytest.raises(ModelError, match="no gradient") as caught:
        explain(classifier(*scaled), *cohort, features=[Brightness()])
    for cause in ("rounding", "argmax", "stop_gradient", "py_function"):
        assert cause in str(caught.value)


def test_a_classifier_that_returns_no_row_of_logits_is_refused_with_its_shape(cohort):
    maps = keras.Sequential([keras.Input((SIZE, SIZE, 1)), keras.layers.Conv2D(1, 3)])
    with pytest.raises(ModelError, match=r"\(None, 6, 6, 1\)"):
        explain(maps, *cohort, features=[Brightness()])


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ({"support": "tumour"}, ModelError),
        ({"patient_id": ["A-1", "B-2"]}, DataError),
        ({"patient_id": ["A-1", "B-2", "A-1"]}, DataError),
    ],
)
def test_a_setting_that_cannot_be_is_named(cohort, setting, error):
    with pytest.raises(error):
        explain(classifier(), *cohort, features=[Brightness()], **setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"alpha": 1.0}, "alpha must be between 0 and 1"),
        ({"noise_draws": -1}, "noise_draws must be at least 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        explain(classifier(), [], [], features=[Brightness()], **setting)
