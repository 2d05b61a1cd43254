"""What no classifier can be explained with is refused: what was given, and what to do."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers as L

from fgf_keras import AutodiffFeature, Score, explain
from fgf_keras.errors import DataError, FeatureError, ModelError
from fgf_keras.features import Column

RNG = np.random.default_rng(0)
X = RNG.uniform(0.2, 1, (4, 6, 6, 1)).astype(np.float32)
AGE = RNG.normal(size=(4, 2)).astype(np.float32)
TABLE = pd.DataFrame(RNG.normal(size=(4, 3)), columns=["age", "bmi", "dose"])
ONES = np.ones((4, 6, 6, 1))


def plain(classes=1):
    return keras.Sequential([keras.Input((6, 6, 1)), L.Flatten(), L.Dense(classes)])


def two_inputs(keys=True):
    image, age = keras.Input((6, 6, 1), name="image"), keras.Input((2,), name="age")
    logits = L.Dense(1)(L.Concatenate()([L.Flatten()(image), age]))
    return keras.Model({"image": image, "age": age} if keys else [image, age], logits)


def two_outputs():
    image = keras.Input((6, 6, 1))
    flat = L.Flatten()(image)
    return keras.Model(image, {"grade": L.Dense(3)(flat), "size": L.Dense(1)(flat)})


def tokens():
    text = keras.Input((6,), name="tokens", dtype="int32")
    return keras.Model(text, L.Dense(1)(L.Flatten()(L.Embedding(9, 2)(text))))


class Dictionary(keras.Model):
    """A subclassed model of a dictionary."""

    def __init__(self):
        super().__init__()
        self.flatten, self.dense = L.Flatten(), L.Dense(1)

    def call(self, inputs):
        return self.dense(tf.concat([self.flatten(inputs["image"]), inputs["age"]], axis=1))


def summed(image):
    return tf.reduce_sum(image, axis=[1, 2, 3])


def total(table):
    return tf.reduce_sum(table, axis=1)


def stream(*batches):
    return iter(batches)


# Each: the model, the samples and further arguments of `explain`, the error and its words.
REFUSED = {
    "an image without a batch axis": (plain, X[0], {}, DataError, r"\(6, 6, 1\).*x\[np.newaxis\]"),
    "an image without two axes": (plain, X[0, :, :, 0], {}, DataError, r"\(6, 6\).*x\[np.newaxis\]"),
    "an image for a function": (lambda: summed, X[0], {}, ModelError, r"cannot be called.*\(None, 6, 1\)"),
    "a number": (plain, 3.0, {}, DataError, r"Received: shape \(\)\..*x\[np.newaxis\]"),
    "images of several sizes": (plain, [X[0], X[1, :4]], {}, DataError, "do not make one array.*Resample"),
    "complex numbers": (plain, X + 1j, {}, DataError, "must be numbers.*complex"),
    "a table with text": (
        lambda: total,
        TABLE.assign(sex=["f", "m", "f", "m"]),
        {"features": [total]},
        DataError,
        "needs numbers. Encode or drop the columns sex",
    ),
    "first axes that differ": (two_inputs, {"image": X, "age": AGE[:3]}, {}, DataError, "'image' 4, 'age' 3"),
    "an input without axes": (
        two_inputs,
        {"image": X, "age": 60.0},
        {},
        DataError,
        "'age' without axes.*newaxis",
    ),
    "a name that is no input": (
        lambda: Score(two_inputs(), input="pixels"),
        {"image": X, "age": AGE},
        {},
        ModelError,
        "no input 'pixels'.*'image', 'age'",
    ),
    "another name": (
        two_inputs,
        {"image": X, "years": AGE},
        {},
        ModelError,
        "image, age. Received: image, years",
    ),
    "an input too few": (two_inputs, {"image": X}, {}, ModelError, "takes the inputs: image, age"),
    "an input too few in a list": (
        lambda: Score(two_inputs(keys=False), input=0),
        [X],
        {},
        ModelError,
        r"cannot be called.*expects 2",
    ),
    "an input too few for a class": (
        lambda: Score(Dictionary(), input="image"),
        {"image": X},
        {},
        ModelError,
        "cannot be called with.*'image'.*KeyError: age",
    ),
    "an input too many": (
        plain,
        {"image": X, "age": AGE},
        {},
        ModelError,
        "cannot be called|takes the inputs",
    ),
    "a list without a name": (
        lambda: two_inputs(keys=False),
        [X, AGE],
        {},
        DataError,
        r"Score\(model, input=0\)",
    ),
    "another width": (
        two_inputs,
        {"image": X, "age": AGE[:, :1]},
        {},
        ModelError,
        r"\(None, 1\) float32.*expected",
    ),
    "tokens": (tokens, np.ones((4, 6), int), {"features": [total]}, ModelError, "no gradient.*embedding"),
    "class 3 of 3": (
        lambda: Score(plain(3), target=3),
        X,
        {},
        ModelError,
        "3 classes, 0 to 2. Received: class 3",
    ),
    "class 2 of one logit": (lambda: Score(plain(), target=2), X, {}, ModelError, "2 classes, 0 to 1"),
    "names of other classes": (
        lambda: Score(plain(3), target="a", classes=["a", "b"]),
        X,
        {},
        ModelError,
        "has 3 classes, and classes=.*names 2",
    ),
    "an unknown output": (
        lambda: Score(two_outputs(), output="stage"),
        X,
        {},
        ModelError,
        "no output 'stage'. It has: 'grade', 'size'",
    ),
    "outputs without a choice": (two_outputs, X, {}, ModelError, r"'grade', 'size'.*Score\(model, output="),
    "a name for one output": (
        lambda: Score(plain(), output="grade"),
        X,
        {},
        ModelError,
        "one output, and output='grade'",
    ),
    "an output that is a text": (lambda: lambda x: "benign", X, {}, ModelError, "Received: str"),
    "an output that is an object": (lambda: lambda x: object(), X, {}, ModelError, "Received: object"),
    "an output of NumPy": (lambda: lambda x: np.ones((4, 1)), X, {}, ModelError, "Received: ndarray"),
    "an output of maps": (lambda: lambda x: x, X, {}, ModelError, r"\(None, 6, 6, 1\)"),
    "an output of classes": (lambda: lambda x: tf.argmax(x[:, 0, :, 0], 1), X, {}, ModelError, "type int64"),
    "one output for a batch": (
        lambda: lambda x: tf.reduce_sum(x, axis=[0, 1, 2])[tf.newaxis],
        X,
        {},
        ModelError,
        "one row of logits per sample. Received: 1 for 4",
    ),
    "NumPy inside": (
        lambda: lambda x: np.mean(x, axis=(1, 2, 3)),
        X,
        {},
        ModelError,
        "cannot be called.*numpy",
    ),
    "masks of another rank": (plain, X, {"masks": ONES[..., 0]}, DataError, "differ in number of axes"),
    "empty masks": (plain, X, {"masks": 0 * ONES}, DataError, "drop these samples"),
    "no samples": (plain, X[:0], {}, DataError, "At least one sample"),
    "missing values": (
        lambda: total,
        TABLE.mask(TABLE > 0),
        {"features": [total]},
        DataError,
        "drop these samples",
    ),
    "a feature of images for a table": (
        lambda: total,
        TABLE,
        {"features": "extent"},
        FeatureError,
        "Received: tables",
    ),
    "a feature of tables for images": (
        plain,
        X,
        {"features": [Column("age")]},
        FeatureError,
        "Received: images",
    ),
    "no such column": (
        lambda: total,
        TABLE,
        {"features": [Column("weight")]},
        FeatureError,
        "'age', 'bmi', 'dose'",
    ),
    "a feature that is not one number": (
        plain,
        X,
        {"features": [AutodiffFeature(lambda x: x, name="all")]},
        FeatureError,
        r"one number per sample.*axes \[1, 2, 3\]",
    ),
}


# Keras's advice on layers that fail comes before the refusal.
@pytest.mark.filterwarnings("ignore:Layer 'dictionary.*looks like it has unbuilt state")
@pytest.mark.filterwarnings(r"ignore:.build\(\). was called on layer 'dictionary")
@pytest.mark.parametrize("kind", REFUSED)
def test_samples_that_do_not_fit_are_refused_in_words(kind):
    make, samples, settings, error, words = REFUSED[kind]
    settings = {"features": "brightness", "flow": False, "noise_draws": 0} | settings
    with pytest.raises(error, match=f"(?s){words}") as caught:
        explain(make(), samples, **settings)
    assert "patient" not in str(caught.value)


IDS = list("abcd")
STREAMS = {
    "another size": ([X, X[:, :5]], r"\(6, 6, 1\).*after 4 samples: samples \(5, 6, 1\)"),
    "another rank": ([X, X[0]], r"after 4 samples: samples \(6, 1\)"),
    "other inputs": ([{"image": X, "age": AGE}, {"image": X, "sex": AGE}], "'age'.*'sex'"),
    "masks only at first": (
        [{"image": X, "mask": ONES}, {"image": X}],
        "with masks; after 4 samples: .*no masks",
    ),
    "inputs of other lengths": ([{"image": X, "age": AGE[:2]}], "images 4, 'age' 2"),
    "too few ids": ([{"image": X, "patient_id": IDS[:2]}], "images 4, patient_id 2"),
    "an id twice in a batch": ([{"image": X, "patient_id": list("abac")}], "More than once: a"),
    "an id in two batches": ([{"image": X, "patient_id": IDS}] * 2, "More than once: a, b, c, d"),
    "no batches": ([], "Received: no batches"),
    "an empty batch": ([X, X[:0]], "At least one sample"),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_batches_that_do_not_fit_are_refused_in_words(kind):
    batches, words = STREAMS[kind]
    model = Dictionary() if batches and isinstance(batches[0], dict) and "age" in batches[0] else summed
    with pytest.raises(DataError, match=f"(?s){words}"):
        explain(model, iter(batches), features="brightness", flow=False, noise_draws=0)


def test_an_empty_dataset_is_refused():
    class Nothing(keras.utils.PyDataset):
        def __len__(self):
            return 0

    for dataset in (Nothing(), tf.data.Dataset.from_tensor_slices(X).batch(2).take(0)):
        with pytest.raises(DataError, match="no batches"):
            explain(plain(), dataset, features="brightness", flow=False)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"target": True}, "a number from 0, or a name. Received: True"),
        ({"target": -1}, "Received: -1"),
        ({"target": 1.0}, "Received: 1.0"),
        ({"target": "cat", "classes": ["a", "b"]}, "no class 'cat'. The classes have: a, b"),
        ({"target": "cat"}, r"give classes=\[…\]"),
        ({"target": (1, 1)}, "two different ones"),
        ({"target": ("b", 1), "classes": ["a", "b"]}, "two different ones"),
        ({"target": (0, 1, 2)}, "two different ones"),
        ({"target": "a", "classes": ["a", "a"]}, "each of its own"),
        ({"target": "a", "classes": "abc"}, "each of its own"),
    ],
)
def test_a_target_that_is_no_class_is_refused_when_it_is_named(settings, words):
    with pytest.raises(ModelError, match=words):
        Score(summed, **settings)
