"""Classifiers of every architecture and container, and samples of every kind, all of them tiny."""

from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
import zarr
from keras import layers as L

N = 3
LOADED = []
COLUMNS = ["age", "bmi", "dose", "pulse", "score"]
SHAPES = {
    "table": (5,),
    "sequence": (7, 2),
    "image": (6, 5, 1),
    "image of 2 channels": (6, 5, 2),
    "image of 3 channels": (5, 5, 3),
    "volume": (4, 5, 4, 1),
}


class Case(NamedTuple):
    """One combination; see the tables below for what the words mean."""

    architecture: str
    samples: str
    container: str = "Functional"
    given_as: str = "array"
    classes: int = 1
    target: Any = None
    policy: str = "float32"
    masked: bool = False
    names: tuple[str, ...] | None = None


def head(tensor, classes):
    return L.Dense(classes, name="logits")(tensor)


def dense(image, classes):
    return head(L.Dense(6, activation="tanh")(L.Flatten()(image)), classes)


def convolutional(image, classes):
    convolution = {3: L.Conv1D, 4: L.Conv2D, 5: L.Conv3D}[len(image.shape)]
    hidden = convolution(3, 3, padding="same", activation="tanh")(image)
    return head(L.Flatten()(convolution(2, 2, strides=2)(hidden)), classes)


def residual(image, classes):
    hidden = L.Conv2D(2, 3, padding="same", activation="softplus")(image)
    hidden = L.Add()([hidden, L.Conv2D(2, 3, padding="same", activation="tanh")(hidden)])
    return head(L.Flatten()(L.BatchNormalization()(hidden)), classes)


def attention(image, classes):
    hidden = L.Dense(4)(image)
    hidden = L.Add()([hidden, L.MultiHeadAttention(2, 2)(hidden, hidden)])
    return head(L.GlobalAveragePooling1D()(L.LayerNormalization()(hidden)), classes)


def lstm(image, classes):
    return head(L.LSTM(3)(image), classes)


def gru(image, classes):
    return head(L.Bidirectional(L.GRU(2))(image), classes)


def nested(image, classes):
    inner = keras.Input(image.shape[1:])
    body = keras.Model(inner, L.Dense(4, activation="tanh")(L.Flatten()(inner)))
    return keras.Sequential([keras.Input(image.shape[1:]), body, L.Dense(classes, name="logits")])(image)


ARCHITECTURES = {f.__name__: f for f in (dense, convolutional, residual, attention, lstm, gru, nested)}


def with_others(shape, classes, *, keys=True):
    """Image, age (B, 2), an integer site (B, 1) by an embedding, and a text sex (B, 1) by a lookup."""
    dtype = "float64" if keras.config.dtype_policy().name == "float64" else None
    image, age = keras.Input(shape, name="image", dtype=dtype), keras.Input((2,), name="age")
    site = keras.Input((1,), name="site", dtype="int32")
    parts = [L.Flatten()(image), age, L.Flatten()(L.Embedding(4, 2)(site))]
    inputs = {"image": image, "age": age, "site": site}
    if keys:
        sex = keras.Input((1,), name="sex", dtype="string")
        number = L.StringLookup(vocabulary=["f", "m"], output_mode="one_hot")(sex)
        parts, inputs = [*parts, number], inputs | {"sex": sex}
    hidden = L.Dense(5, activation="tanh")(L.Concatenate()(parts))
    return keras.Model(inputs if keys else [*inputs.values()], head(hidden, classes))


class Subclassed(keras.Model):
    """The layers of a Functional model in a class, without weights until it is called."""

    def __init__(self, shape, classes):
        super().__init__()
        self.flatten, self.hidden = L.Flatten(), L.Dense(4, activation="tanh")
        self.drop, self.logits = L.Dropout(0.5), L.Dense(classes)

    def call(self, inputs, training=False):
        return self.logits(self.drop(self.hidden(self.flatten(inputs)), training=training))


