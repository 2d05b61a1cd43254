"""The signatures give the numbers of `explain`, whatever the batch, compiled or not."""

import numpy as np
import pytest
import tensorflow as tf

from fgf_keras import explain, export_saved_model
from fgf_keras.flow.settings import Flow
from fgf_keras.flow.status import ENDED, FlowStatus
from fgf_keras.serving.warmup import example

# Of shares, which lie in [0, 1], and of fields, by their largest pixel.
CLOSE = 1e-5
FIELDS = ("gradient", "explained", "boundary")
# What no patient of these changes by more than rounding: paths that ended well within the tolerance.
FLOW = Flow(average="score", max_steps=8, tolerance=1e-2)
SETTINGS = {"flow": FLOW}
# The scale and the spread that signed effects are given in.
WINDOW = (-50, 300)
SPREAD = {"reference_sd": {"brightness": 30.0, "extent": 1.5, "log_aspect_ratio": 0.2}}
POINTWISE = ("value", "slope", "slope_alone", "effect")
ALONG = ("change", "contribution", "contribution_shapley")
NAMES = ("brightness", "extent", "log_aspect_ratio")


@pytest.fixture(scope="module")
def served(tmp_path_factory, make_model):
    """The signatures of three exports of each of two models, and the models."""
    place = tmp_path_factory.mktemp("served")
    # Behind one unit three classes differ in one direction.
    models = {
        "two": make_model(),
        "three": make_model(classes=3),
        "narrow": make_model(classes=3, dense=(1,)),
    }
    choices = {"plain": {}, "compiled": {"jit_compile": True}, "image": {"support": "image"}}
    loaded = {}
    for name, key in [
        ("two", "plain"),
        ("two", "compiled"),
        ("two", "image"),
        ("three", "plain"),
        ("narrow", "plain"),
    ]:
        path = place / f"{name}_{key}"
        export_saved_model(models[name], path, window_hu=WINDOW, **SPREAD, **SETTINGS, **choices[key])
        loaded[name, key] = tf.saved_model.load(str(path))
    return models, loaded


def answers(loaded, name, patients):
    keys = ("image", "mask") if name == "serving_default" else ("image", "mask", "spacing")
    outputs = loaded.signatures[name](**{key: tf.constant(patients[key]) for key in keys})
    return {key: value.numpy() for key, value in outputs.items()}


def explained(model, patients, **settings):
    return explain(
        model,
        patients["image"],
        patients["mask"],
        spacing=patients["spacing"],
        noise_draws=0,
        hu_window=WINDOW,
        **SPREAD,
        **SETTINGS,
        **settings,
    )


def assert_same(answer, explanation):
    frame = explanation.to_frame()
    shared = [key for key in frame if key in answer and key not in ("status", "class", "flow_residual")]
    measured = [f"{kind}_{name}" for kind in "SF" for name in ("brightness", "extent", "joint_magnitude")]
    measured += [f"{kind}_{name}" for kind in (*POINTWISE, *ALONG) for name in NAMES]
    measured += [f"{kind}_{name}" for kind in ("unique", "partial", "p_white_partial") for name in NAMES]
    assert {*measured, "unexplained"} <= set(shared)
    for key in shared:
        if key.startswith("p_"):
            # The exact law turns a rounding of S into a factor.
            assert np.allclose(np.log(answer[key]), np.log(frame[key]), atol=1e-3, rtol=1e-4), key
        else:
            # Brightness is in HU, which are small steps of the window.
            scale = WINDOW[1] - WINDOW[0] if key in ("value_brightness", "change_brightness") else 1
            # A path may end where there is no extent, in both.
            close = {"atol": CLOSE * scale, "rtol": CLOSE, "equal_nan": key.startswith("change_")}
            assert np.allclose(answer[key], frame[key], **close), key
    assert (answer["class"] == frame["class"]).all()
    assert (answer["flow_residual"] <= FLOW.tolerance).all()
    assert [FlowStatus(s).name.lower() for s in answer["flow_status"]] == frame["status"].tolist()
    assert np.isin(answer["flow_status"], ENDED).all()
    fields = explanation._pictures(np.arange(len(frame)))
    for key in FIELDS:
        scale = np.abs(fields[key]).max(axis=(1, 2, 3), keepdims=True)
        assert (np.abs(answer[key] - fields[key]) <= CLOSE * scale).all(), key


