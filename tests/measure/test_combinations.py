"""`explain` on classifiers and samples of every kind against a plain gradient tape in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from combination_cases import Case, contained, given, moved_from_zero, network, samples
from oracle_shares import brightness, extent, first_column, flow_shares, shares, size, targeted

from fgf_keras import Flow, Score, explain
from fgf_keras.features import Column

THREE = ("benign", "malignant", "other")
CASES = {
    "dense, table": Case("dense", "table"),
    "dense, DataFrame": Case("dense", "table", given_as="DataFrame", classes=2),
    "dense, DataFrame, names": Case(
        "dense", "table", "Sequential", "DataFrame", 3, ("malignant", "benign"), names=THREE
    ),
    "dense, table, function": Case("dense", "table", "function", classes=3),
    "dense, table, float64": Case("dense", "table", policy="float64"),
    "dense, table, SavedModel in float64": Case("dense", "table", "SavedModel", policy="float64"),
    "dense, table, bfloat16": Case("dense", "table", policy="mixed_bfloat16"),
    "subclassed, table": Case("subclassed", "table", "subclassed", classes=2),
    "subclassed, image": Case("subclassed", "image", "subclassed", masked=True),
    "attention, sequence": Case("attention", "sequence", masked=True),
    "attention, sequence, 3 classes": Case("attention", "sequence", "tf.function", classes=3, target=1),
    "LSTM, sequence": Case("lstm", "sequence", given_as="memmap"),
    "LSTM, sequence, SavedModel": Case("lstm", "sequence", "SavedModel", classes=2),
    "GRU, sequence": Case("gru", "sequence", given_as="generator", masked=True),
    "1-D CNN, sequence": Case("convolutional", "sequence", "file.keras", classes=3),
    "CNN, image": Case("convolutional", "image", "Sequential", masked=True),
    "CNN, image, class 0 of one logit": Case("convolutional", "image", target=0),
    "CNN, image of 2 channels": Case("convolutional", "image of 2 channels", classes=3, target=2),
    "CNN, image of 3 channels": Case("convolutional", "image of 3 channels", "file.h5", masked=True),
    "CNN, zarr": Case("convolutional", "image", given_as="zarr", classes=2, masked=True),
    "CNN, tf.data": Case("convolutional", "image", given_as="tf.data", classes=3, masked=True),
    "CNN, PyDataset": Case("convolutional", "image", "Sequential", "PyDataset", masked=True),
    "CNN, TFSMLayer": Case("convolutional", "image", "TFSMLayer", classes=3, target=(2, 0)),
    "CNN, endpoint": Case("convolutional", "image", "endpoint"),
    "CNN, folder": Case("convolutional", "image", "folder", classes=2, target=1),
    "CNN, float64": Case("convolutional", "image of 3 channels", classes=3, policy="float64"),
    "CNN, float16": Case("convolutional", "image", policy="mixed_float16", masked=True),
    "CNN, float16, file": Case("convolutional", "image", "file.keras", policy="mixed_float16"),
    "dense, table, float64, file": Case("dense", "table", "file.keras", policy="float64"),
    "CNN, bfloat16": Case("convolutional", "image", classes=3, policy="mixed_bfloat16"),
    "residual, image": Case("residual", "image", masked=True),
    "residual, image, file": Case("residual", "image of 3 channels", "file.keras", "generator", 3),
    "residual, float16": Case("residual", "image", "tf.function", classes=2, policy="mixed_float16"),
    "3-D CNN, volume": Case("convolutional", "volume", masked=True),
    "3-D CNN, volume, SavedModel": Case("convolutional", "volume", "SavedModel", "tf.data", 3),
    "3-D CNN, volume, float64": Case("convolutional", "volume", given_as="zarr", policy="float64"),
    "several inputs": Case("several inputs", "image", given_as="dict", masked=True),
    "several inputs, tf.data": Case("several inputs", "table", given_as="tf.data", classes=3),
    "several inputs, PyDataset": Case("several inputs", "volume", given_as="PyDataset", masked=True),
    "several inputs, endpoint": Case("several inputs", "image", "endpoint", "dict", 3, 0),
    "several inputs, file": Case("several inputs", "sequence", "file.keras", "dict"),
    "list of inputs": Case("list of inputs", "sequence", given_as="list", classes=2),
    "several outputs": Case("several outputs", "image", classes=3, masked=True),
    "several outputs, TFSMLayer": Case("several outputs", "image", "TFSMLayer"),
    "nested": Case("nested", "image", classes=2, masked=True),
    "nested, file.h5": Case("nested", "table", "file.h5"),
}
# Absolute tolerance of S; that of slopes is relative to the largest, that of scores to 1. The types of mixed
# policies have 11 and 8 bits: what is compared is the network in float64.
TOLERANCE = {"float32": 1e-5, "float64": 1e-9, "mixed_float16": 5e-3, "mixed_bfloat16": 5e-2}
F_TOLERANCE = 1e-3
# Half of them: a path costs ten times what S costs.
WITHOUT_PATH = {
    *("dense, DataFrame, names", "subclassed, table", "LSTM, sequence, SavedModel", "CNN, endpoint"),
    *("CNN, zarr", "CNN, tf.data", "CNN, folder", "several inputs, endpoint", "several inputs, PyDataset"),
    *(
        "several outputs, TFSMLayer",
        "nested, file.h5",
        "residual, image, file",
        "attention, sequence, 3 classes",
    ),
    *("several inputs, file", "3-D CNN, volume, float64", "1-D CNN, sequence"),
}


@pytest.fixture(autouse=True)
def policy_of_the_case(request):
    kind = request.node.callspec.params.get("kind") if hasattr(request.node, "callspec") else None
    keras.config.set_dtype_policy(CASES[kind].policy if kind else "float32")
    yield
    keras.config.set_dtype_policy("float32")


def features_for(case):
    """Features for `explain`, and the same as plain functions."""
    if case.samples != "table":
        return ["brightness", "extent"], [brightness, extent]
    first = Column("age") if case.given_as == "DataFrame" else first_column
    return [first, size], [first_column, lambda image, mask: size(image)]


def masks_for(case, image):
    mask = np.ones((*image.shape[:-1], 1))
    if case.masked:
        mask[:, :1] = 0
        mask[0, 1:2] = 0
    return mask


def score_of(case, model):
    target = case.target
    settings = {"target": target, "classes": case.names}
    if case.architecture == "several outputs":
        settings["output"] = "grade"
    if case.given_as == "list":
        settings["input"] = 0
    return Score(model, **settings)


def in_float64(case, weights, others):
    """The logits of the same network in float64 as a function of the image."""
    keras.config.set_dtype_policy("float64")
    twin = network(case)
    target = tuple(map(THREE.index, case.target)) if case.names else case.target

    others = {name: tf.constant(values) for name, values in others.items()}

    def logits(image):
        inputs = image
        if case.architecture == "list of inputs":
            inputs = [image, *others.values()]
        elif others:
            inputs = {"image": image, **others}
        outputs = twin(inputs, training=False)
        return targeted(outputs["grade"] if isinstance(outputs, dict) else outputs, target)

    logits(tf.constant(samples(case)[0]))
    twin.set_weights(weights)
    return logits


@pytest.mark.parametrize("kind", CASES)
def test_every_combination_is_that_of_a_plain_tape_in_float64(kind, tmp_path):
    case = CASES[kind]
    image, others = samples(case)
    mask = masks_for(case, image)
    model = network(case)
    if not model.built:
        model(image)
    moved_from_zero(model)
    features, functions = features_for(case)
    flow = False if kind in WITHOUT_PATH else Flow(tolerance=F_TOLERANCE)
    if "float16" in case.policy:
        flow = None
    # What a model computes in is its own affair, not that of the session that explains it.
    keras.config.set_dtype_policy("float32")
    explained = score_of(case, contained(model, case.container, tmp_path))
    batches, masks = given(case, image, others, mask if case.masked else None, tmp_path)
    frame = explain(
        explained, batches, masks, features=features, flow=flow, noise_draws=0, classes="all", batch_size=2
    ).to_frame()

    logits = in_float64(case, model.get_weights(), others)
    tensors = tf.constant(image), tf.constant(mask)
    expected = shares(logits, *tensors, functions)
    names = [column.removeprefix("S_") for column in frame if column.startswith("S_")][: len(features)]
    close = TOLERANCE[case.policy]
    assert frame["logit"].to_numpy() == pytest.approx(expected.score, rel=close, abs=close)
    assert frame[[f"S_{name}" for name in names]].to_numpy() == pytest.approx(expected.S, abs=close)
    assert frame["S_joint"].to_numpy() == pytest.approx(expected.S_joint, abs=close)
    slope = frame[[f"slope_{name}" for name in names]].to_numpy()
    assert slope == pytest.approx(expected.slope, abs=close * np.abs(expected.slope).max())
    if flow is not False:
        assert set(frame["status"]) <= {"reached", "on_boundary"}
        along, joint, length = flow_shares(logits, *tensors, functions)
        close = max(F_TOLERANCE, close)
        assert frame[[f"F_{name}" for name in names]].to_numpy() == pytest.approx(along, abs=close)
        assert frame["F_joint"].to_numpy() == pytest.approx(joint, abs=close)
        assert frame["flow_length"].to_numpy() == pytest.approx(length, rel=10 * close)
