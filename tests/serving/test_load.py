"""A served model in Python: typed answers, and clear words about folders that are none."""

import json
import shutil

import numpy as np
import pytest

import fgf_keras
from fgf_keras import explain, export_saved_model, load_saved_model
from fgf_keras.errors import DataError, ModelError
from fgf_keras.serving.description import FILE, FORMAT, Description

CLOSE = 1e-5


@pytest.fixture(scope="module")
def served(exported):
    return load_saved_model(exported[1])


def test_the_description_says_what_one_has_to_know(served):
    told = served.description
    assert told.features == {"brightness": "HU", "extent": "mm", "log_aspect_ratio": ""}
    assert told.reference_sd is None
    assert (told.image_shape, told.classes) == ((16, 16, 1), 2)
    assert (told.window_hu, told.spacing_mm) == ((-50, 300), (1.0, 1.5))
    logit = told.threshold["logit"]
    assert told.threshold["probability"] == pytest.approx(1 / (1 + np.exp(-logit)))
    assert (told.support, told.weight, told.steps, told.max_steps, told.tolerance) == (
        "mask",
        "arc",
        4,
        128,
        5e-3,
    )
    assert told.versions["fgf_keras"] == fgf_keras.__version__
    assert {"tensorflow", "keras"} < set(told.versions)
    assert (told.jit_compile, told.config) == (False, None)


def test_answers_have_the_numbers_of_the_model(served, exported, make_patients):
    patients = make_patients(7)
    images, masks, spacing = (patients[key] for key in ("image", "mask", "spacing"))
    frame = explain(exported[0], images, masks, spacing=spacing).to_frame()
    prediction = served.predict(images, masks)
    assert len(prediction) == 7
    assert np.allclose(prediction.logit, frame["logit"], atol=CLOSE)
    explanation = served.explain(images, masks, spacing=spacing)
    table = explanation.to_frame()
    shared = [key for key in table if key in frame and key[:2] in ("S_", "F_", "un")]
    assert {"S_joint", "F_joint", "unique_extent", "F_joint_magnitude"} <= set(shared)
    assert np.allclose(table[shared], frame[shared], atol=CLOSE)
    assert table["flow_status"].tolist() == frame["status"].tolist() == ["reached"] * 7
    assert (table["status"] == "ok").all()
    assert explanation.gradient.shape == explanation.boundary.shape == (7, 16, 16, 1)
    alignment = served.alignment(images, masks, spacing=spacing)
    assert np.allclose(alignment.shares["S_joint"], frame["S_joint"], atol=CLOSE)
    assert not [key for key in alignment.to_frame() if key.startswith(("F_", "flow"))]


def test_spacing_is_that_of_the_training_where_none_is_given(served, make_patients):
    patients = make_patients(3)
    given = [patients["image"], patients["mask"]]
    trained = served.alignment(*given, spacing=(1.0, 1.5)).shares
    assert np.array_equal(served.alignment(*given).shares, trained)
    assert not np.allclose(served.alignment(*given, spacing=(1.0, 1.0)).shares, trained, atol=1e-3)


def test_a_bad_sample_is_named_in_the_table(served, make_patients):
    patients = make_patients(2)
    patients["mask"][1] = 0
    table = served.predict(patients["image"], patients["mask"]).to_frame()
    assert table["status"].tolist() == ["ok", "mask_empty"]
    assert np.isnan(table["probability"][1])


def test_three_classes_have_columns_of_their_own(tmp_path, make_model, make_patients):
    export_saved_model(make_model(classes=3), tmp_path / "1")
    patients = make_patients(2)
    model = load_saved_model(tmp_path / "1")
    assert model.description.threshold is None
    table = model.predict(patients["image"], patients["mask"]).to_frame()
    columns = [f"{name}_{k}" for name in ("probability", "logit") for k in range(3)]
    assert list(table) == ["status", *columns, "class"]
    assert np.allclose(table[columns[:3]].sum(axis=1), 1)


@pytest.mark.parametrize(
    ("images", "masks", "spacing", "told"),
    [
        ((2, 16, 17, 1), (2, 16, 16, 1), None, r"images must have shape \(N, 16, 16, 1\).*\(2, 16, 17, 1\)"),
        ((2, 16, 16, 1), (3, 16, 16, 1), None, r"masks .* one for each of 2 images.*\(3, 16, 16, 1\)"),
        ((16, 16, 1), (16, 16, 1), None, r"images must have shape"),
        ((2, 16, 16, 1), (2, 16, 16, 1), (1, 1, 1), r"spacing must have shape \(2,\) or \(2, 2\).*\(3,\)"),
    ],
)
def test_other_shapes_are_refused(served, images, masks, spacing, told):
    with pytest.raises(DataError, match=told):
        served.alignment(np.ones(images), np.ones(masks), spacing=spacing)


def test_of_several_versions_the_highest_is_taken(exported, tmp_path):
    for version in ("2", "10", "9"):
        shutil.copytree(exported[1], tmp_path / version)
    (tmp_path / "11.unfinished").mkdir()
    assert load_saved_model(tmp_path).path == tmp_path / "10"
    assert load_saved_model(tmp_path / "2").path == tmp_path / "2"


@pytest.fixture
def copied(exported, tmp_path):
    shutil.copytree(exported[1], tmp_path / "1")
    return tmp_path / "1"


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"none' does not exist.*fgf export"):
        load_saved_model(tmp_path / "none")


@pytest.mark.parametrize("lost", ["saved_model.pb", "variables/variables.index"])
def test_an_incomplete_copy_is_named(copied, lost):
    (copied / lost).unlink()
    with pytest.raises(ModelError, match=f"not a whole SavedModel: {lost} missing"):
        load_saved_model(copied)


def test_lost_weights_are_named(copied):
    next(copied.glob("variables/*.data*")).unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_saved_model(copied)


def test_a_damaged_graph_is_named(copied):
    graph = copied / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:-4000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_saved_model(copied)


def test_a_model_of_another_kind_is_named(copied):
    (copied / FILE).unlink()
    with pytest.raises(ModelError, match="not exported by fgf_keras, or by a version before"):
        load_saved_model(copied)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": FORMAT + 1}, r"has format 2.*formats up to 1.*Update fgf_keras"),
        ({"image_shape": [16, 16]}, "is damaged"),
        ({"features": None}, "is damaged"),
    ],
)
def test_a_description_that_cannot_be_read_is_named(copied, change, told):
    content = json.loads((copied / FILE).read_text(encoding="utf-8"))
    (copied / FILE).write_text(json.dumps(content | change), encoding="utf-8")
    with pytest.raises(ModelError, match=told):
        load_saved_model(copied)


def test_a_description_that_is_no_json_is_named(copied):
    (copied / FILE).write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="is damaged"):
        Description.read(copied)
