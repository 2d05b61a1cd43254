"""The exported model gives the trained model's answers where only TensorFlow is installed."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgf_keras import AlignmentModel, Brightness, export_saved_model
from fgf_keras.errors import ModelError

# Of float32 logits of order one.
CLOSE = 1e-5
SERVER = """
try:
    import fgf_keras
    raise SystemExit("fgf_keras can be imported")
except ImportError:
    pass
import json
import numpy as np, tensorflow as tf
answers, signatures = {}, {}
arrays = np.load(sys.argv[1])
for path in sys.argv[2:]:
    loaded = tf.saved_model.load(path)
    signatures[path] = {}
    for name, signature in loaded.signatures.items():
        inputs = signature.structured_input_signature[1]
        signatures[path][name] = {key: [s.dtype.name, s.shape.as_list()] for key, s in inputs.items()}
    for n in (1, 7):
        given = {key: tf.constant(arrays[key][:n]) for key in ("image", "mask")}
        out = loaded.signatures["serving_default"](**given)
        answers[f"{path} {n}"] = {key: value.numpy().tolist() for key, value in out.items()}
assert not [name for name in sys.modules if name.startswith("fgf_keras.")]
print(json.dumps([answers, signatures]))
"""


@pytest.fixture(scope="module")
def patients(make_patients):
    return make_patients(7)


@pytest.fixture(scope="module")
def served(tmp_path_factory, make_model, patients, elsewhere):
    """What another process gets from the exports, and what they were exported from."""
    place = tmp_path_factory.mktemp("served")
    np.savez(place / "patients.npz", **patients)
    models = {"two": make_model(), "three": make_model(classes=3), "dropout": make_model(dropout=0.5)}
    paths = {name: place / name / "1" for name in models}
    for name, path in paths.items():
        path.parent.mkdir()
        export_saved_model(models[name], path)
    done = elsewhere(SERVER, place / "patients.npz", *paths.values())
    assert done.returncode == 0, done.stderr
    answers, signatures = json.loads(done.stdout.splitlines()[-1])
    name_of = {str(path): name for name, path in paths.items()}
    return (
        models,
        {(name_of[key.split()[0]], int(key.split()[1])): value for key, value in answers.items()},
        {name_of[path]: signature for path, signature in signatures.items()},
        done.stderr,
    )


@pytest.mark.parametrize("count", [1, 7])
@pytest.mark.parametrize("name", ["two", "dropout"])
def test_probability_and_logit_are_those_of_the_trained_model(served, patients, name, count):
    models, answers, *_ = served
    answer = answers[name, count]
    assert set(answer) == {"status", "probability", "logit", "class"}
    expected = models[name]((patients["image"][:count], patients["mask"][:count])).numpy()[:, 0]
    assert np.ptp(expected) > 100 * CLOSE or count == 1
    assert np.shape(answer["logit"]) == (count,)
    assert np.allclose(answer["logit"], expected, atol=CLOSE)
    assert np.allclose(answer["probability"], 1 / (1 + np.exp(-expected)), atol=CLOSE)
    assert answer["class"] == (expected > 0).astype(int).tolist()


@pytest.mark.parametrize("count", [1, 7])
def test_three_classes_have_a_column_each(served, patients, count):
    models, answers, *_ = served
    expected = models["three"]((patients["image"][:count], patients["mask"][:count])).numpy()
    answer = answers["three", count]
    assert np.shape(answer["logit"]) == (count, 3)
    assert np.allclose(answer["logit"], expected, atol=CLOSE)
    assert np.allclose(answer["probability"], keras.ops.softmax(expected), atol=CLOSE)
    assert answer["class"] == expected.argmax(axis=1).tolist()


def test_inputs_have_names_types_and_any_number_of_patients(served):
    _, _, signatures, _ = served
    image, mask = ["float32", [None, 16, 16, 1]], ["float32", [None, 16, 16, 1]]
    measured = {"image": image, "mask": mask, "spacing": ["float32", [None, 2]]}
    assert signatures["two"] == signatures["three"]
    assert signatures["two"] == {
        "serving_default": {"image": image, "mask": mask},
        "alignment": measured,
        "explain": measured,
        "predict_examples": {"examples": ["string", [None]]},
    }


def test_loading_warns_of_nothing(served):
    assert "WARNING:absl" not in served[3]
    assert "custom gradient" not in served[3]


def test_a_sample_above_the_threshold_of_the_export_is_of_class_1(exported, patients):
    signature = tf.saved_model.load(str(exported[1])).signatures["serving_default"]
    answer = signature(**{key: tf.constant(patients[key]) for key in ("image", "mask")})
    order = np.argsort(answer["logit"].numpy())
    assert answer["class"].numpy()[order].tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_what_lies_outside_the_mask_changes_nothing(exported, patients):
    signature = tf.saved_model.load(str(exported[1])).signatures["serving_default"]
    image, mask = patients["image"], patients["mask"]

    def logit(image):
        return signature(image=tf.constant(image), mask=tf.constant(mask))["logit"].numpy()

    assert np.array_equal(logit(image), logit(np.where(mask > 0, image, 0.9)))
    assert not np.array_equal(logit(image), logit(np.where(mask > 0, 0.9, image)))


def test_the_weights_are_those_of_the_day_of_export(tmp_path, make_model, patients):
    trained = make_model()
    before = trained((patients["image"], patients["mask"])).numpy()[:, 0]
    export_saved_model(trained, tmp_path / "1")
    trained.classifier.set_weights([2 * weight for weight in trained.classifier.get_weights()])
    signature = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    after = signature(**{name: tf.constant(patients[name]) for name in ("image", "mask")})["logit"]
    assert np.allclose(after, before, atol=CLOSE)


def test_a_folder_that_is_there_is_never_overwritten(tmp_path, make_model):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "note.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ModelError, match=r"exists already.*new version"):
        export_saved_model(make_model(), tmp_path / "1")
    assert [file.name for file in (tmp_path / "1").iterdir()] == ["note.txt"]


def test_a_plain_classifier_is_refused_with_the_way_to_wrap_it(tmp_path, make_model):
    with pytest.raises(ModelError, match=r"Received: Functional.*AlignmentModel\("):
        export_saved_model(make_model().classifier, tmp_path / "1")
    assert not list(tmp_path.iterdir())


def test_a_model_without_weights_is_refused(tmp_path):
    unbuilt = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
    with pytest.raises(ModelError, match="no weights yet"):
        export_saved_model(AlignmentModel(unbuilt, [Brightness()], reward="none"), tmp_path / "1")
    assert not list(tmp_path.iterdir())


def test_a_failed_export_leaves_no_version_and_is_in_nobodys_way(tmp_path, make_model, monkeypatch):
    # Keras makes an archive of its backend's own class.
    archives = type(keras.export.ExportArchive())
    write_out = archives.write_out

    def disk_full(archive, path, **settings):
        write_out(archive, path, **settings)
        raise OSError("no space left")

    monkeypatch.setattr(archives, "write_out", disk_full)
    with pytest.raises(OSError, match="no space left"):
        export_saved_model(make_model(), tmp_path / "1")
    # TensorFlow Serving takes folders with a number as versions.
    assert not [path.name for path in tmp_path.iterdir() if path.name.isdigit()]
    monkeypatch.undo()
    export_saved_model(make_model(), tmp_path / "1")
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