@pytest.mark.parametrize("count", [1, 7, 64])
@pytest.mark.parametrize("key", ["plain", "compiled"])
def test_explain_gives_what_explain_gives_in_python(served, make_patients, key, count):
    models, loaded = served
    patients = make_patients(count, seed=count)
    answer = answers(loaded["two", key], "explain", patients)
    assert (answer["status"] == 0).all()
    assert_same(answer, explained(models["two"], patients))


def test_over_the_whole_canvas_and_for_three_classes_too(served, make_patients):
    models, loaded = served
    patients = make_patients(7)
    answer = answers(loaded["two", "image"], "explain", patients)
    on_canvas = explained(models["two"], patients, support="image")
    assert_same(answer, on_canvas)
    assert not np.allclose(answer["S_joint"], explained(models["two"], patients).values["S_joint"], atol=0.01)
    answer = answers(loaded["three", "plain"], "explain", patients)
    assert answer["probability"].shape == (7, 3)
    assert "p_white_joint" not in answer
    # The frame has the margin, the signature the logits.
    logits = answer.pop("logit")
    explanation = explained(models["three"], patients)
    assert np.allclose(logits, explanation.values["logits"], atol=CLOSE)
    assert_same(answer, explanation)
    explanation = explained(models["narrow"], patients)
    assert np.all(explanation.values["section_rank"] == 1)
    answer = answers(loaded["narrow", "plain"], "alignment", patients)
    del answer["logit"]
    for name in ("brightness", "extent", "log_aspect_ratio"):
        assert np.allclose(answer[f"p_white_{name}"], explanation.to_frame()[f"p_white_{name}"], atol=1e-4)


def test_each_signature_says_the_same_of_what_it_shares_with_another(served, make_patients):
    _, loaded = served
    patients = make_patients(7)
    found = {
        name: answers(loaded["two", "plain"], name, patients)
        for name in ("serving_default", "alignment", "explain")
    }
    assert set(found["serving_default"]) < set(found["alignment"]) < set(found["explain"])
    for small, large in [("serving_default", "alignment"), ("alignment", "explain")]:
        for key, value in found[small].items():
            assert np.allclose(value, found[large][key], atol=CLOSE), key
    assert set(found["explain"]) - set(found["alignment"]) == {
        *(f"F_{name}" for name in (*NAMES, "joint", "joint_magnitude")),
        *(f"flow_error_{name}" for name in (*NAMES, "joint")),
        *(f"{key}_{name}" for key in ALONG for name in NAMES),
        "unexplained",
        *("outside", "outside_excess"),
        "flow_residual",
        "flow_status",
        *FIELDS,
    }


def test_outputs_have_fixed_types(served, make_patients):
    for loaded in served[1].values():
        for name in ("serving_default", "alignment", "explain"):
            for key, value in answers(loaded, name, make_patients(1)).items():
                whole = key in ("status", "class", "flow_status")
                assert value.dtype == (np.int32 if whole else np.float32), key


def test_examples_are_predicted_as_arrays_are(served, make_patients):
    patients = make_patients(7)
    examples = [example(image, mask) for image, mask in zip(patients["image"], patients["mask"])]
    for key in ("plain", "compiled"):
        loaded = served[1]["two", key]
        found = loaded.signatures["predict_examples"](examples=tf.constant(examples))
        expected = answers(loaded, "serving_default", patients)
        assert set(found) == set(expected)
        assert all(np.array_equal(found[name].numpy(), expected[name]) for name in found)


def test_spacing_is_that_of_each_patient(served, make_patients):
    patients = make_patients(2)
    loaded = served[1]["two", "plain"]
    square = answers(loaded, "alignment", {**patients, "spacing": np.ones((2, 2), np.float32)})
    wide = answers(loaded, "alignment", {**patients, "spacing": np.float32([[1, 1], [1, 3]])})
    assert np.allclose(square["S_log_aspect_ratio"][0], wide["S_log_aspect_ratio"][0], atol=CLOSE)
    assert abs(square["S_log_aspect_ratio"][1] - wide["S_log_aspect_ratio"][1]) > 1e-3


def test_nothing_in_the_graph_reads_files_or_runs_python(served):
    forbidden = ("pyfunc", "file", "queue", "socket", "print", "random", "py_")
    for loaded in served[1].values():
        operations = set()
        for signature in loaded.signatures.values():
            graph = signature.graph.as_graph_def()
            functions = [function.node_def for function in graph.library.function]
            operations |= {node.op for nodes in (graph.node, *functions) for node in nodes}
        assert {"Conv2D", "ParseExampleV2", "Betainc"} <= operations
        assert "StatelessWhile" in operations or "While" in operations
        assert not [name for name in operations if any(word in name.lower() for word in forbidden)]