def network(case):
    """The Keras model of a case; of the same weights after the same seed, whatever the policy."""
    keras.utils.set_random_seed(3)
    shape = SHAPES[case.samples]
    if case.architecture == "several inputs":
        return with_others(shape, case.classes)
    if case.architecture == "list of inputs":
        return with_others(shape, case.classes, keys=False)
    if case.architecture == "subclassed":
        return Subclassed(shape, case.classes)
    # Keras's default inputs are float32 whatever the policy.
    image = keras.Input(shape, dtype="float64" if keras.config.dtype_policy().name == "float64" else None)
    if case.architecture == "several outputs":
        logits = dense(image, case.classes)
        return keras.Model(image, {"grade": logits, "size": L.Dense(2)(L.Flatten()(image))})
    model = keras.Model(image, ARCHITECTURES[case.architecture](image, case.classes))
    if case.container == "Sequential":
        return keras.Sequential([image, *model.layers[1:]])
    return model


def moved_from_zero(model):
    """Weights of every kind, also of layers that start as zeros or ones."""
    rng = np.random.default_rng(5)
    for weights in model.weights:
        if weights.dtype.startswith(("float", "bfloat")):
            weights.assign(weights + rng.normal(0, 0.1, weights.shape))
    return model


def contained(model, container, folder):
    """A model in another container."""
    if container in ("Functional", "Sequential", "subclassed"):
        return model
    if container == "function":
        return lambda inputs: model(inputs)
    if container == "tf.function":
        return tf.function(lambda inputs: model(inputs))
    if container in ("file.keras", "file.h5"):
        model.save(folder / container)
        return folder / container
    model.export(folder / "saved", verbose=False)
    if container == "folder":
        return folder / "saved"
    if container == "TFSMLayer":
        return L.TFSMLayer(folder / "saved", call_endpoint="serve")
    saved = tf.saved_model.load(folder / "saved")
    LOADED.append(saved)  # an endpoint does not keep its weights
    return saved if container == "SavedModel" else saved.signatures["serving_default"]


def samples(case):
    """Images of a case as float64 with values of float16, and the other inputs by name."""
    rng = np.random.default_rng(1)
    image = rng.uniform(0.2, 1, (N, *SHAPES[case.samples])).astype(np.float16).astype(np.float64)
    others = {}
    if case.architecture in ("several inputs", "list of inputs"):
        others = {"age": rng.normal(size=(N, 2)).astype(np.float32), "site": np.array([[0], [3], [1]])}
    if case.architecture == "several inputs":
        others["sex"] = np.array([["f"], ["m"], ["m"]])
    return image, others


class Batches(keras.utils.PyDataset):
    """Batches of two samples with labels, as for `fit`."""

    def __init__(self, inputs):
        super().__init__()
        self.inputs = inputs

    def __len__(self):
        return 2

    def __getitem__(self, index):
        rows = slice(2 * index, 2 * index + 2)
        return {name: array[rows] for name, array in self.inputs.items()}, np.zeros(2)[: N - 2 * index]


def given(case, image, others, mask, folder):
    """What `explain` is given: samples and masks."""
    kind = case.given_as
    inputs = {"image": image, **others}
    if kind in ("tf.data", "PyDataset", "generator"):
        if mask is not None:
            inputs["mask"] = mask
        if kind == "PyDataset":
            return Batches(inputs), None
        if kind == "generator":
            return ({k: v[i : i + 2] for k, v in inputs.items()} for i in (0, 2)), None
        return tf.data.Dataset.from_tensor_slices(inputs).batch(2), None
    if kind == "DataFrame":
        return pd.DataFrame(image, columns=COLUMNS), mask
    if kind == "zarr":
        array = zarr.create_array(folder / "image.zarr", shape=image.shape, dtype=image.dtype)
        array[:] = image
        return array, mask
    if kind == "memmap":
        np.save(folder / "image.npy", image)
        return np.load(folder / "image.npy", mmap_mode="r"), mask
    if kind == "list":
        return [image, *others.values()], mask
    return (inputs if kind == "dict" else image), mask
